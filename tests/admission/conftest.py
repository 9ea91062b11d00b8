"""A full on-premises partition, a cloud partition of powered-down nodes, and somebody's money."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hetslurm.burst.spill import Spiller, SpillReport
from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.policy import Cap, CloudPool, Level, Period, Policy, ProviderSite, Purchase, Spill
from hetslurm.cloudburst.provider.protocol import Quote
from hetslurm.cluster import Cluster, Gres, Node, Partition, QueuedJob
from hetslurm.controller.audit import Audit
from hetslurm.controller.cycle import plan_cycle
from hetslurm.daemon.log import Log
from hetslurm.site import Site
from hetslurm.slurm.fake import FakeSlurm

NOW = 1_800_000_000.0
BUSY = frozenset({"ALLOCATED"})
OFF = frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})
ONE_CPU = "target=cpu,cpus=16,time=1:00:00"
SPOT, ON_DEMAND = Purchase.SPOT, Purchase.ON_DEMAND


def small_cluster() -> Cluster:
    """Two busy cpu nodes and a busy A100 on-premises; four cpu nodes and two with an A100 in the cloud."""
    a100 = (Gres("gpu", "a100", 1),)
    nodes = [Node(f"cpu{i}", 16, 65536, BUSY, cpus_allocated=16) for i in (1, 2)]
    nodes += [Node("gpu1", 16, 65536, BUSY, gres=a100, gres_used=a100, cpus_allocated=16)]
    nodes += [Node(f"cloud{i}", 16, 65536, OFF) for i in (1, 2, 3, 4)]
    nodes += [Node(f"cgpu{i}", 16, 65536, OFF, gres=a100) for i in (1, 2)]
    partitions = (
        Partition("cpu", ("cpu1", "cpu2"), is_default=True),
        Partition("gpu", ("gpu1",)),
        Partition("cloud", ("cloud1", "cloud2", "cloud3", "cloud4"), root_only=True),
        Partition("cgpu", ("cgpu1", "cgpu2"), root_only=True),
    )
    running = [
        _job(900 + i, "", state="RUNNING", node_names=(f"cpu{i}",), start_at=NOW - 60, end_at=NOW + 7 * 86400)
        for i in (1, 2)
    ]
    running.append(
        _job(
            903, "", state="RUNNING", partition="gpu", node_names=("gpu1",), gres=a100, end_at=NOW + 7 * 86400
        )
    )
    return Cluster("test", (22, 5, 8), NOW, tuple(nodes), partitions, tuple(running), uids={"ann": 4001})


def _job(job_id: int, het: str, *, pins: str = "", placed: str = "cpu", **fields: object) -> QueuedJob:
    record = {"hetslurm": 1, "state": "placed", "gen": 3, "target": "cpu", "kind": "cpu", "alt": 0}
    record |= {"pool": placed, "partition": placed, "run_s": 3600, "pins": pins, "het": het}
    job = QueuedJob(
        job_id=job_id,
        state="PENDING",
        partition="cpu",
        user="ann",
        account="phys",
        nodes=1,
        cpus=16,
        mem_mb_per_node=0,
        time_limit_min=60,
        priority=100,
        submit_at=NOW - 1000 + job_id,
        start_at=None,
        end_at=None,
        reason="None",
        admin_comment=json.dumps(record, separators=(",", ":")) if het else "",
    )
    return replace(job, **fields)  # type: ignore[arg-type]


def _only(job_id: int, het: str = ONE_CPU, **fields: object) -> QueuedJob:
    """A burst=only job, as the plugin accepts it."""
    record = {
        "hetslurm": 1,
        "state": "held",
        "gen": 0,
        "pins": "",
        "het": f"{het};preemptible=yes;burst=only",
    }
    comment = json.dumps(record, separators=(",", ":"))
    held = {"priority": 0, "reason": "JobHeldUser", "admin_comment": comment, **fields}
    return _job(job_id, "", **held)


def a_policy(**changes: object) -> Policy:
    """Two pools of the provider "here", and 1000 a day for the site."""
    pool = CloudPool("cloud", "here", "small", (SPOT, ON_DEMAND), 1_000_000, boot_s=60)
    policy = Policy(
        providers=(ProviderSite("here", "local"),),
        pools=(pool, replace(pool, partition="cgpu", instance_type="gpu", max_price_micro=3_000_000)),
        spill=Spill(min_wait_s=1800),
        caps=(Cap(Level.SITE, "", Period.DAY, 1_000_000_000),),
    )
    return replace(policy, **changes)  # type: ignore[arg-type]


def quotes_of(policy: Policy, now: float, price_micro: int = 400_000) -> dict[str, tuple[Quote, ...]]:
    """A spot and an on-demand price for every pool."""
    return {
        pool.partition: tuple(
            Quote(pool.instance_type, purchase, "", price, 2 * price_micro, now)
            for purchase, price in ((SPOT, price_micro), (ON_DEMAND, 2 * price_micro))
        )
        for pool in policy.pools
    }


@dataclass
class Desk:
    """Admission on a cluster in memory. `policy`, `site` and `price_micro` may be changed."""

    slurm: FakeSlurm
    book: Book
    clock: FixedClock
    root: Path
    log: io.StringIO
    policy: Policy = field(default_factory=a_policy)
    site: Site = field(default_factory=Site)
    price_micro: int = 400_000
    spiller: Spiller | None = None

    def open(self, slurm: object = None, book: object = None) -> Spiller:
        """A new controller's admission, as after a crash."""
        audit = Audit(self.root, self.clock)
        log = Log("json", self.log, self.clock)
        self.book.caps = self.policy.caps
        self.spiller = Spiller(slurm or self.slurm, book or self.book, audit, log=log, clock=self.clock)  # type: ignore[arg-type]
        return self.spiller

    def step(self) -> SpillReport:
        """One cycle's admission."""
        spiller = self.spiller or self.open()
        self.clock.advance(1)
        self.slurm.cluster = replace(self.slurm.cluster, read_at=self.clock.now())
        cluster = self.slurm.cluster
        home = replace(
            cluster, partitions=tuple(p for p in cluster.partitions if p.name not in self.policy.partitions)
        )
        quotes = quotes_of(self.policy, self.clock.now(), self.price_micro) if self.price_micro else {}
        pools = plan_cycle(home, self.site).pools
        return spiller.step(
            self.policy, self.site, cluster, pools, quotes, until=self.clock.monotonic() + 1e6
        )

    def job(self, job_id: int) -> QueuedJob:
        """The job as Slurm has it."""
        return next(job for job in self.slurm.cluster.jobs if job.job_id == job_id)

    def record(self, job_id: int) -> dict[str, object]:
        """Its record."""
        return dict(json.loads(self.job(job_id).admin_comment))

    def change(self, job_id: int, **fields: object) -> None:
        """Somebody changes a job."""
        self.slurm.put(replace(self.job(job_id), **fields))  # type: ignore[arg-type]

    def audit(self) -> list[tuple[str, str]]:
        """(action, result) of the audit log."""
        path = self.root / "audit.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(line["action"], line["result"]) for line in lines]

    def reserved(self) -> int:
        """What the site's caps hold reserved."""
        return max((usage.reserved_micro for usage in self.book.usage()), default=0)


@pytest.fixture
def make_job() -> Callable[..., QueuedJob]:
    """`make_job(id, het, pins=…, any field=…)`: a job that was placed on-premises and waits."""
    return _job


@pytest.fixture
def make_only() -> Callable[..., QueuedJob]:
    """`make_only(id, het, any field=…)`: a burst=only job as the plugin accepts it."""
    return _only


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder whose disk is memory: hundreds of ledgers are made, and each act is synced."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-", dir=base) as folder:
        yield Path(folder)


@pytest.fixture
def make_desk(memory: Path) -> Iterator[Callable[..., Desk]]:
    """`make_desk(job, …)`: admission with those jobs waiting."""
    books: list[Book] = []

    def make(*jobs: QueuedJob) -> Desk:
        clock = FixedClock(NOW)
        root = memory / f"desk{len(books)}"
        root.mkdir()
        books.append(Book(Book.path_in(root), clock, cluster="test"))
        cluster = small_cluster()
        slurm = FakeSlurm(replace(cluster, jobs=(*cluster.jobs, *jobs)), released_priority=100)
        return Desk(slurm, books[-1], clock, root, io.StringIO())

    yield make
    for book in books:
        book.close()

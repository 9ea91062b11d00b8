"""Pending jobs on a small cluster in memory, and a rebinder on it whose clock stands still."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cluster import Cluster, Gres, Node, Partition, QueuedJob
from hetslurm.controller.audit import Audit
from hetslurm.controller.cycle import plan_cycle, slot_of
from hetslurm.controller.event import Event
from hetslurm.controller.rebind import Rebinder, RebindReport
from hetslurm.controller.rebind_ledger import RebindLedger
from hetslurm.daemon.log import Log
from hetslurm.daemon.stop import Stop
from hetslurm.native.kernel import View
from hetslurm.site import RebindSite, Site
from hetslurm.slurm.fake import FakeSlurm

NOW = 1_800_000_000.0
IDLE, DRAIN = frozenset({"IDLE"}), frozenset({"IDLE", "DRAIN"})
HET = "target=cpu,cpus=16,time=1:00:00;target=gpu:a100:1,cpus=8,mem=8G,time=0:30:00"
SITE = Site(rebind=RebindSite(mode="on"), cycle_s=2.0)


def make_cluster(*jobs: QueuedJob, version: tuple[int, int, int] = (22, 5, 8)) -> Cluster:
    """4 cpu nodes of 16 cpus, 2 nodes with one A100 each, 1 with a U250."""
    cpu = [Node(f"cpu{i}", 16, 65536, IDLE) for i in range(1, 5)]
    gpu = [Node(f"gpu{i}", 16, 65536, IDLE, gres=(Gres("gpu", "a100", 1),)) for i in (1, 2)]
    fpga = [Node("fpga1", 16, 65536, IDLE, gres=(Gres("fpga", "u250", 1),))]
    parts = (
        Partition("cpu", tuple(n.name for n in cpu), is_default=True),
        Partition("gpu", tuple(n.name for n in gpu)),
        Partition("fpga", tuple(n.name for n in fpga)),
    )
    return Cluster("test", version, NOW, (*cpu, *gpu, *fpga), parts, jobs, uids={"ann": 4001})


def make_job(
    job_id: int,
    het: str = HET,
    *,
    alt: int = 0,
    pool: str = "cpu",
    pins: str = "",
    moves: int = 0,
    **fields: Any,
) -> QueuedJob:
    """A job that the plugin placed 20 minutes ago."""
    kind, _, type_ = ("gpu", "", "a100") if pool == "gpu" else (pool, "", "")
    record: dict[str, object] = {"hetslurm": 1, "state": "placed", "gen": 3, "target": "t", "kind": kind}
    record |= {"type": type_, "alt": alt, "pool": pool, "partition": pool, "pins": pins}
    record |= {"moves": moves} if moves else {}
    job = QueuedJob(
        job_id=job_id,
        state="PENDING",
        partition=pool,
        user="ann",
        nodes=1,
        cpus=16,
        mem_mb_per_node=0,
        time_limit_min=60,
        priority=1000 - job_id,
        submit_at=NOW - 1200 + job_id,
        start_at=None,
        end_at=None,
        reason="Resources",
        gres=(Gres("gpu", "a100", 1),) if pool == "gpu" else (),
        admin_comment=json.dumps(record | {"het": het}, separators=(",", ":")),
        predicted_run_s=3600.0,
    )
    return replace(job, **fields)


@dataclass
class Kept:
    """Keeps events in a list."""

    events: list[Event] = field(default_factory=list)

    def add(self, events: Sequence[Event]) -> None:
        """See Events."""
        self.events += events


@dataclass
class Desk:
    """A rebinder, what it works on, and what it said."""

    slurm: FakeSlurm
    root: Path
    site: Site = SITE
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    stop: Stop = field(default_factory=Stop)
    out: io.StringIO = field(default_factory=io.StringIO)
    kept: Kept = field(default_factory=Kept)
    rebinder: Rebinder | None = None
    ledger: RebindLedger | None = None

    def open(self, slurm: Any = None, ledger: Any = None) -> Rebinder:
        """A new controller on what the last one left."""
        if self.ledger is not None:
            self.ledger.close()
        self.ledger = RebindLedger(self.root)
        log = Log("json", self.out, self.clock)
        self.rebinder = Rebinder(
            slurm or self.slurm,
            ledger(self.ledger) if ledger else self.ledger,
            Audit(self.root, self.clock),
            events=self.kept,
            log=log,
            clock=self.clock,
        )
        return self.rebinder

    def cycle(self) -> RebindReport:
        """One cycle on the cluster as it is."""
        rebinder = self.rebinder or self.open()
        cluster = replace(self.slurm.cluster, read_at=self.clock.now())
        plan = plan_cycle(cluster, self.site)
        view = View(slot_of(plan, cluster, self.site, 7, self.clock.now()))
        until = self.clock.monotonic() + 60
        return rebinder.cycle(plan, cluster, view, self.site, until=until, stop=self.stop)

    def settle(self, seconds: float = 30.0) -> RebindReport:
        """A cycle that sees how things are, and another one once they have been so for a while."""
        self.cycle()
        self.clock.advance(seconds)
        return self.cycle()

    def drain(self, *prefixes: str, state: frozenset[str] = DRAIN) -> None:
        """Take nodes out, or bring them back."""
        for node in self.slurm.cluster.nodes:
            if node.name.startswith(prefixes):
                self.slurm.put_node(replace(node, state=state))

    def job(self, job_id: int) -> QueuedJob:
        """A job now."""
        return self.slurm.read_job(job_id).job

    def record(self, job_id: int) -> dict[str, Any]:
        """Its record."""
        return dict(json.loads(self.job(job_id).admin_comment))

    def whats(self) -> list[str]:
        """What happened, in order."""
        return [str(event.what) for event in self.kept.events]

    def updates(self) -> list[int]:
        """Jobs that were changed."""
        return [job for verb, job, _ in self.slurm.calls if verb == "update"]


@pytest.fixture
def pending() -> Callable[..., QueuedJob]:
    """`pending(id, het, pool=…, pins=…, any field=…)`: a job that waits where it was placed."""
    return make_job


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on tmpfs: the ledger's and the audit's fsync would take most of a test's time."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-", dir=base) as folder:
        yield Path(folder)


@pytest.fixture
def make_desk(memory: Path) -> Callable[..., Desk]:
    """`make_desk(job, …, site=…, version=…)`."""
    count = 0

    def make(*jobs: QueuedJob, version: tuple[int, int, int] = (22, 5, 8), site: Site = SITE) -> Desk:
        nonlocal count
        count += 1
        root = memory / f"d{count}"
        root.mkdir()
        return Desk(FakeSlurm(make_cluster(*jobs, version=version)), root, site)

    return make

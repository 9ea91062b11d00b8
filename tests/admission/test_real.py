"""Admission on a real Slurm: jobs leave, come home, and survive a controller that dies between two steps."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hetslurm.burst.spill import Spiller, SpillReport
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.policy import Policy, Purchase
from hetslurm.cloudburst.policy_file import load_policy
from hetslurm.cloudburst.provider.protocol import Quote
from hetslurm.controller.audit import Audit
from hetslurm.controller.cycle import plan_cycle
from hetslurm.daemon.log import Log
from hetslurm.sandbox import CloudGroup, Sandbox, Spec, parse_nodes
from hetslurm.site import Site
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.protocol import JobDetail, JobUpdate

pytestmark = pytest.mark.slurm

ALLOW = "#HET burst=allow preemptible=yes"
FULL = "#!/bin/sh\nsleep 1000\n"


class Died(BaseException):
    """The controller is gone."""


class Dying:
    """An adapter whose `at`-th change of Slurm is its last, before or after it took effect."""

    def __init__(self, adapter: CommandAdapter, at: int, *, after: bool) -> None:
        self._adapter, self._at, self._after = adapter, at, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._adapter, name)
        if name not in {"hold", "update_job", "release"}:
            return found

        def step(*arguments: Any, **options: Any) -> Any:
            self._at -= 1
            if self._at == 0 and not self._after:
                raise Died
            result = found(*arguments, **options)
            if self._at == 0:
                raise Died
            return result

        return step


@dataclass
class Yard:
    """A sandbox whose cloud partitions take jobs and start none, so that they can be looked at."""

    slurm: Sandbox
    adapter: CommandAdapter
    book: Book
    policy: Policy
    root: Path

    def spiller(self, adapter: Any = None) -> Spiller:
        """A new controller's admission."""
        clock = SystemClock()
        audit = Audit(self.root, clock)
        return Spiller(adapter or self.adapter, self.book, audit, log=Log(clock=clock), clock=clock)

    def step(self, spiller: Spiller) -> SpillReport:
        """One cycle's admission; its cloud partitions count as up."""
        cluster = self.adapter.read_cluster()
        cluster = replace(cluster, partitions=tuple(replace(p, state="UP") for p in cluster.partitions))
        now = time.time()
        quotes = {
            pool.partition: [Quote(pool.instance_type, Purchase.SPOT, zone, 400_000, 800_000, now)]
            for pool in self.policy.pools
            for zone in (pool.zones or ("",))
        }
        pools = plan_cycle(cluster, Site(), cloud=self.policy.partitions).pools
        return spiller.step(self.policy, Site(), cluster, pools, quotes, until=time.monotonic() + 60)

    def submit(self, target: str, partition: str, kind: str, type_: str = "") -> int:
        """A job that was placed on-premises and waits there."""
        script = f"#!/bin/sh\n#HET {target}\n{ALLOW}\nsleep 1\n"
        job_id = self.slurm.submit(script, "-o", "/dev/null")
        record = json.loads(self.adapter.read_job(job_id).job.admin_comment)
        record |= {"state": "placed", "target": kind, "kind": kind, "type": type_, "alt": 0}
        record |= {"pool": partition, "partition": partition, "run_s": 300}
        gres = [f"Gres={kind}:{type_}:1"] if type_ else []
        words = [f"JobId={job_id}", f"Partition={partition}", "NumNodes=1-1", "TimeLimit=5", *gres]
        self.slurm.run(["scontrol", "update", *words, "NumCPUs=16", "MinCPUsNode=16", "CPUsPerTask=16"])
        self.adapter.update_job(job_id, JobUpdate(admin_comment=json.dumps(record, separators=(",", ":"))))
        self.adapter.release(job_id)
        return job_id

    def detail(self, job_id: int) -> JobDetail:
        """The job as Slurm has it, less what changes by itself."""
        detail = self.adapter.read_job(job_id)
        job = replace(
            detail.job, reason="", priority=int(detail.job.priority > 0), start_at=None, end_at=None
        )
        return replace(detail, job=job, eligible_at=None)

    def close(self, *job_ids: int) -> None:
        """The jobs are over, and so is their money."""
        self.slurm.run(["scancel", *map(str, job_ids)])
        for reservation in self.book.open_reservations():
            self.book.release(reservation.res_id, "a test")


@pytest.fixture(scope="module")
def yard(make_session_sandbox: Callable[..., Sandbox]) -> Iterator[Yard]:
    spec = Spec(
        parse_nodes("cpu=2,gpu:a100=2"),
        controller=False,
        cloud=(CloudGroup(2), CloudGroup(1, "cgpu", kind="gpu", type="a100", devices=1)),
        burst_toml="[spill]\nmin_wait_s = 60\n",
    )
    slurm = make_session_sandbox(spec)
    for partition in ("cloud", "cgpu"):
        slurm.run(["scontrol", "update", f"PartitionName={partition}", "State=DOWN"])
    policy = load_policy(slurm.layout.burst_policy)
    root = Path(slurm.layout.controller_state)
    book = Book(Book.path_in(root), SystemClock(), policy.caps, cluster="sandbox")
    adapter = CommandAdapter(str(slurm.layout.slurm_conf))
    for node in ("cpu2", "gpu2"):
        slurm.run(["scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=a test"])
    for words in (("-p", "cpu", "-n", "16"), ("-p", "gpu", "--gres=gpu:a100:1", "-n", "16")):
        slurm.submit(FULL, "-t", "600", "-o", "/dev/null", *words)
    yield Yard(slurm, adapter, book, policy, root)
    book.close()


CPU = ("target=cpu cpus=16 time=5", "cpu", "cpu")
GPU = ("target=gpu:a100:1 cpus=16 time=5", "gpu", "gpu", "a100")


@pytest.mark.parametrize(("what", "cloud"), [(CPU, "cloud"), (GPU, "cgpu")])
def test_a_job_leaves_for_its_nodes_and_comes_home_as_it_was(
    yard: Yard, what: tuple[str, ...], cloud: str
) -> None:
    job_id = yard.submit(*what)
    before = yard.detail(job_id)
    spiller = yard.spiller()
    assert yard.step(spiller).spilled == 1
    there = yard.detail(job_id)
    (reservation,) = yard.book.open_reservations()
    assert (there.job.partition, there.required_nodes, there.job.priority) == (cloud, f"{cloud}1", 1)
    assert (there.job.gres, there.job.cpus) == (before.job.gres, before.job.cpus)
    assert reservation.wanted.node_names == (f"{cloud}1",)
    spiller.mover.return_home(reservation, "a test")
    assert yard.detail(job_id) == before
    assert yard.book.open_reservations() == ()
    node = f"{what[1]}2"
    yard.slurm.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"])
    until(yard.slurm, "it ran at home", lambda: yard.slurm.job(job_id)["JobState"] == "COMPLETED")
    yard.slurm.run(["scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=a test"])


def test_a_job_of_two_nodes_that_may_only_burst_gets_two_of_its_own(yard: Yard) -> None:
    script = "#!/bin/sh\n#HET target=cpu nodes=2 cpus=16 time=5\n#HET burst=only preemptible=yes\ntrue\n"
    job_id = yard.slurm.submit(script, "-o", "/dev/null")
    spiller = yard.spiller()
    assert yard.step(spiller).spilled == 1
    there = yard.detail(job_id)
    assert (there.job.partition, there.job.nodes, there.job.cpus) == ("cloud", 2, 32)
    assert (there.required_nodes, there.job.priority) == ("cloud[1-2]", 1)
    (reservation,) = yard.book.open_reservations()
    assert reservation.wanted.node_names == ("cloud1", "cloud2")
    spiller.mover.return_home(reservation, "a test")
    home = yard.adapter.read_job(job_id)
    assert (home.required_nodes, home.job.priority, home.job.reason) == ("", 0, "JobHeldUser")
    assert yard.step(spiller).spilled == 1
    assert yard.detail(job_id).required_nodes == "cloud[1-2]"
    yard.close(job_id)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_controller_that_dies_between_two_steps_leaves_the_job_whole(
    yard: Yard, at: int, after: bool
) -> None:
    job_id = yard.submit(*CPU)
    before = yard.detail(job_id)
    with pytest.raises(Died):
        yard.step(yard.spiller(Dying(yard.adapter, at, after=after)))
    spiller = yard.spiller()
    spiller.mover.finish()
    found, reservations = yard.detail(job_id), yard.book.open_reservations()
    if found.job.partition == "cloud":
        assert [r.wanted.node_names for r in reservations] == [(found.required_nodes,)]
        assert found.job.priority == 1
    else:
        assert found == before
        assert reservations == ()
    yard.close(job_id)


@pytest.mark.parametrize("at", [4, 5, 6])
def test_a_controller_that_dies_on_the_way_home_brings_the_job_home(yard: Yard, at: int) -> None:
    job_id = yard.submit(*CPU)
    before = yard.detail(job_id)
    spiller = yard.spiller(Dying(yard.adapter, at, after=True))
    yard.step(spiller)
    (reservation,) = yard.book.open_reservations()
    with pytest.raises(Died):
        spiller.mover.return_home(reservation, "a test")
    yard.spiller().mover.finish()
    assert yard.detail(job_id) == before
    assert yard.book.open_reservations() == ()
    yard.close(job_id)


def test_with_a_controller_a_job_runs_in_the_cloud_and_one_without_money_is_told(
    make_sandbox: Callable[..., Sandbox], tmp_path: Path
) -> None:
    caps = '[[cap]]\nlevel = "site"\nper = "day"\nlimit = 100\n'
    caps += '[[cap]]\nlevel = "user"\nname = "nobody"\nper = "day"\nlimit = 0\n'
    slurm = make_sandbox(
        Spec(
            parse_nodes("cpu=1"),
            cloud=(CloudGroup(2, boot_s=0.2, idle_s=3),),
            burst_toml=f"[spill]\nmin_wait_s = 60\n[retry]\nguard_s = 2\n{caps}",
        )
    )
    slurm.submit(FULL, "-n", "16", "-t", "600", "-o", "/dev/null")
    asked = f"#!/bin/sh\n#HET target=cpu cpus=16 time=5\n{ALLOW}\n"
    job_id = slurm.submit(f"{asked}echo $HET_POOL $SLURMD_NODENAME\n", "-o", f"{tmp_path}/out")
    poor = slurm.submit(f"{asked.replace('allow', 'only')}true\n", "-o", "/dev/null", user="nobody")
    why = "waits for a cloud instance: cap of user nobody, per day: 0.00 of 0.00 EUR used"
    until(slurm, "the job is told", lambda: why in slurm.job(poor)["AdminComment"])
    command = [sys.executable, "-P", "-m", "hetslurm", "burst", "plan", "--json"]
    plan = slurm.run(command, env={"HETSLURM_CONFIG": str(slurm.layout.config)})
    (waits,) = [job for job in json.loads(plan.stdout)["jobs"] if job["job_id"] == poor]
    assert (waits["verdict"], waits["cloud"]["partition"]) == ("wait", "cloud")
    assert "cap of user nobody" in waits["why"]
    until(slurm, "the job ran", lambda: slurm.job(job_id)["JobState"] == "COMPLETED")
    assert (tmp_path / "out").read_text().split() == ["cloud", "cloud1"]
    command = [sys.executable, "-P", "-m", "hetslurm", "explain", str(job_id), "--json"]
    told = json.loads(slurm.run(command, env={"HETSLURM_CONFIG": str(slurm.layout.config)}).stdout)
    assert told["chosen"]["partition"] == "cloud"
    waits = {one["partition"]: one["terms"]["wait_s"]["value"] for one in told["candidates"]}
    assert waits["cloud"] == 0
    assert waits["cpu"] > 60
    assert slurm.job(poor)["Reason"] == "JobHeldUser"
    with Book.reader(Book.path_in(slurm.layout.controller_state)) as book:
        until(slurm, "its money is given back", lambda: not book.open_reservations())
        (reservation,) = book.reservations()
        assert 0 < reservation.spent_micro < reservation.amount_micro


def until(slurm: Sandbox, what: str, test: Callable[[], bool]) -> None:
    slurm.waiting.until(what, test, daemons=["slurmctld"], patience_s=180.0)

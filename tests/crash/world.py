"""What no crash of ours touches: the clock, slurmctld with its power saving, and the cloud.

All in memory and as values, so that the world can be kept as it was at any step and gone on with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.policy import (
    Cap,
    CloudPool,
    Level,
    Period,
    Policy,
    ProviderSite,
    Purchase,
    Retry,
    Spill,
)
from hetslurm.cloudburst.provider.fake import FakeProvider
from hetslurm.cloudburst.provider.protocol import SeenState
from hetslurm.cluster import Cluster, Node, Partition, QueuedJob
from hetslurm.slurm.fake import FakeSlurm
from hetslurm.slurm.protocol import JobUpdate

NOW = 1_800_000_000.0
CAP_MICRO = 3_000_000
POOL = CloudPool(
    "cloud", "p", "big", (Purchase.SPOT, Purchase.ON_DEMAND), 1_000_000, zones=("z1", "z2"),
    boot_s=20, boot_timeout_s=120, idle_s=60, billed_least_s=60,
)  # fmt: skip
POLICY = Policy(
    providers=(ProviderSite("p", "local"),),
    pools=(POOL,),
    spill=Spill(min_wait_s=600),
    caps=(Cap(Level.SITE, "", Period.DAY, CAP_MICRO), Cap(Level.USER, "*", Period.DAY, CAP_MICRO)),
    retry=Retry(requeues=1, guard_s=60, heartbeat_s=60, grace_s=30, reservation_s=600),
)
HET = "target=cpu,cpus=2,time=10:00;preemptible=yes;burst=allow"
SUSPEND_S, SUSPEND_TIMEOUT_S, REQUEUE_DELAY_S, SILENT_S = 40.0, 15.0, 60.0, 30.0
_RUNS = frozenset({"RUNNING", "CONFIGURING"})


def job(job_id: int, run_s: float, **more: object) -> tuple[QueuedJob, float]:
    """A job that waits on-premises and may burst, and how long it runs."""
    record = {
        "hetslurm": 1, "state": "placed", "gen": 1, "target": "cpu", "kind": "cpu", "alt": 0, "pool": "cpu",
        "partition": "cpu", "score": 1.0, "run_s": 600, "pins": "", "het": HET,
    }  # fmt: skip
    made = QueuedJob(
        job_id, "PENDING", "cpu", "ann", 1, 2, 0, 10, 100, NOW - 10 + job_id, None, None, reason="Resources",
        account="acct", admin_comment=json.dumps(record, separators=(",", ":")),
    )  # fmt: skip
    return replace(made, **more), run_s  # type: ignore[arg-type]


def _cluster() -> Cluster:
    away = frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})
    nodes = (Node("n1", 2, 8000, frozenset({"ALLOCATED"}), cpus_allocated=2),)
    nodes += tuple(Node(name, 2, 8000, away) for name in ("c1", "c2"))
    busy = QueuedJob(
        1, "RUNNING", "cpu", "eve", 1, 2, 0, 6000, 100, NOW - 99, NOW - 90, NOW + 359_000, node_names=("n1",)
    )
    parts = (Partition("cpu", ("n1",), is_default=True), Partition("cloud", ("c1", "c2"), root_only=True))
    return Cluster("k", (22, 5, 8), NOW, nodes, parts, (busy,), uids={"ann": 4001})


@dataclass
class World:
    """One cluster with one busy node of its own, and two of a cloud. `runs` are jobs' run times, seconds.

    `programs` are nodes for which Slurm starts a program next: (name, nodes).
    """

    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    runs: dict[int, float] = field(default_factory=dict)
    programs: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    since: dict[str, float] = field(default_factory=dict)
    policy: Policy = POLICY

    def __post_init__(self) -> None:
        self.slurm = FakeSlurm(_cluster(), now=NOW)
        self.cloud = FakeProvider(self.clock, zones=("z1", "z2"))
        self._programmed: set[str] = set()

    def submit(self, one: tuple[QueuedJob, float]) -> None:
        """A job comes."""
        self.slurm.put(one[0])
        self.runs[one[0].job_id] = one[1]

    def state(self, job_id: int) -> str:
        """A job's state."""
        return next(j.state for j in self.slurm.cluster.jobs if j.job_id == job_id)

    def node(self, name: str) -> Node:
        """A node."""
        return self.slurm.read_node(name)

    def tick(self, seconds: float) -> None:
        """Slurm and the cloud go on by so much."""
        self.clock.advance(seconds)
        now = self.clock.now()
        self.slurm.now = now
        self.slurm.cluster = replace(self.slurm.cluster, read_at=now)
        for name in ("c1", "c2"):
            self._power(self.node(name), now)
        for one in self.slurm.cluster.jobs:
            self._run(one, now)
        for one in self.slurm.cluster.jobs:
            self._schedule(one, now)

    def lasted(self, key: str, holds: bool) -> float:
        """For how long something holds."""
        if not holds:
            self.since.pop(key, None)
            return -1.0
        return self.clock.now() - self.since.setdefault(key, self.clock.now())

    def _instance_runs(self, name: str) -> bool:
        return any(s.node == name and s.state is SeenState.RUNNING for s in self.cloud.alive())

    def _power(self, node: Node, now: float) -> None:
        name, state = node.name, node.state
        busy = any(name in j.node_names and j.state in _RUNS for j in self.slurm.cluster.jobs)
        going = "POWERING_DOWN" in state
        if going and name not in self._programmed:
            self._programmed.add(name)
            self.programs.append(("suspend", (name,)))
        down_for = self.lasted(f"going {name}", going)
        if down_for >= SUSPEND_TIMEOUT_S:
            self._programmed.discard(name)
            self.slurm.finish_power_down([name])
        up_for = self.lasted(f"coming {name}", "POWERING_UP" in state)
        if "POWERING_UP" in state:
            if self._instance_runs(name):
                self.slurm.put_node(replace(node, state=state - {"POWERING_UP"}))
            elif up_for >= POOL.boot_timeout_s:
                self.slurm.node_down([name], "ResumeTimeout reached")
                lost = self.node(name)
                self.slurm.put_node(replace(lost, state=lost.state | {"POWERED_DOWN"}))
                self.programs.append(("resume-fail", (name,)))
        is_up = not state & {"POWERED_DOWN", "POWERING_UP", "POWERING_DOWN", "DOWN"}
        silent_for = self.lasted(f"silent {name}", is_up and not self._instance_runs(name))
        if silent_for >= SILENT_S:
            self.slurm.node_down([name], "Not responding")
        idle_for = self.lasted(f"idle {name}", is_up and not busy)
        if idle_for >= SUSPEND_S and silent_for < 0:
            self.slurm.power_down([name])

    def _run(self, one: QueuedJob, now: float) -> None:
        if one.state == "CONFIGURING" and all(
            "POWERING_UP" not in self.node(n).state for n in one.node_names
        ):
            self.slurm.put(replace(one, state="RUNNING", start_at=now))
        elif one.state == "RUNNING" and one.job_id in self.runs and one.start_at is not None:
            ran = now - one.start_at
            limit_s = (one.time_limit_min or 0) * 60.0
            ends = "COMPLETED" if self.runs[one.job_id] <= limit_s else "TIMEOUT"
            if ran >= min(self.runs[one.job_id], limit_s):
                self.end(one.job_id, ends)

    def end(self, job_id: int, state: str) -> None:
        """A job is over; its nodes are idle."""
        one = next(j for j in self.slurm.cluster.jobs if j.job_id == job_id)
        self.slurm.put(replace(one, state=state, node_names=(), end_at=self.clock.now()))
        self._free(one.node_names)

    def _free(self, names: tuple[str, ...]) -> None:
        for name in names:
            node = self.node(name)
            if "ALLOCATED" in node.state:
                self.slurm.put_node(replace(node, state=node.state - {"ALLOCATED"} | {"IDLE"}))

    def _schedule(self, one: QueuedJob, now: float) -> None:
        """Only what asks for cloud nodes by name starts: the one at home is busy for days."""
        names = self.slurm.required.get(one.job_id, ())
        delayed = one.reason == "BeginTime" and now < one.submit_at + REQUEUE_DELAY_S
        if one.state != "PENDING" or one.priority == 0 or one.partition != "cloud" or not names or delayed:
            return
        nodes = [self.node(name) for name in names]
        if any("IDLE" not in n.state or n.state & {"DOWN", "DRAIN", "POWERING_DOWN"} for n in nodes):
            return
        cold = tuple(n.name for n in nodes if "POWERED_DOWN" in n.state)
        for node in nodes:
            state = node.state - {"IDLE", "POWERED_DOWN"} | {"ALLOCATED"}
            self.slurm.put_node(
                replace(node, state=state | ({"POWERING_UP"} if node.name in cold else frozenset()))
            )
        self.slurm.put(replace(one, state="CONFIGURING", node_names=names, reason="None"))
        if cold:
            self.programs.append(("resume", cold))

    def raise_limit(self, job_id: int, minutes: int) -> None:
        """An operator lets a running job run longer."""
        self.slurm.update_job(job_id, JobUpdate(time_limit_min=minutes))

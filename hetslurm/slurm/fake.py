"""A cluster in memory, for what the machine cannot have: faults, thousands of nodes, time that stands still.

It keeps jobs as they are told, starts none, and refuses what it does not know, in Slurm's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hetslurm.cluster import Cluster, Node, QueuedJob
from hetslurm.errors import SlurmRefused, SlurmUnavailable
from hetslurm.slurm.protocol import JobDetail, JobUpdate

T = TypeVar("T")
_HELD_PRIORITY = 0
_INVALID_JOB = "Invalid job id specified"
_INVALID_NODE = "slurm_update error: Invalid node name specified"
_MOST_WEIGHT = 4_294_967_280
_POWERING = frozenset({"POWERED_DOWN", "POWERING_UP"})


@dataclass(slots=True)
class FakeSlurm:
    """A SlurmAdapter over a Cluster value.

    `is_down` makes every call raise SlurmUnavailable. `calls` records each change of a job: (verb, job id,
    update or None). `released_priority` is what a released job gets. `user` is who changes nodes, `now`
    when (Unix seconds), `node_updates` how many such changes there were.
    """

    cluster: Cluster
    scripts: dict[int, bytes] = field(default_factory=dict)
    is_down: bool = False
    released_priority: int = 1
    calls: list[tuple[str, int, JobUpdate | None]] = field(default_factory=list)
    user: str = "slurm"
    now: float = 0.0
    started_at: float = 0.0
    node_updates: int = 0

    def read_cluster(self) -> Cluster:
        """See SlurmAdapter."""
        self._answer()
        return self.cluster

    def read_job(self, job_id: int) -> JobDetail:
        """See SlurmAdapter."""
        return JobDetail(job=self._job(job_id))

    def batch_script(self, job_id: int) -> bytes:
        """See SlurmAdapter."""
        self._job(job_id)
        if job_id not in self.scripts:
            raise SlurmRefused(f"job script retrieval failed: no script of job {job_id}")
        return self.scripts[job_id]

    def update_job(self, job_id: int, update: JobUpdate) -> None:
        """See SlurmAdapter. Refuses what Slurm would: a job that runs, a partition that is not there."""
        job = self._pending(job_id)
        names = {p.name for p in self.cluster.partitions}
        if update.partition is not None and not set(update.partition.split(",")) <= names:
            raise SlurmRefused(f"Invalid partition name specified for job {job_id}")
        if update.gres == () and job.gres:
            raise SlurmRefused(f"Invalid Trackable RESource (TRES) specification for job {job_id}")
        nodes = job.nodes if update.nodes is None else update.nodes
        per_node = None if update.cpus_per_node is None else update.cpus_per_node * nodes
        self.put(
            replace(
                job,
                partition=_first(update.partition, job.partition),
                gres=_first(update.gres, job.gres),
                nodes=nodes,
                cpus=_first(per_node, job.cpus),
                mem_mb_per_node=_first(update.mem_mb_per_node, job.mem_mb_per_node),
                time_limit_min=_first(update.time_limit_min, job.time_limit_min),
                admin_comment=_first(update.admin_comment, job.admin_comment),
                qos=_first(update.qos, job.qos),
            )
        )
        self.calls.append(("update", job_id, update))

    def hold(self, job_id: int) -> None:
        """See SlurmAdapter."""
        self.put(replace(self._pending(job_id), priority=_HELD_PRIORITY, reason="JobHeldAdmin"))
        self.calls.append(("hold", job_id, None))

    def release(self, job_id: int) -> None:
        """See SlurmAdapter."""
        self.put(replace(self._pending(job_id), priority=self.released_priority, reason="None"))
        self.calls.append(("release", job_id, None))

    def read_node(self, name: str) -> Node:
        """See SlurmAdapter."""
        self._answer()
        for node in self.cluster.nodes:
            if node.name == name:
                return node
        raise SlurmRefused(_INVALID_NODE)

    def read_nodes(self, names: Sequence[str]) -> tuple[Node, ...]:
        """See SlurmAdapter."""
        return tuple(self.read_node(name) for name in names)

    def drain_node(self, name: str, reason: str) -> None:
        """See SlurmAdapter. As slurmctld: the same reason again is no change, an empty one is refused."""
        node = self.read_node(name)
        if not reason:
            raise SlurmRefused("You must specify a reason when DOWNING or DRAINING a node. Request denied")
        if node.state & _POWERING and node.state & {"ALLOCATED", "MIXED"}:
            raise SlurmRefused("a drain here would requeue the jobs of a node that powers up")
        self.node_updates += 1
        if "DRAIN" not in node.state or node.reason != reason:
            state = node.state - {"FAIL"} | {"DRAIN"}
            drained = replace(node, state=state, reason=reason, reason_by=self.user, reason_at=self.now)
            self.put_node(drained)

    def resume_node(self, name: str) -> None:
        """See SlurmAdapter. The reason stays with a node that is down."""
        node = self.read_node(name)
        self.node_updates += 1
        if "DOWN" in node.state:
            self.put_node(replace(node, state=node.state - {"DRAIN"}))
        else:
            free = replace(node, state=node.state - {"DRAIN"}, reason="", reason_by="", reason_at=None)
            self.put_node(free)

    def set_node_weight(self, names: Sequence[str], weight: int) -> None:
        """See SlurmAdapter. Refused in scontrol's words beyond what it takes."""
        if weight > _MOST_WEIGHT:
            raise SlurmRefused(f"Weight value ({weight}) is greater than {_MOST_WEIGHT}")
        if weight < 0:
            raise SlurmRefused(f"Weight value ({weight}) is less than zero")
        nodes = self.read_nodes(names)
        self.node_updates += 1
        for node in nodes:
            self.put_node(replace(node, weight=weight))

    def count_node_updates(self) -> int:
        """See SlurmAdapter."""
        self._answer()
        return self.node_updates

    def controller_started_at(self) -> float:
        """See SlurmAdapter."""
        self._answer()
        return self.started_at

    def put_node(self, node: Node) -> None:
        """Replace the node of its name."""
        nodes = tuple(node if other.name == node.name else other for other in self.cluster.nodes)
        self.cluster = replace(self.cluster, nodes=nodes)

    def put(self, job: QueuedJob) -> None:
        """Add a job, or replace the one of its id."""
        jobs = {j.job_id: j for j in self.cluster.jobs} | {job.job_id: job}
        self.cluster = replace(self.cluster, jobs=tuple(jobs.values()))

    def _answer(self) -> None:
        if self.is_down:
            raise SlurmUnavailable("Unable to contact slurm controller (connect failure)")

    def _job(self, job_id: int) -> QueuedJob:
        self._answer()
        for job in self.cluster.jobs:
            if job.job_id == job_id:
                return job
        raise SlurmRefused(_INVALID_JOB)

    def _pending(self, job_id: int) -> QueuedJob:
        job = self._job(job_id)
        if job.state != "PENDING":
            raise SlurmRefused(f"Job is no longer pending execution for job {job_id}")
        return job


def _first(new: T | None, old: T) -> T:
    return old if new is None else new

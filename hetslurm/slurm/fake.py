"""A cluster in memory, for what the machine cannot have: faults, thousands of nodes, time that stands still.

It keeps jobs as they are told, starts none, and refuses what it does not know, in Slurm's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from hetslurm.cluster import Cluster, Node, PriorityRules, QueuedJob
from hetslurm.errors import SlurmRefused, SlurmUnavailable
from hetslurm.slurm.ended import EndedJob
from hetslurm.slurm.job_text import expand_tasks
from hetslurm.slurm.protocol import JobDetail, JobUpdate, PowerDown

T = TypeVar("T")
_HELD_PRIORITY = 0
_INVALID_JOB = "Invalid job id specified"
_INVALID_NODE = "slurm_update error: Invalid node name specified"
_MOST_WEIGHT = 4_294_967_280
_POWERING = frozenset({"POWERED_DOWN", "POWERING_UP"})
_POWER = frozenset({"POWERED_DOWN", "POWERING_UP", "POWERING_DOWN", "POWER_DOWN", "POWER_UP"})
_RUNNING = frozenset({"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED"})
_ALIVE = _RUNNING | {"PENDING"}
_BASES = frozenset({"IDLE", "MIXED", "ALLOCATED", "DOWN"})


@dataclass(slots=True)
class FakeSlurm:
    """A SlurmAdapter over a Cluster value.

    `is_down` makes every call raise SlurmUnavailable. `calls` records each change of a job: (verb, job id,
    update or None). `released_priority` is what a released job gets. `user` is who changes nodes, `now`
    when (Unix seconds), `node_updates` how many such changes there were. `told` are the texts and signals
    that jobs got, `required` what ReqNodeList says of a job, `restarts` how often it ran before,
    `addresses` where nodes were said to be. `ended` are runs that are over: `in_database` what slurmdbd knows
    of, while `database_is_down` is not set.
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
    told: list[tuple[int, str]] = field(default_factory=list)
    required: dict[int, tuple[str, ...]] = field(default_factory=dict)
    restarts: dict[int, int] = field(default_factory=dict)
    addresses: dict[str, tuple[str, str]] = field(default_factory=dict)
    priority: PriorityRules = PriorityRules("priority/multifactor", 1000)
    site_factors: dict[int, int] = field(default_factory=dict)
    ended: list[EndedJob] = field(default_factory=list)
    in_database: list[EndedJob] = field(default_factory=list)
    database_is_down: bool = False

    def read_cluster(self) -> Cluster:
        """See SlurmAdapter."""
        self._answer()
        return self.cluster

    def read_job(self, job_id: int) -> JobDetail:
        """See SlurmAdapter."""
        job = self._job(job_id)
        return JobDetail(
            job=job,
            required_nodes=",".join(self.required.get(job_id, ())),
            restarts=self.restarts.get(job_id, 0),
        )

    def ended_between(self, since: float, until: float) -> tuple[EndedJob, ...]:
        """See SlurmAdapter."""
        if self.database_is_down or not self.cluster.has_database:
            raise SlurmUnavailable("slurmdbd: Connection refused")
        return tuple(
            job for job in self.in_database if int(since) <= int(job.start_at + job.run_s) <= int(until)
        )

    def ended_lately(self) -> tuple[EndedJob, ...]:
        """See SlurmAdapter."""
        self._answer()
        return tuple(self.ended)

    def read_task(self, array_job_id: int, task: int) -> JobDetail:
        """See SlurmAdapter."""
        self._answer()
        for job in self.cluster.jobs:
            if job.array_job_id == array_job_id and job.array_task == str(task):
                return self.read_job(job.job_id)
        raise SlurmRefused(_INVALID_JOB)

    def batch_script(self, job_id: int) -> bytes:
        """See SlurmAdapter."""
        self._job(job_id)
        if job_id not in self.scripts:
            raise SlurmRefused(f"job script retrieval failed: no script of job {job_id}")
        return self.scripts[job_id]

    def update_job(
        self, job_id: int, update: JobUpdate, *, leads_het_job: bool = False, task: int | None = None
    ) -> None:
        """See SlurmAdapter. Refuses what Slurm would: a job that runs, a partition that is not there."""
        if task is not None:
            job_id = self._own_record(job_id, task).job_id
        is_limit = update == JobUpdate(
            time_limit_min=update.time_limit_min, admin_comment=update.admin_comment
        )
        job = self._job(job_id) if is_limit else self._pending(job_id)
        self._check_component(job, leads_het_job)
        if leads_het_job and update.nodes not in (None, 1):
            raise SlurmRefused(f"Invalid job ID {job_id}+0")
        names = {p.name for p in self.cluster.partitions}
        if update.partition is not None and not set(update.partition.split(",")) <= names:
            raise SlurmRefused(f"Invalid partition name specified for job {job_id}")
        if update.gres == () and job.gres and not update.clear_gres:
            raise SlurmRefused(f"Invalid Trackable RESource (TRES) specification for job {job_id}")
        if update.node_names:
            self.read_nodes(update.node_names)
        nodes = job.nodes if update.nodes is None else update.nodes
        per_node = None if update.cpus_per_node is None else update.cpus_per_node * nodes
        self.put(
            replace(
                job,
                partition=_first(update.partition, job.partition),
                gres=_first(update.gres, () if update.clear_gres else job.gres),
                nodes=nodes,
                cpus=_first(per_node, job.cpus),
                mem_mb_per_node=_first(update.mem_mb_per_node, job.mem_mb_per_node),
                time_limit_min=_first(update.time_limit_min, job.time_limit_min),
                admin_comment=_first(update.admin_comment, job.admin_comment),
                qos=_first(update.qos, job.qos),
                reason="None" if update.start_now else job.reason,
            )
        )
        if update.site_factor is not None:
            self.site_factors[job_id] = update.site_factor
        if update.node_names is not None:
            self.required[job_id] = update.node_names
        self.calls.append(("update", job_id, update))

    def hold(self, job_id: int, *, by_author: bool = False) -> None:
        """See SlurmAdapter."""
        reason = "JobHeldUser" if by_author else "JobHeldAdmin"
        self.put(replace(self._pending(job_id), priority=_HELD_PRIORITY, reason=reason))
        self.calls.append(("hold", job_id, None))

    def release(self, job_id: int, *, leads_het_job: bool = False, task: int | None = None) -> None:
        """See SlurmAdapter."""
        if task is not None:
            job_id = self.read_task(job_id, task).job.job_id
        self._check_component(self._pending(job_id), leads_het_job)
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

    def read_priority(self) -> PriorityRules:
        """See SlurmAdapter."""
        self._answer()
        return self.priority

    def read_site_factors(self) -> dict[int, int]:
        """See SlurmAdapter."""
        self._answer()
        if not self.priority.has_factors:
            raise SlurmRefused("sprio: You are not running a supported priority plugin")
        waiting = (job for job in self.cluster.jobs if job.state == "PENDING" and job.priority)
        return {job.job_id: self.site_factors.get(job.job_id, 0) for job in waiting}

    def node_down(self, names: Sequence[str], reason: str) -> None:
        """See SlurmAdapter."""
        nodes = self.read_nodes(names)
        if not reason:
            raise SlurmRefused("You must specify a reason when DOWNING or DRAINING a node. Request denied")
        self.node_updates += 1
        for node in nodes:
            state = node.state - _BASES - {"POWERING_UP"} | {"DOWN"}
            self.put_node(replace(node, state=state, reason=reason, reason_by=self.user, reason_at=self.now))
        self._requeue_from(names)

    def power_down(self, names: Sequence[str], how: PowerDown = PowerDown.FORCE) -> None:
        """See SlurmAdapter. A node is on its way down until `finish_power_down`."""
        nodes = self.read_nodes(names)
        self.node_updates += 1
        if how is PowerDown.FORCE:
            self._requeue_from(names)
        for node in nodes:
            busy = any(job.state == "RUNNING" and node.name in job.node_names for job in self.cluster.jobs)
            flag = "POWER_DOWN" if busy else "POWERING_DOWN"
            self.put_node(replace(node, state=node.state - _POWER | {flag}))

    def finish_power_down(self, names: Sequence[str]) -> None:
        """What Slurm does SuspendTimeout after its SuspendProgram. The reason stays."""
        for node in self.read_nodes(names):
            if "POWERING_DOWN" in node.state:
                state = node.state - _BASES - _POWER - {"DRAIN", "NOT_RESPONDING"} | {"IDLE", "POWERED_DOWN"}
                self.put_node(replace(node, state=state))

    def power_up(self, names: Sequence[str]) -> None:
        """See SlurmAdapter. It stays POWERING_UP."""
        nodes = self.read_nodes(names)
        self.node_updates += 1
        for node in nodes:
            self.put_node(replace(node, state=node.state - _POWER | {"POWERING_UP"}))

    def set_node_address(self, name: str, address: str, hostname: str) -> None:
        """See SlurmAdapter."""
        self.read_node(name)
        self.node_updates += 1
        self.addresses[name] = (address, hostname)

    def requeue(self, job_id: int) -> None:
        """See SlurmAdapter."""
        job = self._running(job_id)
        idle = {"state": "PENDING", "node_names": (), "start_at": None, "end_at": None, "reason": "BeginTime"}
        # Slurm submits it anew: no run has the submit time of another one.
        self.put(replace(job, **idle, submit_at=max(self.now, job.submit_at + 1)))  # type: ignore[arg-type]
        self.calls.append(("requeue", job_id, None))

    def cancel(self, job_id: int) -> None:
        """See SlurmAdapter."""
        self._answer()
        for job in self.cluster.jobs:
            if job.job_id == job_id and job.state in _ALIVE:
                self.put(replace(job, state="CANCELLED", end_at=self.now))
        self.calls.append(("cancel", job_id, None))

    def signal(self, job_id: int, signal: str, *, batch: bool = False) -> None:
        """See SlurmAdapter."""
        self._answer()
        if any(job.job_id == job_id and job.state in _RUNNING for job in self.cluster.jobs):
            self.told.append((job_id, f"{signal} batch" if batch else signal))

    def notify(self, job_id: int, text: str) -> None:
        """See SlurmAdapter."""
        self._running(job_id)
        self.told.append((job_id, text))

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

    def _own_record(self, array_job_id: int, task: int) -> QueuedJob:
        """The record of one task; the first that is changed alone leaves those that wait together."""
        self._answer()
        for job in self.cluster.jobs:
            tasks = expand_tasks(job.array_task)
            if job.array_job_id != array_job_id or task not in tasks:
                continue
            if len(tasks) == 1:
                return job
            rest = ",".join(str(one) for one in tasks if one != task)
            self.put(replace(job, array_task=rest, tasks=len(tasks) - 1))
            ids = (other.job_id for other in self.cluster.jobs)
            own = replace(job, job_id=max(ids) + 1, array_task=str(task), tasks=1)
            self.put(own)
            return own
        raise SlurmRefused(_INVALID_JOB)

    def _requeue_from(self, names: Sequence[str]) -> None:
        lost = set(names)
        for job in self.cluster.jobs:
            if job.state in _RUNNING and lost & set(job.node_names):
                self.requeue(job.job_id)

    def _running(self, job_id: int) -> QueuedJob:
        job = self._job(job_id)
        if job.state not in _RUNNING:
            raise SlurmRefused(f"Job/step already completing or completed for job {job_id}")
        return job

    def _check_component(self, job: QueuedJob, leads_het_job: bool) -> None:
        """Slurm would change all components under the bare id of the first; nobody here means that."""
        if job.leads_het_job is not leads_het_job:
            raise SlurmRefused(f"job {job.job_id} is not the component that it was taken for")

    def _pending(self, job_id: int) -> QueuedJob:
        job = self._job(job_id)
        if job.state != "PENDING":
            raise SlurmRefused(f"Job is no longer pending execution for job {job_id}")
        return job


def _first(new: T | None, old: T) -> T:
    return old if new is None else new

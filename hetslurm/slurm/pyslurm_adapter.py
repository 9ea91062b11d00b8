"""The adapter over pyslurm, for sites that have the release that matches their Slurm.

pyslurm (new API, 23.11 and later) brings nodes and the queue without starting a command. All else goes
through Slurm's commands even here: partitions (pyslurm's `allow_root_jobs` says the opposite of its
name), associations and settings, which are few; and every change, since pyslurm's `Job.modify` cannot set
the number of nodes.

Not run against a live slurmctld by this project's tests, which have Slurm 22.05: pyslurm has one release
per Slurm release and none for that one. What the tests hold is the translation, on objects with the
attributes of pyslurm 25.11's classes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hetslurm.cluster import Cluster, Gres, Node, PriorityRules, QueuedJob
from hetslurm.errors import SlurmError, SlurmUnavailable
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.ended import EndedJob
from hetslurm.slurm.gres import parse_gres
from hetslurm.slurm.hostlist import expand_hostlist
from hetslurm.slurm.job_text import count_array_tasks
from hetslurm.slurm.node_text import parse_state
from hetslurm.slurm.protocol import JobDetail, JobUpdate, PowerDown
from hetslurm.slurm.record import predicted_run_s
from hetslurm.slurm.version import parse_version

OLDEST = (23, 11)


def import_pyslurm() -> Any:
    """The module. Raises SlurmError where it is not installed, or cannot be loaded."""
    try:
        return importlib.import_module("pyslurm")
    except Exception as cause:  # a C extension can fail in any way, and must not take the controller with it
        raise SlurmError(f"pyslurm cannot be imported: {cause}") from cause


def check_release(pyslurm_version: str, slurm_version: tuple[int, int, int]) -> None:
    """Raise SlurmError unless pyslurm has the new API and is of Slurm's own release."""
    found = parse_version(f"{pyslurm_version}.0")
    if found[:2] != slurm_version[:2] or found[:2] < OLDEST:
        raise SlurmError(
            f"pyslurm {pyslurm_version} does not fit Slurm {slurm_version[0]}.{slurm_version[1]:02d}"
            f" (it must be {OLDEST[0]}.{OLDEST[1]} or later, and of the same release)"
        )


@dataclass(slots=True)
class PyslurmAdapter:
    """See SlurmAdapter. `pyslurm` is the module."""

    pyslurm: Any
    commands: CommandAdapter

    def read_cluster(self) -> Cluster:
        """See SlurmAdapter."""
        cluster = self.commands.read_rest()
        try:
            jobs = tuple(translate_job(job) for job in self.pyslurm.Jobs.load().values())
            nodes = [translate_node(node) for node in self.pyslurm.Nodes.load().values()]
        except self.pyslurm.RPCError as cause:
            raise SlurmUnavailable(f"pyslurm: {cause}") from cause
        live = tuple(job for job in jobs if job.state in {"PENDING", "RUNNING", "SUSPENDED", "COMPLETING"})
        nodes = [node for node in nodes if "FUTURE" not in node.state]
        return replace(cluster, nodes=tuple(count_gres_used(nodes, live)), jobs=live)

    def read_job(self, job_id: int) -> JobDetail:
        """See SlurmAdapter."""
        return self.commands.read_job(job_id)

    def ended_between(self, since: float, until: float) -> tuple[EndedJob, ...]:
        """See SlurmAdapter."""
        return self.commands.ended_between(since, until)

    def ended_lately(self) -> tuple[EndedJob, ...]:
        """See SlurmAdapter."""
        return self.commands.ended_lately()

    def read_task(self, array_job_id: int, task: int) -> JobDetail:
        """See SlurmAdapter."""
        return self.commands.read_task(array_job_id, task)

    def batch_script(self, job_id: int) -> bytes:
        """See SlurmAdapter."""
        return self.commands.batch_script(job_id)

    def update_job(
        self, job_id: int, update: JobUpdate, *, leads_het_job: bool = False, task: int | None = None
    ) -> None:
        """See SlurmAdapter."""
        self.commands.update_job(job_id, update, leads_het_job=leads_het_job, task=task)

    def hold(self, job_id: int, *, by_author: bool = False) -> None:
        """See SlurmAdapter."""
        self.commands.hold(job_id, by_author=by_author)

    def release(self, job_id: int, *, leads_het_job: bool = False, task: int | None = None) -> None:
        """See SlurmAdapter."""
        self.commands.release(job_id, leads_het_job=leads_het_job, task=task)

    def read_node(self, name: str) -> Node:
        """See SlurmAdapter."""
        return self.commands.read_node(name)

    def read_nodes(self, names: Sequence[str]) -> tuple[Node, ...]:
        """See SlurmAdapter."""
        return self.commands.read_nodes(names)

    def drain_node(self, name: str, reason: str) -> None:
        """See SlurmAdapter."""
        self.commands.drain_node(name, reason)

    def resume_node(self, name: str) -> None:
        """See SlurmAdapter."""
        self.commands.resume_node(name)

    def set_node_weight(self, names: Sequence[str], weight: int) -> None:
        """See SlurmAdapter."""
        self.commands.set_node_weight(names, weight)

    def count_node_updates(self) -> int:
        """See SlurmAdapter."""
        return self.commands.count_node_updates()

    def controller_started_at(self) -> float:
        """See SlurmAdapter."""
        return self.commands.controller_started_at()

    def read_priority(self) -> PriorityRules:
        """See SlurmAdapter."""
        return self.commands.read_priority()

    def read_site_factors(self) -> dict[int, int]:
        """See SlurmAdapter."""
        return self.commands.read_site_factors()

    def node_down(self, names: Sequence[str], reason: str) -> None:
        """See SlurmAdapter."""
        self.commands.node_down(names, reason)

    def power_down(self, names: Sequence[str], how: PowerDown = PowerDown.FORCE) -> None:
        """See SlurmAdapter."""
        self.commands.power_down(names, how)

    def power_up(self, names: Sequence[str]) -> None:
        """See SlurmAdapter."""
        self.commands.power_up(names)

    def set_node_address(self, name: str, address: str, hostname: str) -> None:
        """See SlurmAdapter."""
        self.commands.set_node_address(name, address, hostname)

    def requeue(self, job_id: int) -> None:
        """See SlurmAdapter."""
        self.commands.requeue(job_id)

    def cancel(self, job_id: int) -> None:
        """See SlurmAdapter."""
        self.commands.cancel(job_id)

    def signal(self, job_id: int, signal: str, *, batch: bool = False) -> None:
        """See SlurmAdapter."""
        self.commands.signal(job_id, signal, batch=batch)

    def notify(self, job_id: int, text: str) -> None:
        """See SlurmAdapter."""
        self.commands.notify(job_id, text)


def translate_node(node: Any) -> Node:
    """A `pyslurm.Node`. Its `allocated_gres` knows only TRES that are accounted: see `count_gres_used`."""
    return Node(
        name=node.name,
        cpus=node.effective_cpus or node.total_cpus,
        mem_mb=max(0, (node.real_memory or 0) - (node.memory_reserved_for_system or 0)),
        state=parse_state(node.state),
        gres=_gres(node.configured_gres),
        gres_used=_gres(node.allocated_gres),
        cpus_allocated=node.allocated_cpus or 0,
        mem_mb_allocated=node.allocated_memory or 0,
        features=frozenset(node.active_features or ()),
        reason=node.reason or "",
        reason_by=(node.reason_user or "") if node.reason else "",
        reason_at=float(node.reason_time) if node.reason and node.reason_time else None,
        weight=node.weight or 0,  # None there: 0
    )


def translate_job(job: Any) -> QueuedJob:
    """A `pyslurm.Job`. An unlimited and an unset time limit look alike there; both become None."""
    waiting = job.array_tasks_waiting or ""
    at_once = job.array_tasks_parallel
    tasks = count_array_tasks(f"{waiting}%{at_once}" if waiting and at_once else waiting)
    one_task = str(job.array_task_id) if job.array_id and job.array_task_id is not None else ""
    nodes = job.num_nodes or 1
    return QueuedJob(
        job_id=job.id,
        state=(job.state or "").upper(),
        partition=job.partition or "",
        user=job.user_name or "",
        nodes=nodes,
        cpus=job.cpus or 1,
        mem_mb_per_node=-(-(job.memory or 0) // nodes),
        time_limit_min=job.time_limit,
        priority=job.priority or 0,
        submit_at=float(job.submit_time or 0),
        start_at=float(job.start_time) if job.start_time else None,
        end_at=float(job.end_time) if job.end_time else None,
        gres=_gres(job.gres_per_node),
        node_names=expand_hostlist(job.allocated_nodes or ""),
        tasks=tasks,
        reason=job.state_reason or "",
        name=job.name or "",
        account=job.account or "",
        qos=job.qos or "",
        admin_comment=job.admin_comment or "",
        predicted_run_s=predicted_run_s(job.admin_comment or ""),
        array_job_id=job.array_id,
        array_task=waiting or one_task,
        het_offset=job.heterogeneous_offset if job.heterogeneous_id else None,
    )


def count_gres_used(nodes: Iterable[Node], jobs: Iterable[QueuedJob]) -> list[Node]:
    """Nodes with the GRES of the jobs that run on them, where Slurm's accounting of them says less."""
    held: dict[str, dict[tuple[str, str], int]] = {}
    for job in jobs:
        for name in job.node_names if job.gres else ():
            on_node = held.setdefault(name, {})
            for g in job.gres:
                on_node[g.name, g.type] = on_node.get((g.name, g.type), 0) + g.count
    return [_with_used(node, held[node.name]) if node.name in held else node for node in nodes]


def _with_used(node: Node, held: dict[tuple[str, str], int]) -> Node:
    used = {(g.name, g.type): g.count for g in node.gres_used}
    for key, count in held.items():
        used[key] = max(used.get(key, 0), count)
    return replace(node, gres_used=tuple(Gres(name, kind, count) for (name, kind), count in used.items()))


def _gres(counts: Mapping[str, Any] | None) -> tuple[Gres, ...]:
    """pyslurm's `{"gpu:a100": 2}`."""
    return parse_gres(",".join(f"{name}:{count}" for name, count in (counts or {}).items()))

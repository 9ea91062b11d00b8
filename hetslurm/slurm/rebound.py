"""From a better placement of a pending job to the update that moves it there, and back. Pure.

A job that moves has what its last target asked for. What the new one leaves open goes back to what Slurm
would have given: one cpu a node, the partition's limit. Memory it keeps, since no update gives Slurm's
default back; so it goes nowhere where that does not fit.
"""

from __future__ import annotations

from dataclasses import replace

from hetslurm.cluster import UNLIMITED, Gres, Partition, QueuedJob
from hetslurm.job import Request
from hetslurm.placement import Asked, Candidate
from hetslurm.slurm.binding import bind, placed_fields, with_fields
from hetslurm.slurm.protocol import JobUpdate

# Slurm's reasons of a job that will not run where it is, whatever comes free. (BadConstraints also holds it.)
NEVER_RUNS = frozenset(
    {
        "BadConstraints",
        "PartitionConfig",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "AccountNotAllowed",
        "InvalidAccount",
        "InvalidQOS",
    }
)


def move_update(
    request: Request, asked: Asked, pins: str, chosen: Candidate, job: QueuedJob, partition: Partition
) -> JobUpdate:
    """What makes the job ask for what its chosen target asks for. `gres` as wanted: () is none.

    Raises ValueError, with the reason, where Slurm's default that the target relies on cannot be restored.
    """
    target = request.targets[chosen.alt]
    cpus_open = not {"c", "k"} & set(pins)
    if cpus_open and not target.cpus and job.cpus != max(1, job.nodes):
        target = replace(target, cpus=1)
    changed = replace(
        request, targets=tuple(target if i == chosen.alt else one for i, one in enumerate(request.targets))
    )
    update = bind(changed, asked, pins, chosen)
    if "t" not in pins and not target.time_s:
        update = replace(update, time_limit_min=_default_limit(partition))
    if "g" not in pins and update.gres is None:
        update = replace(update, gres=())
    return update


def _default_limit(partition: Partition) -> int:
    minutes = partition.max_time_min if partition.default_time_min is None else partition.default_time_min
    if minutes >= UNLIMITED:
        raise ValueError(f"its target says no time, and neither does partition {partition.name}")
    return minutes


def wanted_gres(
    request: Request, pins: str, alt: int, kind: str, type_: str, job: QueuedJob
) -> tuple[Gres, ...]:
    """The GRES that a job is to hold, per node, on this target in a pool of this kind and type."""
    if "g" in pins:
        return job.gres
    count = request.targets[alt].count
    return (Gres(kind, type_, count),) if count else ()


def restore_update(before: QueuedJob, now: QueuedJob) -> JobUpdate:
    """What makes the job ask for what it asked for `before`, its record included."""
    nodes = max(1, before.nodes)
    cpus = max(1, before.cpus // nodes)
    same_shape = (before.nodes, before.cpus) == (now.nodes, now.cpus)
    return JobUpdate(
        partition=before.partition,
        gres=before.gres if before.gres != now.gres else None,
        nodes=None if same_shape else nodes,
        tasks=None if same_shape else nodes,
        cpus_per_node=None if same_shape else cpus,
        cpus_per_task=None if same_shape else cpus,
        mem_mb_per_node=before.mem_mb_per_node or None
        if before.mem_mb_per_node != now.mem_mb_per_node
        else None,
        time_limit_min=before.time_limit_min if before.time_limit_min != now.time_limit_min else None,
        admin_comment=before.admin_comment,
    )


def moved_record(record_text: str, generation: int, chosen: Candidate, moves: int) -> str:
    """The record of a job that the controller moved there; what else it held stays."""
    fields = placed_fields(generation, chosen) | {"moves": moves}
    return with_fields(record_text, fields, without=("why",))


def with_moves(record_text: str, moves: int) -> str:
    """The record with another count of moves."""
    return with_fields(record_text, {"moves": moves})

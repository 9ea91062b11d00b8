"""Which pending jobs stand ahead of a new one, and what each wants of a pool. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hetslurm.cluster import UNLIMITED, Partition, QueuedJob
from hetslurm.estimates.supply import HORIZON_S, NO_RUNS
from hetslurm.estimates.usage import Usage
from hetslurm.pool import Pool

DEFAULT_LIMIT_S = 3600.0

# Jobs that do not compete for nodes now, however many come free: held, waiting for others or for their
# time, above a limit of their user, account or QOS, or asking for what the partition will never give.
_WAITING_FOR_ELSE = frozenset(
    {
        "Dependency",
        "DependencyNeverSatisfied",
        "BeginTime",
        "JobHeldUser",
        "JobHeldAdmin",
        "Licenses",
        "Reservation",
    }
    | {"JobArrayTaskLimit", "BadConstraints", "PartitionConfig", "PartitionDown", "PartitionInactive"}
    | {"PartitionNodeLimit", "PartitionTimeLimit", "AccountNotAllowed", "MaxMemPerLimit", "InvalidAccount"}
    | {"InvalidQOS", "DeadLine", "BurstBufferOperation", "FedJobLock"}
)
_LIMITS = ("Assoc", "QOS")


class Demand(NamedTuple):
    """What a job wants of one pool: on each of `nodes` nodes, `per_node` units."""

    nodes: int
    per_node: int

    @property
    def units(self) -> float:
        """In all."""
        return float(self.nodes * self.per_node)


def jobs_ahead(jobs: Iterable[QueuedJob], partitions: Mapping[str, Partition]) -> list[QueuedJob]:
    """Pending jobs that compete for nodes, in the order that Slurm takes them."""
    ahead = [job for job in jobs if competes(job)]
    return sorted(ahead, key=lambda j: (-tier_of(j, partitions), -j.priority, j.submit_at, j.job_id))


def competes(job: QueuedJob) -> bool:
    """It waits for nodes, and for nothing else."""
    return (
        job.state == "PENDING"
        and job.priority > 0
        and job.reason not in _WAITING_FOR_ELSE
        and not job.reason.startswith(_LIMITS)
    )


def tier_of(job: QueuedJob, partitions: Mapping[str, Partition]) -> int:
    """The highest PriorityTier among the partitions that it may run in."""
    tiers = [partitions[name].priority_tier for name in job.partition.split(",") if name in partitions]
    return max(tiers, default=0)


def limit_s(job: QueuedJob, partition: Partition | None) -> float:
    """The job's limit in seconds, or its partition's."""
    minutes = job.time_limit_min
    if minutes is None and partition is not None:
        minutes = partition.max_time_min if partition.default_time_min is None else partition.default_time_min
    if minutes is None:
        return DEFAULT_LIMIT_S
    return HORIZON_S if minutes >= UNLIMITED else min(60.0 * max(minutes, 1), HORIZON_S)


def expected_s(
    job: QueuedJob,
    partition: Partition | None,
    usage: Usage | None = None,
    runs: Mapping[int, float] = NO_RUNS,
) -> float:
    """How long the job will hold what it gets, in s: as `runs` has it by job id, as it was placed with, as
    its user's jobs use their limits, else its limit."""
    limit = limit_s(job, partition)
    run = runs.get(job.job_id, job.predicted_run_s)
    if run is not None:
        return min(run, limit)
    usual = None if usage is None else usage.run_s(job.user, limit)
    return limit if usual is None else usual


def wants(job: QueuedJob, pool: Pool) -> bool:
    """The job asks for what this pool offers."""
    if pool.kind == "cpu":
        return not job.gres
    return any(g.name == pool.kind and g.type in {"", pool.type} for g in job.gres)


def demand_on(job: QueuedJob, pool: Pool) -> Demand:
    """Units of the pool that the job takes, those included that its cpus or memory make useless to others."""
    cpus = -(-job.cpus // job.nodes)
    size = pool.cpus_per_node if pool.kind == "cpu" else pool.devices_per_node
    share = max(cpus / max(pool.cpus_per_node, 1), job.mem_mb_per_node / max(pool.mem_mb_per_node, 1))
    if pool.kind == "cpu":
        asked = cpus
    else:
        asked = sum(g.count for g in job.gres if g.name == pool.kind and g.type in {"", pool.type})
    return Demand(job.nodes, max(asked, int(share * size + 1e-6)))

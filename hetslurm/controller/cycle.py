"""What one look at the cluster means: pools with their waits, jobs to place, jobs to note. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.controller.decisions import JobKey
from hetslurm.errors import DirectiveError
from hetslurm.estimate import Estimate, RunEstimate, Source
from hetslurm.estimates import plan_waits
from hetslurm.estimates.usage import Usage
from hetslurm.health.feed import unfit, with_health
from hetslurm.health.judgement import Judgement
from hetslurm.inventory import derive_pools
from hetslurm.native import parser
from hetslurm.pool import Pool
from hetslurm.site import Site
from hetslurm.slurm.record import Record, parse_record
from hetslurm.snapshot import build_slot

# Of a site without agents: nothing is known, and nothing changes.
UNKNOWN = Judgement(0.0)


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """A job that carries hetslurm's record."""

    job: QueuedJob
    record: Record

    @property
    def key(self) -> JobKey:
        """Which job it is, for good."""
        return JobKey(self.job.job_id, int(self.job.submit_at))

    @property
    def is_held(self) -> bool:
        """Pending and held, though not by an admin: his hold is never touched."""
        job = self.job
        return job.state == "PENDING" and job.priority == 0 and job.reason != "JobHeldAdmin"


@dataclass(frozen=True, slots=True)
class Known:
    """What the controller has learned so far, by the time of a cycle.

    `estimates` of runs; `shadow` prices by pool (seconds of others' time per second of a unit);
    `wait_factor`: what a pool's estimated waits are multiplied by; `usage`: what share of their limits jobs
    use; `runs`: seconds that recorded jobs are expected to run where they are, by job id (see `Outlook`).
    """

    estimates: tuple[RunEstimate, ...] = ()
    shadow: Mapping[str, float] = field(default_factory=dict)
    wait_factor: Mapping[str, float] = field(default_factory=dict)
    usage: Usage | None = None
    runs: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from a Cluster, a Site and the nodes' health. `held` is in submit order.

    `starts`: seconds from the cluster's reading to each pending job's expected start (see `WaitPlan`).
    """

    pools: tuple[Pool, ...]
    recorded: tuple[RecordedJob, ...]
    held: tuple[RecordedJob, ...]
    estimates: tuple[RunEstimate, ...] = ()
    starts: Mapping[int, float] = field(default_factory=dict)


NOTHING = Known()


def plan_cycle(
    cluster: Cluster,
    site: Site,
    judgement: Judgement = UNKNOWN,
    cloud: frozenset[str] = frozenset(),
    known: Known = NOTHING,
) -> Plan:
    """Derive everything that a cycle does from what Slurm says, what the admin says, and how nodes are.

    `cloud` are partitions whose nodes are cloud instances: no placement spends money, so they make no pools,
    and jobs that may only burst are left to admission.
    """
    recorded = tuple(
        RecordedJob(job, record)
        for job in cluster.jobs
        if job.admin_comment and (record := parse_record(job.admin_comment)) is not None
    )
    # Held by the plugin for want of a snapshot. One that its author released since then is not ours any more.
    waiting = (
        one
        for one in recorded
        if one.record.state == "held" and one.is_held and not wants_only_cloud(one.record)
    )
    held = sorted(waiting, key=lambda one: (one.job.submit_at, one.job.job_id))
    fit = unfit(cluster, judgement, site.health)
    here = replace(fit, partitions=tuple(p for p in fit.partitions if p.name not in cloud)) if cloud else fit
    pools = with_health(derive_pools(here, site), fit, judgement)
    waits = plan_waits(pools, fit, usage=known.usage, runs=known.runs)
    corrected = tuple(_corrected(pool, known) for pool in waits.pools)
    where = {one.job.job_id: one.record.pool for one in recorded}
    starts = {
        job: start * known.wait_factor.get(where.get(job, ""), 1.0) for job, start in waits.starts.items()
    }
    return Plan(corrected, recorded, tuple(held), known.estimates, starts)


def _corrected(pool: Pool, known: Known) -> Pool:
    """The pool with its shadow price, and its waits as far as earlier ones came true."""
    shadow, factor = known.shadow.get(pool.name), known.wait_factor.get(pool.name, 1.0)
    return replace(
        pool,
        shadow=pool.shadow if shadow is None else Estimate(shadow, Source.PREDICTED),
        wait_s=pool.wait_s if factor == 1.0 else tuple(wait * factor for wait in pool.wait_s),
    )


def wants_only_cloud(record: Record) -> bool:
    """burst=only: admission alone may release it."""
    if "burst=only" not in record.het:
        return False
    try:
        request = parser.parse(None, record.het.encode())
    except (DirectiveError, ValueError):
        return False
    return request is not None and request.burst == "only"


def slot_of(
    plan: Plan, cluster: Cluster, site: Site, generation: int, written_at: float
) -> NDArray[np.uint8]:
    """The snapshot slot of a plan. `written_at` is Unix seconds."""
    return build_slot(
        plan.pools,
        cluster.partitions,
        cluster.associations,
        cluster.uids,
        cluster.groups,
        site,
        plan.estimates,
        generation=generation,
        written_at_ns=int(written_at * 1e9),
        read_at_ns=int(cluster.read_at * 1e9),
        cluster=cluster.name,
        enforces_associations=cluster.enforces_associations,
    )

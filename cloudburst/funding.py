"""Time limits that were raised beyond what their money is for. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hetslurm.cloudburst.ledger.values import Reservation
from hetslurm.cloudburst.policy import CloudPool
from hetslurm.cloudburst.reconcile_values import Sight
from hetslurm.cloudburst.worst_case import WorstCase, worst_case
from hetslurm.cluster import UNLIMITED, QueuedJob


@dataclass(frozen=True, slots=True)
class Raised:
    """A job whose limit is `limit_s`, and what that would cost: None where no money can be enough.

    `full` covers every run that was allowed; `least_micro` in all only the one that runs.
    """

    reservation: Reservation
    job: QueuedJob
    limit_s: float
    full: WorstCase | None
    least_micro: int = 0

    @property
    def funded_min(self) -> int:
        """The limit that there is money for, whole minutes."""
        return int(self.reservation.limit_s // 60)


def raised_limits(sight: Sight) -> Iterator[Raised]:
    """Jobs with money that Slurm would let run longer than it lasts."""
    for reservation in sight.reservations:
        job = sight.job_of(reservation)
        if job is None or not job.partition or job.partition != reservation.wanted.partition:
            continue
        minutes = job.time_limit_min
        if minutes is None or minutes * 60 <= reservation.limit_s:
            continue
        pool = sight.policy.pool_of(job.partition)
        if pool is None or minutes >= UNLIMITED:
            yield Raised(reservation, job, minutes * 60.0, None)
        else:
            yield _priced(reservation, job, minutes * 60.0, pool, sight)


def _priced(
    reservation: Reservation, job: QueuedJob, limit_s: float, pool: CloudPool, sight: Sight
) -> Raised:
    """At the price cap and for the runs that were granted then, whatever the policy says now."""
    wanted = reservation.wanted
    then = replace(pool, max_price_micro=max(pool.max_price_micro, wanted.price_cap_micro))
    retry = replace(sight.policy.retry, requeues=wanted.attempts - 1)
    full = worst_case(then, retry, nodes=len(wanted.node_names), limit_s=limit_s)
    return Raised(reservation, job, limit_s, full, reservation.spent_micro + full.attempt_micro)

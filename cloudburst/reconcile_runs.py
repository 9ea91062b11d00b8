"""When jobs ran on what was paid for: what a look tells of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hetslurm.cloudburst.ledger.costs import Run
from hetslurm.cloudburst.ledger.values import Instance, Reservation
from hetslurm.cloudburst.reconcile_values import COMING_UP, Sight
from hetslurm.cluster import QueuedJob

# Slurm's times are whole seconds, cut off.
_SECOND_S = 1.0


def runs_seen(sight: Sight, begun: Sequence[Run]) -> tuple[Run, ...]:
    """Runs that began or ended since the last look; `begun` are those the book has without an end.

    A job counts as running once its nodes are up: until then Slurm counts boots as its time.
    """
    if sight.slurm is None:
        return ()
    known = {(run.node, run.generation): run for run in begun}
    jobs = {r.res_id: _job_of(sight, r) for r in sight.reservations}
    found: list[Run] = []
    for row in sight.instances:
        if row.res_id in jobs:
            found += _runs_on(row, jobs[row.res_id], known.get((row.node, row.generation)), sight)
    return tuple(found)


def _runs_on(row: Instance, job: QueuedJob | None, begun: Run | None, sight: Sight) -> Iterator[Run]:
    now = _run_now(row, job, sight.now) if job is not None else None
    if now is not None and begun is not None and now.started_at == begun.started_at:
        if now.ended_at is not None:
            yield now
        return
    if begun is not None:
        ended_at = max(begun.started_at, _end_of(begun, job, sight.now))
        yield Run(row.node, row.generation, begun.started_at, ended_at)
    if now is not None and _is_up(row.node, sight):
        yield now


def _run_now(row: Instance, job: QueuedJob, now: float) -> Run | None:
    start, end = job.start_at, job.end_at
    if start is None or row.node not in job.node_names or start + _SECOND_S < row.intended_at:
        return None
    if job.state in {"PENDING", "CONFIGURING"} or start > now + _SECOND_S:
        return None
    if job.state in {"RUNNING", "SUSPENDED"} or end is None or end > now + _SECOND_S:
        return Run(row.node, row.generation, start)
    return Run(row.node, row.generation, start, end) if end > start else None


def _end_of(begun: Run, job: QueuedJob | None, now: float) -> float:
    """As Slurm says; where it tells of this run no more, it ended between two looks."""
    if job is None or job.start_at != begun.started_at or job.end_at is None:
        return now
    return min(job.end_at, now)


def _is_up(node: str, sight: Sight) -> bool:
    seen = sight.slurm.nodes.get(node) if sight.slurm is not None else None
    return seen is None or not seen.state & COMING_UP


def _job_of(sight: Sight, reservation: Reservation) -> QueuedJob | None:
    """The reservation's job, also one that is over of which Slurm still tells."""
    job = sight.job_of(reservation)
    if job is not None or sight.slurm is None:
        return job
    ended = sight.slurm.ended.get(reservation.wanted.job_id)
    if ended is None or ended.user != reservation.wanted.payer.user:
        return None
    return ended

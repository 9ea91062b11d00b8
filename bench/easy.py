"""EASY backfill on one pool of alike processors, replayed: a small oracle for estimates of waits.

Jobs start in the order of their submits; one that is behind may start first where, by the limits, it does not
delay the first that waits (Lifka, 1995). Limits alone decide; jobs end when they do.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a log. Times are seconds; `run_s` is at most `limit_s`."""

    job_id: int
    submit_at: float
    run_s: float
    limit_s: float
    procs: int
    user: str


@dataclass(slots=True)
class Pool:
    """What runs and what waits. `running` are (job, start) by job id, `queue` is in submit order."""

    procs: int
    running: dict[int, tuple[Job, float]] = field(default_factory=dict)
    queue: list[Job] = field(default_factory=list)

    @property
    def free(self) -> int:
        """Processors that no job has."""
        return self.procs - sum(job.procs for job, _ in self.running.values())

    def startable(self, now: float) -> list[Job]:
        """Jobs that EASY starts now."""
        free, begun = self.free, list(self.running.values())
        started: list[Job] = []
        waiting = list(self.queue)
        while waiting and waiting[0].procs <= free:
            job = waiting.pop(0)
            free -= job.procs
            begun.append((job, now))
            started.append(job)
        if not waiting:
            return started
        head, spare, at = waiting[0], free, now
        for end, procs in sorted((start + job.limit_s, job.procs) for job, start in begun):
            if spare >= head.procs and end > at:
                break
            spare, at = spare + procs, end
        spare -= head.procs
        for job in waiting[1:]:
            if job.procs > free or (now + job.limit_s > at and job.procs > spare):
                continue
            free -= job.procs
            spare -= job.procs if now + job.limit_s > at else 0
            started.append(job)
        return started


Observer = Callable[[Pool, Job, float], None]


def replay(
    jobs: Sequence[Job],
    procs: int,
    *,
    on_submit: Observer | None = None,
    on_end: Observer | None = None,
) -> dict[int, float]:
    """When each job starts. `on_submit` sees the pool before the job is in it, `on_end` after it is gone."""
    pool = Pool(procs)
    starts: dict[int, float] = {}
    ends: list[tuple[float, int]] = []
    submits = sorted(jobs, key=lambda job: (job.submit_at, job.job_id))
    n = 0
    while n < len(submits) or ends:
        # At one instant: ends first, and a look at the queue after each event.
        if ends and (n == len(submits) or ends[0][0] <= submits[n].submit_at):
            now, job_id = heapq.heappop(ends)
            job, _ = pool.running.pop(job_id)
            if on_end is not None:
                on_end(pool, job, now)
        else:
            job = submits[n]
            now = job.submit_at
            if on_submit is not None:
                on_submit(pool, job, now)
            pool.queue.append(job)
            n += 1
        for job in pool.startable(now):
            pool.queue.remove(job)
            pool.running[job.job_id] = (job, now)
            starts[job.job_id] = now
            heapq.heappush(ends, (now + job.run_s, job.job_id))
    return starts

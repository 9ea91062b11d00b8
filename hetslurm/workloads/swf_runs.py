"""Jobs of an SWF log as finished runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hetslurm.runs import Ending, Run
from hetslurm.workloads.swf import SwfJob

# A job that failed within so much of its requested time was stopped by it: limits count from the allocation,
# many logs measure the run from its first process.
AT_LIMIT_S, AT_LIMIT_SHARE = 120.0, 0.01
_FAILED, _CANCELLED = 0, 5


def runs_of(jobs: Iterable[SwfJob], *, apps: bool = False) -> Iterator[Run]:
    """Runs on kind "cpu". Jobs that never ran (run time 0 or not known) give none.

    `apps`: the executable is the app. A wait that is not known counts as none.
    """
    for job in jobs:
        if job.run_s:
            start = job.submit_s + (job.wait_s or 0.0)
            app = f"executable {job.executable}" if apps and job.executable is not None else ""
            yield Run(
                job.job, job.submit_s, start, job.run_s, ending_of(job),
                "" if job.user is None else str(job.user), "cpu",
                app=app, account="" if job.group is None else str(job.group),
                partition="" if job.partition is None else str(job.partition),
                units=job.procs_requested or job.size, limit_s=job.time_requested_s or 0.0,
            )  # fmt: skip


def ending_of(job: SwfJob) -> Ending:
    """Status 0 or 5 at the requested time is a timeout, else a failure; not known counts as completed."""
    if job.status not in {_FAILED, _CANCELLED}:
        return Ending.COMPLETED
    if job.time_requested_s and job.run_s:
        left = job.time_requested_s - job.run_s
        if left <= max(AT_LIMIT_S, AT_LIMIT_SHARE * job.time_requested_s):
            return Ending.TIMEOUT
    return Ending.CANCELLED if job.status == _CANCELLED else Ending.FAILED

"""How long recorded jobs, waiting or running, are expected to run where they are, by what is known by now.

A job's record says what was expected when it was placed. Runs that ended since then say more: each new table
of estimates gives all of them a new run time, in one call of the kernel. While nothing changes, a cycle only
compares stamps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hetslurm.cluster import Cluster
from hetslurm.controller.cycle import Plan, RecordedJob
from hetslurm.errors import DirectiveError
from hetslurm.estimate import RunEstimate, Source
from hetslurm.job import Request
from hetslurm.native import parser
from hetslurm.native.kernel import View
from hetslurm.placement import Asked
from hetslurm.scoring import Batch, Pending
from hetslurm.slurm.asked import asked_of

# New jobs read in one cycle, of a queue that was never seen before: the others go by their records meanwhile.
MOST_NEW = 1_000


class Outlook:
    """One a controller. `run_s` is in seconds, by job id, of those jobs whose run time is an estimate."""

    def __init__(self) -> None:
        self._batch = Batch()
        self._jobs: dict[int, Pending] = {}
        self._estimates: tuple[RunEstimate, ...] = ()
        self._basis: tuple[object, ...] = ()
        self.run_s: Mapping[int, float] = {}

    def follow(self, plan: Plan, cluster: Cluster, view: View) -> None:
        """Take note of what a cycle saw; `view` is what it published. The next cycle plans with `run_s`."""
        if not plan.estimates:
            self._jobs, self.run_s, self._estimates = {}, {}, ()
            return
        jobs: dict[int, Pending] = {}
        new = 0
        for one in plan.recorded:
            job = one.job
            stamp = (job.admin_comment, job.user, job.time_limit_min, job.nodes, job.cpus)
            known = self._jobs.get(job.job_id)
            if known is None or known.stamp != stamp:
                if new == MOST_NEW or one.record.is_held:
                    continue
                new += 1
                known = Pending(job.job_id, stamp, one.record.alt, one.record.pool)
            jobs[job.job_id] = known
        basis = (view.resolves_as, tuple((pool.name, pool.speed.value) for pool in plan.pools))
        same = not new and len(jobs) == len(self._jobs)
        if same and plan.estimates is self._estimates and basis == self._basis:
            return
        self._jobs, self._estimates, self._basis = jobs, plan.estimates, basis
        recorded = {one.job.job_id: one for one in plan.recorded}

        def read(job_id: int) -> tuple[Request, Asked] | None:
            return _wanted(recorded[job_id], cluster)

        run_s, sources = self._batch.run_times(view, tuple(jobs.values()), read, cluster.read_at)
        estimated = np.flatnonzero((sources >= Source.PREDICTED) & (run_s > 0))
        ids = np.fromiter(jobs, dtype=np.int64, count=len(jobs))[estimated]
        self.run_s = dict(zip(ids.tolist(), run_s[estimated].tolist(), strict=True))


def _wanted(one: RecordedJob, cluster: Cluster) -> tuple[Request, Asked] | None:
    try:
        request = parser.parse(None, one.record.het.encode())
    except (DirectiveError, ValueError):
        return None
    return None if request is None else (request, asked_of(one.job, one.record.pins, cluster))

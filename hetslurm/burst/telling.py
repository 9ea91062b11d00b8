"""Telling the authors of held jobs what they wait for: when it is new, not more often than people read."""

from __future__ import annotations

from collections.abc import Collection

from hetslurm.burst.job_note import tell_why
from hetslurm.clock import Clock
from hetslurm.cluster import QueuedJob
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmRefused
from hetslurm.slurm.protocol import SlurmAdapter

WAITS = "waits for a cloud instance: "
TELL_EVERY_S = 30.0


class Telling:
    """What was said to whom, and when."""

    def __init__(self, adapter: SlurmAdapter, log: Log, clock: Clock) -> None:
        self._adapter = adapter
        self._log = log
        self._clock = clock
        self._told: dict[int, tuple[str, float]] = {}

    def keep(self, job_ids: Collection[int]) -> None:
        """Forget all others."""
        self._told = {job: told for job, told in self._told.items() if job in job_ids}

    def tell(self, job: QueuedJob, why: str) -> None:
        """In the job's record, if that still is what it was in `job`. Raises SlurmUnavailable."""
        now = self._clock.monotonic()
        told, at = self._told.get(job.job_id, ("", float("-inf")))
        if told == why or now - at < TELL_EVERY_S:
            return
        try:
            found = self._adapter.read_job(job.job_id).job
            if (found.state, found.admin_comment) != (job.state, job.admin_comment):
                return  # it moved since the queue was read
            self._told[job.job_id] = (why, now)
            tell_why(self._adapter, job, WAITS + why)
        except SlurmRefused as error:
            self._log.warning("job not told", job=job.job_id, why=error)

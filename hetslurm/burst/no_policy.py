"""Where no policy is in force, jobs that may only burst are told that nothing comes."""

from __future__ import annotations

from hetslurm.burst.telling import Telling
from hetslurm.burst.waiting import waiting_jobs
from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import Policy
from hetslurm.cluster import Cluster
from hetslurm.daemon.log import Log
from hetslurm.slurm.protocol import SlurmAdapter

WHY = "no burst.toml is in force here"


class NoPolicy:
    """Stands in for admission."""

    def __init__(self, adapter: SlurmAdapter, log: Log, clock: Clock) -> None:
        self._telling = Telling(adapter, log, clock)

    def tell(self, cluster: Cluster) -> None:
        """Raises SlurmUnavailable."""
        held = [one.job for one in waiting_jobs(cluster, Policy()) if one.is_placeholder]
        self._telling.keep({job.job_id for job in held})
        for job in held:
            self._telling.tell(job, WHY)

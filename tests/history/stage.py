"""A cluster in memory whose jobs run and end, and a feed on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from hetslurm.clock import FixedClock
from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.controller.cycle import RecordedJob, plan_cycle
from hetslurm.controller.run_feed import Look, RunFeed
from hetslurm.history import HistoryStore
from hetslurm.runs import Run
from hetslurm.site import Site
from hetslurm.slurm.ended import EndedJob
from hetslurm.slurm.fake import FakeSlurm

from .conftest import NOW

RECORD = {
    "hetslurm": 1,
    "state": "placed",
    "target": "gpu:a100:2",
    "kind": "gpu",
    "type": "a100",
    "alt": 1,
    "pool": "gpu",
    "partition": "gpu",
    "het": "target=cpu,cpus=4,time=1:00:00;target=gpu:a100:2,time=0:20:00;app=align;work=50",
}
COMMENT = json.dumps(RECORD)


def queued(
    job_id: int, state: str = "RUNNING", *, submit_at: float = NOW - 30, **fields: object
) -> QueuedJob:
    """A job with a record; a running one began 10 s after its submission."""
    runs = state != "PENDING"
    job = QueuedJob(
        job_id, state, "gpu", "ann", 1, 4, 0, 20, 5, submit_at, submit_at + 10 if runs else None, None
    )
    names = ("gpu1",) if runs else ()
    return replace(job, node_names=names, admin_comment=COMMENT, **fields)  # type: ignore[arg-type]


def ended(job: QueuedJob, at: float, state: str = "COMPLETED", **fields: object) -> EndedJob:
    """The same job once it is over."""
    start = job.start_at or job.submit_at
    over = EndedJob(
        *(job.job_id, job.submit_at, start, at - start, state, 0, job.user, "lab", "gpu", 1, 4, 20),
        *(("gpu1",), {}, None, job.admin_comment),
    )
    return replace(over, **fields)  # type: ignore[arg-type]


@dataclass
class Stage:
    """Slurm, a clock, a store in `folder`, and a feed that can be started anew."""

    folder: Path
    source: str = "observed"
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    speed: float = 0.5

    def __post_init__(self) -> None:
        cluster = Cluster("c", (22, 5, 8), NOW, (), (), (), has_database=self.source == "sacct")
        self.slurm = FakeSlurm(cluster)
        self.restart()

    def restart(self) -> None:
        """The controller ends, and begins again."""
        if hasattr(self, "store"):
            self.store.close()
        self.store = HistoryStore(self.folder, keep_runs=1000, keep_days=730)
        self.feed = RunFeed(self.slurm, self.store, self.clock)

    def look(self, *, after: float = 10.0) -> list[Run]:
        """One cycle, so many seconds later."""
        self.clock.advance(after)
        plan = plan_cycle(self.slurm.cluster, Site())
        return self.feed.read(Look(plan.recorded, {"gpu": self.speed}, self.source))

    def gone(self, job: QueuedJob) -> None:
        """It leaves the queue."""
        jobs = tuple(other for other in self.slurm.cluster.jobs if other.job_id != job.job_id)
        self.slurm.cluster = replace(self.slurm.cluster, jobs=jobs)

    def ends(self, job: QueuedJob, state: str = "COMPLETED", **fields: object) -> EndedJob:
        """It ends now; slurmctld remembers it, and slurmdbd is told where there is one."""
        self.gone(job)
        over = ended(job, self.clock.now(), state, **fields)
        self.slurm.ended = [*(o for o in self.slurm.ended if o.job_id != job.job_id), over]
        self.slurm.in_database.append(over)
        return over

    def recorded(self) -> tuple[RecordedJob, ...]:
        """What a cycle sees."""
        return plan_cycle(self.slurm.cluster, Site()).recorded

"""Jobs that wait and may burst, read from the queue. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hetslurm.cloudburst.admission import asks, why_unmovable
from hetslurm.cloudburst.policy import Policy
from hetslurm.cluster import Cluster, Gres, QueuedJob
from hetslurm.errors import DirectiveError
from hetslurm.job import Request
from hetslurm.native import parser
from hetslurm.slurm.asked import since_submit
from hetslurm.slurm.record import Record, parse_record


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pending job with a record whose author did not say burst=never."""

    job: QueuedJob
    record: Record
    request: Request

    @property
    def is_only(self) -> bool:
        """It runs in the cloud or not at all."""
        return asks(self.request) == "only"

    @property
    def is_placeholder(self) -> bool:
        """The plugin holds it, for admission alone to place."""
        return self.is_only and self.record.state == "held"


def waiting_jobs(cluster: Cluster, policy: Policy) -> list[Waiting]:
    """Pending jobs that may burst and did not yet, as Slurm ranks them; held ones have no rank: by age.

    A burst=only job may be held in a cloud partition, where it once was to run.
    """
    found = []
    for job in cluster.jobs:
        if job.state != "PENDING" or "burst=" not in job.admin_comment:
            continue
        record = parse_record(job.admin_comment)
        if record is None or (job.partition in policy.partitions and record.state != "held"):
            continue
        request = request_of(record, job)
        if request is not None and asks(request) != "never":
            found.append(Waiting(job, record, request))
    return _in_order(found)


def _in_order(jobs: list[Waiting]) -> list[Waiting]:
    """Ranked jobs and held ones, each in their order; of the two that are next, the one that waits longer."""
    ranked = [one for one in jobs if one.job.priority > 0]
    ranked.sort(key=lambda one: (-one.job.priority, one.job.submit_at, one.job.job_id))
    held = [one for one in jobs if one.job.priority == 0]
    held.sort(key=lambda one: (one.job.submit_at, one.job.job_id))
    merged: list[Waiting] = []
    ranked.reverse()
    held.reverse()
    while ranked and held:
        longer = ranked if ranked[-1].job.submit_at <= held[-1].job.submit_at else held
        merged.append(longer.pop())
    return merged + ranked[::-1] + held[::-1]


def request_of(record: Record, job: QueuedJob) -> Request | None:
    """The request behind a record, its deadline made absolute; None where it cannot be read."""
    try:
        request = parser.parse(None, record.het.encode())
    except (DirectiveError, ValueError):
        return None
    return since_submit(request, job.submit_at) if request else None


def movable(
    request: Request, job: QueuedJob, pins: str, version: tuple[int, int, int]
) -> tuple[int, ...] | str:
    """The targets, by place, that this release of Slurm can bring the job to from its GRES; or why none."""
    if "g" in pins:
        return tuple(range(len(request.targets)))
    able, why = [], ""
    for alt, target in enumerate(request.targets):
        alike = (gres.type for gres in job.gres if gres.name == target.kind)
        type_ = target.type or next(alike, "")
        want = (Gres(target.kind, type_, target.count),) if target.count else ()
        # It must be able to come back, too: no job is left where its money ends.
        unable = why_unmovable(version, job.gres, want) or (
            "" if asks(request) == "only" else why_unmovable(version, want, job.gres)
        )
        if not unable:
            able.append(alt)
        why = why or unable
    return tuple(able) or why or "it has no target"

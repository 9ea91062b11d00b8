"""Where a job was before it went to the cloud, and the update that puts it back. Pure."""

from __future__ import annotations

import msgspec

from hetslurm.burst.waiting import request_of
from hetslurm.cluster import Gres, QueuedJob
from hetslurm.slurm.binding import waiting_record
from hetslurm.slurm.protocol import JobUpdate
from hetslurm.slurm.record import parse_record


class Home(msgspec.Struct, frozen=True):
    """A job before it left: its record, and what it asked of Slurm; `gres` is (name, type, count)."""

    comment: str
    partition: str
    gres: tuple[tuple[str, str, int], ...]
    nodes: int
    cpus: int
    mem_mb_per_node: int
    time_limit_min: int | None

    @classmethod
    def of(cls, job: QueuedJob) -> Home:
        """From the job as it is."""
        return cls(
            comment=job.admin_comment,
            partition=job.partition,
            gres=tuple((gres.name, gres.type, gres.count) for gres in job.gres),
            nodes=max(1, job.nodes),
            cpus=job.cpus,
            mem_mb_per_node=job.mem_mb_per_node,
            time_limit_min=job.time_limit_min,
        )

    @property
    def is_nowhere(self) -> bool:
        """The job runs in the cloud or not at all: it has no place on-premises."""
        record = parse_record(self.comment)
        return record is not None and record.state == "held"


def home_update(home: Home, job: QueuedJob, why: str) -> JobUpdate:
    """What puts the job back as it was; one that has no place on-premises only lets go of its nodes.

    `job` is how it is now. What its author pinned was never changed, and is not now.
    """
    record = parse_record(home.comment)
    if record is None or home.is_nowhere:
        return JobUpdate(node_names=(), admin_comment=waiting_record(home.comment, why) if record else None)
    request = request_of(record, job)
    target = request.targets[record.alt] if request and record.alt < len(request.targets) else None
    gres = tuple(Gres(*one) for one in home.gres)
    cpus = (target.cpus if target else 0) or max(1, home.cpus // home.nodes)
    cpus_open = not {"c", "k"} & set(record.pins)
    return JobUpdate(
        partition=home.partition,
        gres=gres if gres and gres != job.gres else None,
        nodes=home.nodes,
        tasks=home.nodes if cpus_open else None,
        cpus_per_task=cpus if cpus_open else None,
        cpus_per_node=cpus if cpus_open else None,
        mem_mb_per_node=home.mem_mb_per_node or None if "m" not in record.pins else None,
        time_limit_min=home.time_limit_min if "t" not in record.pins else None,
        admin_comment=home.comment,
        node_names=(),
    )

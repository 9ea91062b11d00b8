"""Telling a job's author why: in its record where it has one, and on its standard error while it runs."""

from __future__ import annotations

import json
from contextlib import suppress

from hetslurm.cluster import QueuedJob
from hetslurm.errors import SlurmRefused
from hetslurm.slurm.protocol import JobUpdate, SlurmAdapter
from hetslurm.slurm.record import parse_record


def with_why(admin_comment: str, why: str) -> str | None:
    """The record with this reason; None where there is no record, or it says so already."""
    if parse_record(admin_comment) is None:
        return None
    record = json.loads(admin_comment)
    if record.get("why") == why:
        return None
    request = {"het": record.pop("het")} if "het" in record else {}
    return json.dumps({**record, "why": why, **request}, separators=(",", ":"), ensure_ascii=False)


def tell_why(adapter: SlurmAdapter, job: QueuedJob, why: str) -> None:
    """Write the reason down. A job that cannot be told is no trouble."""
    told = with_why(job.admin_comment, why)
    with suppress(SlurmRefused):
        if told is not None:
            comment = JobUpdate(admin_comment=told)
            adapter.update_job(job.job_id, comment, leads_het_job=job.leads_het_job)
    if job.state == "RUNNING":
        with suppress(SlurmRefused):
            adapter.notify(job.job_id, f"hetslurm: {why}")

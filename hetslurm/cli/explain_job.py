"""`hetslurm explain JOBID`: the record that the job carries, and the candidates behind it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from hetslurm.cli.explain_order import order_report
from hetslurm.cluster import QueuedJob
from hetslurm.controller.cycle import RecordedJob
from hetslurm.controller.decisions import Noted, read_decision
from hetslurm.controller.notes import explain_recorded
from hetslurm.errors import HetslurmError, SlurmError, SlurmRefused, SnapshotError
from hetslurm.site import Site
from hetslurm.slurm import choose_adapter
from hetslurm.slurm.protocol import SlurmAdapter
from hetslurm.slurm.record import Record, parse_record


def explain_job(
    site: Site, job_id: int, component: int | None = None, task: str | None = None
) -> dict[str, Any]:
    """What `explain JOBID --json` prints; `chosen` is what was recorded, not what would be chosen now.

    `component`: the one of the heterogeneous job `job_id` that is meant; `task`: the one of the array, whose
    path is then shown alone.
    """
    if component is not None:
        job_id = _id_of_component(site, job_id, component)
    path = _path(site, job_id, task)
    # A task that was split off its array has an id of its own.
    job_id = next((step["job_id"] for step in reversed(path) if task and step["task"] == task), job_id)
    noted = read_decision(Path(site.state_dir), job_id)
    try:
        report = _from_slurm(site, job_id, noted)
    except SlurmError as error:
        if noted is None and path:
            report = _only_path(job_id, f"only its path is left: {error}")
        elif noted is None:
            raise type(error)(
                f"job {job_id}: {error}; nor is a decision on it stored in {site.state_dir}, "
                "or you may not read it"
            ) from error
        else:
            note = f"only the stored decision is left: {error}"
            report = {**noted.explanation, "recorded": None, "note": note}
            report["recomputed_from_generation"] = noted.recomputed_generation
    report["path"] = path
    if noted is not None:
        # The record is newer than what was noted where the controller has moved the job since.
        report["decided_by"] = (report["recorded"] or {}).get("by") or noted.by
        report["noted_at"] = noted.noted_at
    return report


def _path(site: Site, job_id: int, task: str | None) -> list[dict[str, Any]]:
    """The job's steps; of an array, of the task and of those that it was one of before it was split off."""
    from hetslurm.cli.event_rows import event_json  # noqa: PLC0415
    from hetslurm.controller.events import read_path  # noqa: PLC0415

    steps = [event_json(event) for event in read_path(Path(site.state_dir), job_id)]
    if task is None:
        return steps
    return [step for step in steps if step["task"] is None or has_task(step["task"], int(task))]


def has_task(expression: str, task: int) -> bool:
    """Whether an array's tasks, as Slurm writes them (`1-9:2,20%3`), have this one among them."""
    for part in expression.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        low, _, high = span.partition("-")
        if low.isdigit() and (not high or high.isdigit()):
            steps = int(step) if step.isdigit() and int(step) else 1
            if task in range(int(low), int(high or low) + 1, steps):
                return True
    return False


def _only_path(job_id: int, note: str) -> dict[str, Any]:
    bare = {"job_id": job_id, "app": None, "objective": None, "generation": None, "chosen": None}
    return {**bare, "candidates": [], "recorded": None, "recomputed_from_generation": None, "note": note}


def _id_of_component(site: Site, leader: int, component: int) -> int:
    """The component's own id: slurmctld gives them ids in a row."""
    try:
        job = choose_adapter(site.adapter).read_job(leader + component).job
    except SlurmRefused:
        job = None
    if job is None or job.het_offset != component:
        raise HetslurmError(f"{leader}+{component}: there is no such component of a heterogeneous job now")
    return job.job_id


def _from_slurm(site: Site, job_id: int, noted: Noted | None) -> dict[str, Any]:
    adapter = choose_adapter(site.adapter)
    job = adapter.read_job(job_id).job
    record = parse_record(job.admin_comment)
    if record is None:
        raise HetslurmError(
            f"job {job_id} carries no record of hetslurm: it was submitted without directives"
        )
    recorded = json.loads(job.admin_comment)
    order = _order(site, adapter, job, record)
    if noted is not None and noted.decided_generation == record.gen:
        report = dict(noted.explanation)
        generation: int | None = noted.recomputed_generation
    else:
        report, generation = _recompute(site, RecordedJob(job, record))
    report["recorded"] = recorded
    report["chosen"] = _chosen(recorded)
    report["recomputed_from_generation"] = generation
    report["order"] = order
    return report


def _order(site: Site, adapter: SlurmAdapter, job: QueuedJob, record: Record) -> dict[str, Any] | None:
    """What short-first does for it, and what Slurm has of that."""
    if site.order.mode == "off":
        return None
    factors = {}
    with suppress(SlurmRefused):
        factors = adapter.read_site_factors()
    run_s = record.run_s if record.state == "placed" else None
    return order_report(site, run_s, adapter.read_priority(), factors.get(job.job_id))


def _recompute(site: Site, one: RecordedJob) -> tuple[dict[str, Any], int | None]:
    from hetslurm.cli.explain import read_snapshot  # noqa: PLC0415
    from hetslurm.cluster import Cluster  # noqa: PLC0415

    empty = Cluster("", (0, 0, 0), 0.0, (), (), ())
    try:
        view = read_snapshot(site)
    except SnapshotError as error:
        bare = {"job_id": one.job.job_id, "app": None, "objective": None, "generation": one.record.gen}
        return {**bare, "candidates": [], "note": f"no candidates: {error}"}, None
    return explain_recorded(one, empty, view), view.generation


def _chosen(recorded: dict[str, Any]) -> dict[str, Any] | None:
    if recorded.get("state") == "held":
        return None
    return {key: recorded.get(key) for key in ("target", "pool", "partition", "score")}

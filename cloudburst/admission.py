"""Who may leave for the cloud, when, and by which move. Pure.

Three questions, apart: may this job ever (`refusals`), is now the time (`trigger`), and does this release of
Slurm get it there (`why_unmovable`)? Where it goes is the score's to say, how much may be spent the ledger's.
"""

from __future__ import annotations

from collections.abc import Sequence

from hetslurm.cloudburst.policy import Spill
from hetslurm.cluster import UNLIMITED, Gres, QueuedJob
from hetslurm.job import Request
from hetslurm.rebinding.capability import Holding, Moves


def asks(request: Request) -> str:
    """ "never", "allow" or "only"."""
    return request.burst or "never"


def refusals(
    spill: Spill, job: QueuedJob, request: Request, pins: str, *, placeholder: bool
) -> tuple[str, ...]:
    """Why a pending job may not leave at all; empty: it may.

    `pins` are its record's letters. `placeholder`: the plugin holds it for admission, so that hold is ours.
    """
    stays = sorted(
        prefix for prefix in spill.stays if any(data.uri.startswith(prefix) for data in request.data)
    )
    account, qos = job.account.lower(), job.qos.lower()
    is_held = job.priority == 0
    found = (
        ("its author wants burst=never", asks(request) == "never"),
        ("an administrator holds it", is_held and job.reason == "JobHeldAdmin"),
        (
            "its author holds it",
            "h" in pins or (is_held and job.reason != "JobHeldAdmin" and not placeholder),
        ),
        ("its author named a partition", "p" in pins),
        ("it is an array: submit its tasks as jobs", job.array_job_id is not None),
        ("it is a component of a heterogeneous job", job.het_offset is not None),
        ("it waits for other jobs", job.reason.startswith("Dependency")),
        ("it may not begin yet", job.reason == "BeginTime" and not is_held),
        (
            "only preemptible jobs may (#HET preemptible=yes)",
            spill.preemptible_only and not request.preemptible,
        ),
        (
            f"account {account or 'none'} may not",
            account in spill.deny_accounts or (spill.accounts is not None and account not in spill.accounts),
        ),
        (f"QOS {qos or 'none'} may not", spill.qos is not None and qos not in spill.qos),
        (f"its data below {stays[0] if stays else ''} must stay", bool(stays)),
    )
    return tuple(text for text, holds in found if holds)


def trigger(spill: Spill, request: Request, *, wait_s: float, depth: int, finish_at: float) -> str:
    """Why it should leave now, "" when nothing says so.

    `wait_s` on-premises (infinite: nothing there can run it); `depth` jobs wait; `finish_at` Unix seconds,
    when it would be done on-premises. A request's deadline must be absolute already.
    """
    if asks(request) == "only":
        return "burst=only"
    if wait_s == float("inf"):
        return "nothing on-premises can run it"
    if wait_s >= spill.min_wait_s:
        return f"would wait {show_s(wait_s)} on-premises"
    if spill.deadline and request.deadline_at is not None and finish_at > request.deadline_at:
        return "would miss its deadline on-premises"
    if spill.queue_depth and depth >= spill.queue_depth:
        return f"{depth} jobs wait"
    return ""


def why_unmovable(version: tuple[int, int, int], have: Sequence[Gres], want: Sequence[Gres]) -> str:
    """Why a pending job cannot get from these GRES to those by an update in this release; "": it can.

    Cloud nodes have neither fillers nor dummies, so that only what the release does by itself counts.
    """
    return Moves(version).way(Holding(tuple(have)), want, "").why


def limit_of(job: QueuedJob, new_limit_min: int | None) -> float | None:
    """Seconds that the job may run there; None: without end, which no money can cover."""
    minutes = job.time_limit_min if new_limit_min is None else new_limit_min
    return None if minutes is None or minutes <= 0 or minutes >= UNLIMITED else minutes * 60.0


def show_s(seconds: float) -> str:
    """`45m`, `3h20m`, `2d4h`."""
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02}m"
    return f"{hours // 24}d{hours % 24}h"

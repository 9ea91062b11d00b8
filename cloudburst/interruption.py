"""An instance is taken away: from the notice to the job that runs again. Pure.

    noticed ──drain, cool down──▶ drained ──checkpoint signal──▶ signalled ──grace, requeue──▶ over

Each look says what to do next, from what is known and how far it had come; how far is kept on disk, so that a
crash anywhere goes on from there. A job that ends in the grace is not run again; when one that is requeued
starts is the reconciler's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from hetslurm.cloudburst.ledger.values import Instance, Reservation
from hetslurm.cloudburst.money import cost_micro
from hetslurm.cloudburst.policy import Retry
from hetslurm.cloudburst.reconcile_values import OURS
from hetslurm.cluster import Node, QueuedJob

# What is left between the end of the grace and the end of the instance, to requeue its job.
MARGIN_S = 10.0
REASON = f"{OURS}interruption at "
_REASON = re.compile(rf"{re.escape(REASON)}(\S+)")
_RUNS = frozenset({"RUNNING", "SUSPENDED", "CONFIGURING"})


class Stage(StrEnum):
    """How far it has come."""

    NOTICED = "noticed"
    DRAINED = "drained"
    SIGNALLED = "signalled"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Interruption:
    """One instance's end. Times are Unix seconds; `at` is when it is taken away.

    `job_id` 0: no job was on it. `outcome` says what became of the job.
    """

    token: str
    node: str
    at: float
    noticed_at: float
    stage: Stage = Stage.NOTICED
    job_id: int = 0
    signalled_at: float = 0.0
    outcome: str = ""


class Do(StrEnum):
    """What a look asks for."""

    DRAIN = "drain"
    COOL = "cool"
    SIGNAL = "signal"
    REQUEUE = "requeue"
    TELL_POOR = "tell-poor"
    TERMINATE = "terminate"


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known at `now`. `row` None: the instance is over. `job` is the one on the node, or requeued."""

    now: float
    retry: Retry
    row: Instance | None
    node: Node | None
    job: QueuedJob | None
    reservation: Reservation | None
    others_live: int = 0


@dataclass(frozen=True, slots=True)
class Next:
    """Do these, in order, then write down `progress`."""

    acts: tuple[Do, ...]
    progress: Interruption


def follow(progress: Interruption, scene: Scene) -> Next:
    """The next step."""
    match progress.stage:
        case Stage.NOTICED:
            return _noticed(progress, scene)
        case Stage.DRAINED:
            return _drained(progress, scene)
        case Stage.SIGNALLED:
            return _signalled(progress, scene)
        case _:
            return Next((), progress)


def covers_another(scene: Scene) -> bool:
    """What is held, less what this instance costs until it is gone, pays for one more boot of its node."""
    held, row = scene.reservation, scene.row
    if held is None:
        return False
    one = -(-held.wanted.attempt_micro // max(1, len(held.wanted.node_names)))
    cost = 0
    if row is not None:
        since = row.launched_at if row.launched_at is not None else row.intended_at
        price = row.price_micro or row.price_cap_micro
        cost = cost_micro(price, max(0.0, scene.now + 60.0 - since), least_s=row.billed_least_s)
    return held.held_micro - cost >= (scene.others_live + 1) * one


def reason_at(reason: str) -> float | None:
    """When a node says, in its reason, that it will be taken away; None: it does not say."""
    told = _REASON.match(reason)
    if told is None:
        return None
    try:
        return float(told[1])
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(told[1])
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()


def reason_of(at: float) -> str:
    """The drain's reason."""
    return f"{REASON}{datetime.fromtimestamp(at, UTC).isoformat(timespec='seconds')}"


def _noticed(progress: Interruption, scene: Scene) -> Next:
    if scene.row is None:
        return Next((Do.COOL,), replace(progress, stage=Stage.OVER, outcome="it was gone at once"))
    job_id = scene.job.job_id if scene.job is not None else 0
    return Next((Do.COOL, Do.DRAIN), replace(progress, stage=Stage.DRAINED, job_id=job_id))


def _drained(progress: Interruption, scene: Scene) -> Next:
    if scene.row is None:
        return Next((), replace(progress, stage=Stage.OVER, outcome="it was gone before its job was told"))
    job = _on_node(progress, scene)
    if job is None:
        return Next((Do.TERMINATE,), replace(progress, stage=Stage.OVER, outcome="no job was on it"))
    told = replace(progress, stage=Stage.SIGNALLED, job_id=job.job_id, signalled_at=scene.now)
    return Next((Do.SIGNAL,), told)


def _signalled(progress: Interruption, scene: Scene) -> Next:
    if _on_node(progress, scene) is None:
        again = scene.job is not None and scene.job.job_id == progress.job_id
        outcome = "requeued by Slurm" if again else "its job ended in the grace"
        return Next(_end(scene), replace(progress, stage=Stage.OVER, outcome=outcome))
    until = min(progress.signalled_at + scene.retry.grace_s, progress.at - MARGIN_S)
    if scene.now < until and scene.row is not None:
        return Next((), progress)
    if covers_another(scene):
        enough = replace(progress, stage=Stage.OVER, outcome="requeued")
        return Next((Do.REQUEUE, *_end(scene)), enough)
    poor = replace(
        progress, stage=Stage.OVER, outcome="requeued; what is left of its money covers no other run"
    )
    return Next((Do.TELL_POOR, Do.REQUEUE, *_end(scene)), poor)


def _end(scene: Scene) -> tuple[Do, ...]:
    return () if scene.row is None else (Do.TERMINATE,)


def _on_node(progress: Interruption, scene: Scene) -> QueuedJob | None:
    """The job, while it runs on the node."""
    job = scene.job
    return job if job is not None and job.state in _RUNS and progress.node in job.node_names else None

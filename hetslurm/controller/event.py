"""What happened to a job, when and why: a row of its path, as `hetslurm explain` shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from hetslurm.controller.decisions import JobKey


class What(StrEnum):
    """The steps of a job's way from submit to end."""

    SUBMITTED = "submitted"
    PLACED = "placed"
    HELD = "held"
    REFUSED = "refused"
    RELEASED = "released"
    ADVISED = "advised"
    MOVED = "moved"
    NOT_MOVED = "not_moved"
    REPAIRED = "repaired"
    SPILLED = "spilled"
    CAME_HOME = "came_home"
    STARTED = "started"
    REQUEUED = "requeued"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Event:
    """One step. `at` is Unix seconds, `why` a sentence; `facts` are JSON values (target, pool, score …).

    `task` names the task of an array that it is about, "" for the whole job.
    """

    key: JobKey
    at: float
    what: What
    why: str = ""
    task: str = ""
    facts: dict[str, object] = field(default_factory=dict)

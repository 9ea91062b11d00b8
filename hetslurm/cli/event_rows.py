"""Steps of jobs as JSON and as lines for people. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hetslurm.units import render_duration

if TYPE_CHECKING:
    from hetslurm.controller.event import Event

COLUMNS = (
    ("when (UTC)", "left"),
    ("job", "left"),
    ("user", "left"),
    ("what", "left"),
    ("where", "left"),
    ("why", "left"),
)


def event_json(event: Event) -> dict[str, Any]:
    """One step as `--json` shows it. `at` is Unix seconds, `time` the same for people."""
    return {
        "at": event.at,
        "time": datetime.fromtimestamp(event.at, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "job_id": event.key.job_id,
        "task": event.task or None,
        "what": str(event.what),
        "why": event.why or None,
        "facts": event.facts,
    }


def event_cells(step: dict[str, Any], users: dict[int, str]) -> tuple[str, ...]:
    """One step as a row of `COLUMNS`; `users` by job id, for steps that do not say."""
    facts = step["facts"]
    task = f"_{step['task']}" if step["task"] else ""
    job_id = facts.get("array", step["job_id"]) if task else step["job_id"]
    user = facts.get("user") or users.get(step["job_id"], "")
    return (_when(step["at"]), f"{job_id}{task}", str(user), step["what"], _where(facts), _why(step))


def path_lines(path: list[dict[str, Any]]) -> list[str]:
    """A job's path: when, how long after the step before, what, where and why."""
    lines = []
    before: float | None = None
    width = max((len(step["what"]) for step in path), default=0)
    for step in path:
        after = "" if before is None else f"+{render_duration(step['at'] - before)}"
        before = step["at"]
        task = f"[{step['task']}] " if step["task"] else ""
        rest = ": ".join(filter(None, [_where(step["facts"]), _why(step)]))
        lines.append(f"  {_when(step['at'])} {after:>7} {task}{step['what']:<{width}}  {rest}".rstrip())
    return lines


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def _where(facts: dict[str, Any]) -> str:
    nodes = facts.get("nodes")
    place = " on ".join(filter(None, [_text(facts, "target"), _text(facts, "pool")])) or _text(facts, "to")
    return place + (f" ({', '.join(nodes)})" if isinstance(nodes, list) and nodes else "")


def _why(step: dict[str, Any]) -> str:
    run = step["facts"].get("run_s") if step["what"] == "finished" else None
    return " ".join(filter(None, [step["why"], f"after {render_duration(run)}" if run is not None else ""]))


def _text(facts: dict[str, Any], key: str) -> str:
    value = facts.get(key)
    return value if isinstance(value, str) else ""

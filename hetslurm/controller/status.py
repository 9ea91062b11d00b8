"""`state_dir/controller.json`: how the controller is, for `hetslurm pools` and for monitoring."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Status:
    """The state after a cycle. Times are Unix seconds, durations seconds; None: nothing of the kind."""

    pid: int
    started_at: float
    updated_at: float
    cycles: int = 0
    generation: int = 0
    snapshot_at: float | None = None
    cycle_duration_s: float = 0.0
    slurm: str = ""
    config: str | None = None
    config_error: str | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    nodes: int = 0
    pools: int = 0
    jobs: int = 0
    held: int = 0
    held_for_good: int = 0
    placed_total: int = 0
    failures_total: int = 0
    nodes_heard: int = 0
    nodes_silent: int = 0
    nodes_with_findings: int = 0
    bus_suspected: bool = False
    stopping: bool = False
    burst: dict[str, Any] | None = None
    shadow: dict[str, Any] | None = None
    waits: dict[str, Any] | None = None
    order: dict[str, Any] | None = None
    history: dict[str, Any] | None = None
    rebind: dict[str, Any] | None = None


def status_path(state_dir: Path) -> Path:
    """Where the file is."""
    return state_dir / "controller.json"


def write_status(state_dir: Path, status: Status) -> None:
    """Replace the file in one step; readers see the old one or the new one, never half of it."""
    path = status_path(state_dir)
    fresh = path.with_suffix(".json.new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        json.dump(asdict(status), out)
        out.write("\n")
    fresh.replace(path)


def read_status(state_dir: Path) -> dict[str, Any] | None:
    """What the controller wrote last; None when there is nothing to read."""
    try:
        values = json.loads(status_path(state_dir).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None

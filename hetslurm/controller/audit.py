"""The append-only record of every action that changed Slurm: who, what, when, why, with what result."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from hetslurm.clock import Clock


class Audit:
    """One JSON object a line in `state_dir/audit.jsonl`; a line is written whole and reaches the disk."""

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._path = state_dir / "audit.jsonl"
        self._clock = clock
        self._who = f"hetslurm controller, uid {os.getuid()}, pid {os.getpid()}"

    def note(
        self,
        action: str,
        *,
        why: str,
        result: str,
        job_id: int | None = None,
        node: str | None = None,
        **what: object,
    ) -> None:
        """Add a line about a job or a node.

        OSError when the disk refuses: an action that cannot be recorded is not silent.
        """
        at = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds")
        about = {"job_id": job_id, "node": node}
        entry: dict[str, object] = {"time": at, "who": self._who, "action": action}
        entry |= {key: value for key, value in about.items() if value is not None} | what
        line = json.dumps({**entry, "why": why, "result": result}, default=str) + "\n"
        # Opened each time, so that logrotate may move the file away.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        file = os.open(self._path, flags, 0o640)
        try:
            os.write(file, line.encode())
            os.fdatasync(file)
        finally:
            os.close(file)

"""Structured log lines on stderr: an event and its fields, as `key=value` or as JSON."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TextIO

from hetslurm.clock import Clock, SystemClock

FORMATS = ("text", "json")


class Log:
    """Writes one line an event. A closed or full stderr never stops the daemon."""

    def __init__(self, form: str = "text", out: TextIO | None = None, clock: Clock | None = None) -> None:
        self._render = _as_json if form == "json" else _as_text
        self._out = out
        self._clock = clock or SystemClock()

    def info(self, event: str, **fields: object) -> None:
        """Something that happened."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something that an admin may want to look at."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something that did not work."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        at = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds")
        out = self._out or sys.stderr
        try:
            out.write(self._render(at.replace("+00:00", "Z"), level, event, fields) + "\n")
            out.flush()
        except (OSError, ValueError):
            return


def _as_json(at: str, level: str, event: str, fields: dict[str, object]) -> str:
    return json.dumps({"time": at, "level": level, "event": event, **fields}, default=str)


def _as_text(at: str, level: str, event: str, fields: dict[str, object]) -> str:
    words = [at, level, f'"{event}"' if " " in event else event]
    for key, value in fields.items():
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        plain = text and not any(c in text for c in " \"'=\n\t")
        words.append(f"{key}={text if plain else json.dumps(text, ensure_ascii=False)}")
    return " ".join(words)

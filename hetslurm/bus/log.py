"""What the bus logs through, and a log that one bad peer cannot fill."""

from __future__ import annotations

from typing import Protocol

from hetslurm.clock import Clock

EVERY_S = 60.0
MAX_EVENTS = 1024


class EventLog(Protocol):
    """An event and its fields (the controller's Log is one)."""

    def info(self, event: str, **fields: object) -> None:
        """Something that happened."""
        ...

    def warning(self, event: str, **fields: object) -> None:
        """Something that an admin may want to look at."""
        ...

    def error(self, event: str, **fields: object) -> None:
        """Something that did not work."""
        ...


class QuietLog:
    """At most one line a minute for each event and subject; the next line says how many were left out."""

    def __init__(self, log: EventLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def info(self, event: str, **fields: object) -> None:
        """Always written: for what the admin did."""
        self._log.info(event, **fields)

    def warning(self, event: str, subject: str = "", **fields: object) -> None:
        """Once a minute for this event and subject."""
        left_out = self._left_out(event, subject)
        if left_out is not None:
            self._log.warning(event, **fields, **left_out)

    def error(self, event: str, subject: str = "", **fields: object) -> None:
        """Once a minute for this event and subject."""
        left_out = self._left_out(event, subject)
        if left_out is not None:
            self._log.error(event, **fields, **left_out)

    def _left_out(self, event: str, subject: str) -> dict[str, int] | None:
        now = self._clock.monotonic()
        at, count = self._last.get((event, subject), (None, 0))
        if at is not None and now - at < EVERY_S:
            self._last[event, subject] = (at, count + 1)
            return None
        if len(self._last) >= MAX_EVENTS:
            self._last.clear()
        self._last[event, subject] = (now, 0)
        return {"left_out": count} if count else {}

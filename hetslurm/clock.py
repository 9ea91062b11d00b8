"""Time as a value that is passed in, so that what depends on it can be tested."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What everything that needs the time takes."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever rise, for durations."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only ever rise."""
        return time.monotonic()


class FixedClock:
    """A clock that stands still until it is told to move; for tests and the simulator."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def now(self) -> float:
        """Unix seconds."""
        return self._now

    def monotonic(self) -> float:
        """The same clock."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds

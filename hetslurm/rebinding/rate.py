"""How many jobs may move now: a token bucket. Pure; the time is passed in."""

from __future__ import annotations


class Rate:
    """At most `per_minute` moves a minute, and never more than a minute's worth at once.

    `spent` are moves of the last minute, of an earlier controller say: they are not made twice.
    """

    def __init__(self, per_minute: float, now: float, spent: int = 0) -> None:
        self._per_minute = per_minute
        self._tokens = max(0.0, max(per_minute, 1.0) - spent)
        self._at = now

    def follow(self, per_minute: float) -> None:
        """The admin's new rate."""
        self._per_minute = per_minute

    def left(self, now: float) -> int:
        """How many may move now. `now`: seconds of a clock that only rises."""
        full = max(self._per_minute, 1.0)
        self._tokens = min(full, self._tokens + max(0.0, now - self._at) * self._per_minute / 60.0)
        self._at = now
        return int(self._tokens)

    def take(self) -> None:
        """One moves."""
        self._tokens -= 1.0

"""How many instances to ask a provider for at once, learned from what it throttles. Pure but for its state.

Clouds give out launches from a bucket that refills (EC2: 1,000 instances, 2 a second) and refuse a call whole
when it asks for more than is in it. How full it is nobody tells, and others of the same account empty it,
too: so a lower and an upper bound are kept, every answer halves what lies between, and one that is below the
lower bound says that less comes back than was thought.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import floor, inf, isfinite

# The most that one call asks for.
BATCH = 500
# A call for fewer is not worth its place in the cloud's own limit of calls, unless no more are wanted.
WORTH = 20
# The rate at which launches come back is learned: less after a contradiction, slowly more after a success.
SLOWER, FASTER, SLOWEST = 0.5, 1.05, 0.05


@dataclass(frozen=True, slots=True)
class Bucket:
    """A cloud's launch limit: instances it holds when full, and how many come back each second."""

    size: float = 1000.0
    refill_per_s: float = 2.0


class Pace:
    """Between `low` and `high` launches are in the bucket, as far as we know. A new one has hope."""

    def __init__(self, bucket: Bucket = Bucket(), text: str = "") -> None:
        self._bucket = bucket
        self._low, self._high = 0.0, bucket.size
        self._hopes = True
        self._share = 1.0
        self._at: float | None = None
        self.remember(text)

    def text(self) -> str:
        """What was learned, for the next process."""
        known = (self._low, self._high, self._share, self._at or 0.0)
        return json.dumps({"known": known, "hopes": self._hopes})

    def remember(self, text: str) -> None:
        """Go on from what this or another process learned; what is no such text changes nothing."""
        try:
            known = json.loads(text)
            low, high, share, at = map(float, known["known"])
            hopes = known["hopes"] is True
        except (ValueError, KeyError, TypeError):
            return
        if 0 <= low <= high <= self._bucket.size and SLOWEST <= share <= 1 and isfinite(at):
            self._low, self._high, self._share, self._at, self._hopes = low, high, share, at, hopes

    def batch(self, wanted: int, now: float) -> int:
        """How many to ask for now; 0: wait `ready_s`."""
        amount = min(wanted, BATCH, self._guess(now))
        return amount if amount >= min(wanted, WORTH) else 0

    def ready_s(self, wanted: int, now: float) -> float:
        """Seconds until a call is worth it."""
        missing = min(wanted, WORTH) - self._middle(now)
        if missing <= 0:
            return 0.0
        return missing / self._rate if self._rate > 0 else inf

    def learn(self, launched: int, throttled: int, now: float) -> None:
        """What became of one call: so many begun, so many refused for asking too fast."""
        self._refill(now)
        if throttled:
            self._hopes = False
            if launched + throttled <= self._low:
                self._share = max(SLOWEST, self._share * SLOWER)
            self._high = 0.0 if launched else max(0.0, min(self._high, throttled - 1.0))
            self._low = self._low if self._low <= self._high else 0.0
        elif launched:
            self._share = min(1.0, self._share * FASTER)
            self._low = max(0.0, self._low - launched)
            self._high = max(0.0, self._high - launched)

    @property
    def _rate(self) -> float:
        return self._share * self._bucket.refill_per_s

    def _guess(self, now: float) -> int:
        return floor(self._middle(now) + 1e-6)

    def _middle(self, now: float) -> float:
        self._refill(now)
        return self._high if self._hopes else (self._low + self._high) / 2

    def _refill(self, now: float) -> None:
        # A clock that was set back refills nothing.
        gained = max(0.0, now - self._at) * self._rate if self._at is not None else 0.0
        self._low = min(self._bucket.size, self._low + gained)
        self._high = min(self._bucket.size, self._high + gained)
        self._at = now

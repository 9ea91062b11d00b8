"""How many instances to ask a provider for at once, learned from what it throttles. Pure but for its state.

Clouds give out launches from a bucket that refills (EC2: 1,000 instances, 2 a second) and refuse a call whole
when it asks for more than is in it. How full it is nobody tells, and others of the same account empty it,
too: so a lower and an upper bound are kept, and every answer halves what lies between.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import floor, inf

# The most that one call asks for.
BATCH = 500
# A call for fewer is not worth its place in the cloud's own limit of calls, unless no more are wanted.
WORTH = 20


@dataclass(frozen=True, slots=True)
class Bucket:
    """A cloud's launch limit: instances it holds when full, and how many come back each second."""

    size: float = 1000.0
    refill_per_s: float = 2.0


class Pace:
    """Between `low` and `high` launches are in the bucket, as far as we know. A new one believes it full."""

    def __init__(self, bucket: Bucket = Bucket(), text: str = "") -> None:
        self._bucket = bucket
        self._low = self._high = bucket.size
        self._at: float | None = None
        if text:
            self._remember(text)

    def text(self) -> str:
        """What was learned, for the next process."""
        return json.dumps({"low": self._low, "high": self._high, "at": self._at})

    def batch(self, wanted: int, now: float) -> int:
        """How many to ask for now; 0: wait `ready_s`."""
        amount = min(wanted, BATCH, self._guess(now))
        return amount if amount >= min(wanted, WORTH) else 0

    def ready_s(self, wanted: int, now: float) -> float:
        """Seconds until a call is worth it."""
        missing = min(wanted, WORTH) - self._middle(now)
        if missing <= 0:
            return 0.0
        return missing / self._bucket.refill_per_s if self._bucket.refill_per_s > 0 else inf

    def learn(self, launched: int, throttled: int, now: float) -> None:
        """What became of one call: so many begun, so many refused for asking too fast."""
        self._refill(now)
        if throttled and launched:
            self._low = self._high = 0.0
        elif throttled:
            self._high = max(0.0, min(self._high, throttled - 1.0))
            self._low = self._low if self._low <= self._high else 0.0
        else:
            self._low = max(0.0, self._low - launched)
            self._high = max(0.0, self._high - launched)

    def _guess(self, now: float) -> int:
        return floor(self._middle(now) + 1e-6)

    def _middle(self, now: float) -> float:
        self._refill(now)
        return (self._low + self._high) / 2

    def _refill(self, now: float) -> None:
        # A clock that was set back refills nothing.
        gained = max(0.0, now - self._at) * self._bucket.refill_per_s if self._at is not None else 0.0
        self._low = min(self._bucket.size, self._low + gained)
        self._high = min(self._bucket.size, self._high + gained)
        self._at = now

    def _remember(self, text: str) -> None:
        try:
            known = json.loads(text)
            low, high, at = float(known["low"]), float(known["high"]), float(known["at"])
        except (ValueError, KeyError, TypeError):
            return
        if 0 <= low <= high <= self._bucket.size:
            self._low, self._high, self._at = low, high, at

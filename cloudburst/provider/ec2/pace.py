"""How fast calls are made: a bucket of tokens, as EC2 itself counts."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hetslurm.clock import Clock


class Pace:
    """`burst` calls at once, `rate` a second after that; callers of any thread wait their turn."""

    def __init__(
        self, rate: float, burst: int, clock: Clock, sleep: Callable[[float], None] | None = None
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._sleep = sleep or (lambda seconds: threading.Event().wait(seconds) and None)
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._at = clock.monotonic()

    def take(self, until: float) -> bool:
        """Wait for a turn; False, at once, where none comes before `until` (monotonic)."""
        with self._lock:
            now = self._clock.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
            wait_s = max(0.0, (1.0 - self._tokens) / self._rate)
            if now + wait_s > until:
                return False
            # Taken now, though it may only be there later: turns go by the order of asking.
            self._tokens -= 1.0
        if wait_s > 0:
            self._sleep(wait_s)
        return True

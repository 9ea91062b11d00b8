"""What share of their limits jobs use, learnt by user from the jobs that ended. Pure.

Most jobs end long before their limits, and a scheduler that knows it plans better (Tsafrir, Etsion and
Feitelson, 2007). Shares are counted in classes of their logarithm, so that a job that has run for a while
is expected to end as those did that got as far.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from math import floor, log2

# Two classes for every halving, down to 1/1024 of the limit.
CLASSES = 20
# A job that ends loses 5 % of its weight in the user's counts with each that follows, 0.2 % in everybody's.
OWN_DECAY, ALL_DECAY = 0.95, 0.998
# Everybody's jobs count as this many of a user's own.
PRIOR_N = 2.0
# Where in the distribution of those that got as far. The median plans the queue too early: what comes late
# holds others up. Chosen on the first half of KTH-SP2.
QUANTILE = 0.6
# Fewer jobs than this say nothing.
ENOUGH_JOBS = 10.0
MAX_USERS = 10_000


@dataclass(slots=True)
class Usage:
    """Counts of used over requested time, by user and in all. `users` has the one seen last at the end."""

    everybody: list[float] = field(default_factory=lambda: [0.0] * CLASSES)
    users: OrderedDict[str, list[float]] = field(default_factory=OrderedDict)

    def learn(self, user: str, used_s: float, limit_s: float) -> None:
        """Count a job in that held what it had for `used_s` of the `limit_s` it asked for."""
        if limit_s <= 0:
            return
        n = _class_of(used_s / limit_s)
        own = self.users.setdefault(user, [0.0] * CLASSES)
        self.users.move_to_end(user)
        if len(self.users) > MAX_USERS:
            self.users.popitem(last=False)
        for counts, decay in ((own, OWN_DECAY), (self.everybody, ALL_DECAY)):
            counts[:] = [count * decay for count in counts]
            counts[n] += 1.0

    def run_s(self, user: str, limit_s: float, elapsed_s: float = 0.0) -> float | None:
        """How long a job should run in all that has run for `elapsed_s`: `QUANTILE` of those that got as far.

        None while too few have ended. Never more than the limit.
        """
        if sum(self.everybody) < ENOUGH_JOBS or limit_s <= 0:
            return None
        reached = min(elapsed_s / limit_s, 1.0)
        weights = self._weights(user, _class_of(reached))
        until, so_far = sum(weights) * QUANTILE, 0.0
        for n, weight in enumerate(weights):
            if weight and so_far + weight >= until:
                low, high = max(_bound(n), reached), _bound(n + 1)
                return limit_s * (low + max(high - low, 0.0) * (until - so_far) / weight)
            so_far += weight
        return limit_s

    def _weights(self, user: str, first: int) -> list[float]:
        """Of each class, in a mix of the user's jobs and everybody's; those below `first` are over."""
        total = sum(self.everybody)
        own = self.users.get(user)
        mixed = [PRIOR_N * count / total for count in self.everybody]
        if own is not None:
            mixed = [a + b for a, b in zip(mixed, own, strict=True)]
        return [0.0 if n < first else weight for n, weight in enumerate(mixed)]


def _class_of(share: float) -> int:
    if share <= 0.0:
        return 0
    return min(max(CLASSES + floor(2.0 * log2(share)), 0), CLASSES - 1)


def _bound(n: int) -> float:
    """The least share in class `n`."""
    return 0.0 if n == 0 else 2.0 ** ((n - CLASSES) / 2.0)

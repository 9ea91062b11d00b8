"""How long to wait before the next try: longer after each failure, and never in step with others."""

from __future__ import annotations

from collections.abc import Callable

# 0 to 1, evenly; `random.random`, or a test's.
Chance = Callable[[], float]


def backoff_s(failures: int, *, first_s: float, longest_s: float, chance: Chance) -> float:
    """Seconds after this many failures in a row (1 and more): doubling, from half to one and a half of it."""
    return jittered(min(longest_s, first_s * 2.0 ** min(failures - 1, 32)), 0.5, chance)


def jittered(seconds: float, share: float, chance: Chance) -> float:
    """Seconds within `share` above or below."""
    return seconds * (1.0 - share + 2.0 * share * chance())

"""An availability profile: how many units are free from when on. Pure.

A step function of time, as backfill schedulers keep it (Mu'alem and Feitelson, 2001): running jobs give
units back when they are expected to end, planned jobs take them for as long as they are expected to run.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

# More steps than this are merged, each group into its latest (or its earliest, where units are taken): a job
# may then seem to end a little later.
MAX_STEPS = 256


class Profile:
    """Units free from `times[i]` (seconds from now) until `times[i + 1]`; the last for ever."""

    __slots__ = ("_busy", "free", "times")

    def __init__(self, free_now: float, releases: Iterable[tuple[float, float]]) -> None:
        """`releases` are (seconds from now, units that come free), in any order; fewer than 0: are taken."""
        self.times: list[float] = [0.0]
        self.free: list[float] = [free_now]
        self._busy = 0  # every step before this one has nothing free
        for at, units in _merged(releases):
            if at > self.times[-1]:
                self.times.append(at)
                self.free.append(self.free[-1] + units)
            else:
                self.free[-1] += units

    def earliest(self, units: float, length_s: float, not_before: float = 0.0) -> float:
        """The first time from which `units` are free for `length_s` on end.

        Units that never come free are taken to do so at the last step.
        """
        times, free, n = self.times, self.free, len(self.times)
        units -= 1e-9
        i = max(self._skip(), bisect_right(times, not_before) - 1)
        while i < n:
            if free[i] < units:
                i += 1
                continue
            start = max(times[i], not_before)
            end, j = start + length_s, i + 1
            while j < n and times[j] < end and free[j] >= units:
                j += 1
            if j == n or times[j] >= end:
                return start
            i = j + 1
        return max(times[-1], not_before)

    def take(self, units: float, start: float, length_s: float) -> None:
        """Plan a job: its units are gone from `start` for `length_s`. More than there is may be taken."""
        first, last = self._cut(start), self._cut(start + length_s)
        for i in range(first, last):
            self.free[i] -= units
        self._busy = min(self._busy, first)

    def when_done(self, unit_s: float) -> float:
        """The time by which the free units, all put to it, have done this much work (unit-seconds)."""
        left = unit_s
        for i in range(len(self.times) - 1):
            work = max(self.free[i], 0.0) * (self.times[i + 1] - self.times[i])
            if work >= left:
                return self.times[i] + left / max(self.free[i], 1e-9)
            left -= work
        return self.times[-1] + left / max(self.free[-1], 1.0)

    def _skip(self) -> int:
        while self._busy < len(self.free) - 1 and self.free[self._busy] <= 0:
            self._busy += 1
        return self._busy

    def _cut(self, at: float) -> int:
        """The index of the step that begins at `at`, which is made when there is none."""
        i = bisect_left(self.times, at)
        if i == len(self.times) or self.times[i] != at:
            self.times.insert(i, at)
            self.free.insert(i, self.free[i - 1])
        return i


def _merged(releases: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    given: dict[float, float] = {}
    taken: dict[float, float] = {}
    for at, units in releases:
        side = given if units > 0 else taken
        side[at] = side.get(at, 0.0) + units
    return sorted([*_fewer(given, -1), *_fewer(taken, 0)])


def _fewer(by_time: dict[float, float], stands: int) -> list[tuple[float, float]]:
    """Groups of steps as one each, at the time of the one that `stands` for its group (an index)."""
    steps = sorted(by_time.items())
    size = max(1, -(-len(steps) // MAX_STEPS))
    groups = [steps[i : i + size] for i in range(0, len(steps), size)]
    return [(group[stands][0], sum(units for _, units in group)) for group in groups]

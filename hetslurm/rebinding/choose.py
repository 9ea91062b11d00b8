"""Which of many jobs move in one cycle, and in which order. Pure.

The largest gain moves first. Each move counts before the next one is looked at: the new pool has it in its
queue, and those behind it in the old pool start sooner. So a pool that comes back draws as many jobs as
gain by it, and not the whole queue.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Crowd:
    """What the moves of this cycle did to the pools so far."""

    def __init__(self, units: Sequence[float]) -> None:
        """`units`: what each pool has in all, devices or cpus."""
        self._size = np.maximum(np.asarray(units, dtype=np.float64), 1.0)
        self._came_units = np.zeros(len(self._size))
        self._came_unit_s = np.zeros(len(self._size))
        self._left: list[list[tuple[float, float]]] = [[] for _ in self._size]

    @property
    def backlog(self) -> tuple[Floats, Floats]:
        """(units, unit seconds) per pool that newcomers find queued beside what the snapshot knows."""
        return self._came_units, self._came_unit_s

    def came(self, pool: int, units: float, run_s: float) -> None:
        """A job went there."""
        self._came_units[pool] += units
        self._came_unit_s[pool] += units * run_s

    def went(self, pool: int, units: float, run_s: float, start_s: float) -> None:
        """A job left that was to start there in so many seconds."""
        self._left[pool].append((start_s, units * run_s))

    def own_wait(self, pool: int, start_s: float) -> float:
        """When a job starts that waited behind those that left: seconds from now."""
        freed = sum(work for ahead_s, work in self._left[pool] if ahead_s < start_s)
        return max(0.0, start_s - freed / float(self._size[pool]))


def by_gain(first: Sequence[float], weigh: Callable[[int], float]) -> Generator[int, bool, None]:
    """Indices, the largest gain first, each weighed anew with what was moved before it.

    `first` are upper bounds of the gains, in the queue's order, which decides between equals. `weigh`
    gives an index's gain as things are now; 0 or less: it stays. The caller acts on what is yielded and
    may `send(True)`: the same one again, of which there is more (an array's next task).
    """
    heap = [(-gained, index) for index, gained in enumerate(first) if gained > 0]
    heapq.heapify(heap)
    while heap:
        bound, index = heapq.heappop(heap)
        gained = weigh(index)
        if gained <= 0:
            continue
        if -gained > bound and heap and (-gained, index) > heap[0]:
            heapq.heappush(heap, (-gained, index))  # it fell behind; its turn may come
            continue
        again = yield index
        if again:
            heapq.heappush(heap, (-gained, index))

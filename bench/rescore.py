"""rescore_ms: 100,000 pending jobs against 256 pools on one core, and what a cycle costs beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bench.kernel import view_of
from hetslurm.job import Request
from hetslurm.native import kernel
from hetslurm.placement import Asked
from hetslurm.scoring import Batch, Pending, Rescored
from hetslurm.scoring.batch import places_of
from hetslurm.target import Target

JOBS = 100_000
POOLS = 256
AUTHORS = 500
TARGETS = (1, 3)
ROUNDS = 5
LIMIT_MS = 150.0


def measure() -> dict[str, Any]:
    """Milliseconds of kernel.rescore() with one target a job; every pool is of the kind that they want."""
    view = kernel.View(view_of(POOLS))
    by_targets = {str(n): _measure(view, n) for n in TARGETS}
    value = by_targets["1"]["kernel_ms"]
    return {
        "name": "rescore_ms",
        "value": value,
        "unit": "ms",
        "baseline": LIMIT_MS,
        "ratio": value / LIMIT_MS,
        "detail": {"jobs": JOBS, "pools": POOLS, "authors": AUTHORS, "targets": by_targets},
    }


def _measure(view: kernel.View, n_targets: int) -> dict[str, float]:
    """Milliseconds by step; `cycle_ms` is a whole Batch.rescore() that finds nothing changed."""
    target = Target("gpu", "a100", 1, cpus=8, time_s=3600)
    targets = tuple(replace(target, time_s=3600 + 60 * i) for i in range(n_targets))
    wanted = {
        key: (Request(targets, work=1.0 + key), Asked(uid=1000 + key % AUTHORS, account="chem"))
        for key in range(JOBS)
    }
    names = view.pools
    pending = [Pending(key, 0, 0, names[key % POOLS], 60.0) for key in range(JOBS)]
    batch = Batch()

    def cycle() -> Rescored:
        return batch.rescore(view, pending, wanted.__getitem__, 1e9)

    first = _ms(cycle, 1)
    whole = _ms(cycle)
    authors: dict[bytes, int] = {}
    jobs, alts = kernel.resolve_batch(view, wanted.values(), 10**9, authors)
    records, nodes = kernel.authors_of(list(authors))
    rows, places = kernel.admit(view, records, nodes), places_of(view, pending)
    alone = _ms(lambda: kernel.rescore(view, jobs, alts, rows, places))
    rescored = cycle()
    return {
        "kernel_ms": alone,
        "pairs_per_s": JOBS * POOLS * n_targets / alone * 1e3,
        "cycle_ms": whole,
        "places_ms": _ms(lambda: places_of(view, pending)),
        "admit_ms": _ms(lambda: kernel.admit(view, records, nodes)),
        "read_choices_ms": _ms(lambda: _gains(rescored)),
        "first_cycle_ms": first,
        "resolve_ms": _ms(lambda: kernel.resolve_batch(view, wanted.values(), 10**9, {}), 2),
    }


def _gains(rescored: Rescored) -> int:
    """As a rebinder reads them: how many jobs would be done at least a tenth sooner elsewhere."""
    better = (rescored.t_best < 0.9 * rescored.t_now) & (rescored.choices["pool"] >= 0)
    return int(np.count_nonzero(better))


def _ms(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Milliseconds of processor time of this thread, the fastest of so many rounds."""
    times = []
    for _ in range(rounds):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return min(times) * 1e3

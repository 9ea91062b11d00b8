"""Shadow prices: what a second of a pool's unit is worth to other jobs. Pure.

A recent mix of jobs is spread over the pools by a linear program. With n_c jobs of class c, each of which
runs r seconds on u units where it is put, x the share of a class that goes there, C a pool's units, W the
window in which the mix arrived and N the number of its jobs:

    minimize    Σ n_c·r·x  +  N/2·z              seconds of all jobs
    subject to  Σ x = 1                          of every class
                Σ n_c·r·u·x ≤ C·(ρ·W + z)        of every pool
                0 ≤ x ≤ 1, z ≥ 0

z is by how much the work outlasts its window. It keeps the program feasible under any load, and bounds the
prices: jobs that come evenly over a window that is stretched by z wait z/2 on average. ρ leaves the room
without which queues grow. The dual of a pool's row is the price: by how many seconds the sum would shrink
with one more unit-second there. A pool with room to spare costs nothing.

Duals as prices of scarce machines are linear programming's textbook (Dantzig 1963, ch. 12); HiGHS solves it
(Huangfu and Hall 2018, doi:10.1007/s12532-017-0130-5).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# The share of a pool's time that work may fill before it counts as full (measured: docs/shadow-prices.md).
FULL = 0.6
# Classes whose runs differ by less than this factor are one; coarser where there would be too many.
GRAINS = (1.1, 1.25, 1.6, 2.6, 7.0, 50.0)
MOST_VARIABLES = 40_000
NEGLIGIBLE = 1e-9
SHORTEST_S = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """Where a job could run: a pool's index, the units it would hold there, its run in seconds, each.

    `count` jobs are alike (an array's tasks).
    """

    pool: Indices
    units: Floats
    run_s: Floats
    count: float = 1.0


@dataclass(frozen=True, slots=True)
class Prices:
    """What came of it. `per_unit_s` has one value a pool: seconds of other jobs' time per second of a unit.

    `stretch_s` is z: above 0, the mix is more than the pools can do in its window. None of it where the
    solver gave up (`solved` False).
    """

    per_unit_s: Floats
    solved: bool
    stretch_s: float = 0.0
    jobs: float = 0.0
    classes: int = 0
    solve_s: float = 0.0
    why: str = ""


@dataclass(slots=True)
class _Class:
    """Jobs that could run in the same places about as long."""

    pool: Indices
    units: Floats
    work_s: Floats
    count: float = 0.0


@dataclass(frozen=True, slots=True)
class _Columns:
    """The variables x, one a class and pair: which class, which pool, seconds and unit-seconds at x = 1."""

    of_class: Indices
    pool: Indices
    run_s: Floats
    unit_s: Floats
    classes: int
    jobs: float = field(default=0.0)


def shadow_prices(
    jobs: Sequence[Options], units: Floats, window_s: float, deadline_s: float, full: float = FULL
) -> Prices:
    """Prices from a mix that arrived within `window_s` seconds, for pools with `units` units.

    HiGHS stops after `deadline_s` seconds. Raises ValueError where a job names a pool that is none, or
    holds numbers that are no run time.
    """
    none = np.zeros(len(units))
    able = [one for one in (_within(job, units) for job in jobs) if len(one.pool) and one.count > 0]
    if not able:
        return Prices(none, solved=True, why="no job of the mix can run anywhere")
    columns = _columns_of(able)
    return _solve(columns, units, max(window_s, 0.0) * full, deadline_s)


def _within(job: Options, units: Floats) -> Options:
    """The job without the pairs that no unit is up for."""
    if len(job.pool) and not (job.pool.min() >= 0 and job.pool.max() < len(units)):
        raise ValueError(f"a job could run in pool {job.pool.max()}; there are {len(units)}")
    if not (np.isfinite(job.run_s).all() and (job.run_s >= 0).all() and (job.units >= 0).all()):
        raise ValueError(f"runs of {job.run_s} s on {job.units} units: expected finite numbers from 0")
    fits = (units[job.pool] >= job.units) & (job.units > 0)
    return Options(job.pool[fits], job.units[fits], np.maximum(job.run_s[fits], SHORTEST_S), job.count)


def _columns_of(jobs: Sequence[Options]) -> _Columns:
    """Classes of the jobs, as fine as the number of variables allows."""
    for grain in GRAINS:
        classes = _classes_of(jobs, grain)
        if sum(len(one.pool) for one in classes) <= MOST_VARIABLES:
            break
    return _Columns(
        np.repeat(np.arange(len(classes)), [len(one.pool) for one in classes]),
        np.concatenate([one.pool for one in classes]),
        np.concatenate([one.work_s for one in classes]),
        np.concatenate([one.work_s * one.units for one in classes]),
        len(classes),
        sum(one.count for one in classes),
    )


def _classes_of(jobs: Sequence[Options], grain: float) -> list[_Class]:
    classes: dict[bytes, _Class] = {}
    for job in jobs:
        steps = np.rint(np.log(job.run_s) / np.log(grain)).astype(np.int64)
        key = job.pool.tobytes() + job.units.tobytes() + steps.tobytes()
        one = classes.get(key)
        if one is None:
            one = classes[key] = _Class(job.pool, job.units, np.zeros(len(job.pool)))
        one.work_s += job.count * job.run_s
        one.count += job.count
    return list(classes.values())


def _solve(columns: _Columns, units: Floats, window_s: float, deadline_s: float) -> Prices:
    """The program, in numbers near 1: rows in shares of a pool's time, cost in shares of all runs."""
    from scipy.optimize import linprog  # noqa: PLC0415  a second of imports that only solving needs
    from scipy.sparse import coo_array  # noqa: PLC0415

    n, n_pools = len(columns.pool), len(units)
    up = np.maximum(units, NEGLIGIBLE)
    least = np.full(columns.classes, np.inf)
    np.minimum.at(least, columns.of_class, columns.run_s)
    cost_scale = float(least.sum())
    span_s = max(window_s, float(columns.unit_s.sum() / columns.classes / up.sum()), SHORTEST_S)
    cost = np.append(columns.run_s / cost_scale, columns.jobs / 2.0 * span_s / cost_scale)
    stretch = np.full(n_pools, n)
    rows = coo_array(
        (
            np.append(columns.unit_s / (up[columns.pool] * span_s), np.full(n_pools, -1.0)),
            (np.append(columns.pool, np.arange(n_pools)), np.append(np.arange(n), stretch)),
        ),
        shape=(n_pools, n + 1),
    ).tocsr()
    whole = coo_array((np.ones(n), (columns.of_class, np.arange(n))), shape=(columns.classes, n + 1)).tocsr()
    begun = time.perf_counter()
    found = linprog(
        cost,
        A_ub=rows,
        b_ub=np.full(n_pools, window_s / span_s),
        A_eq=whole,
        b_eq=np.ones(columns.classes),
        bounds=(0.0, None),
        method="highs",
        options={"time_limit": deadline_s},
    )
    took = time.perf_counter() - begun
    if found.status != 0:
        return Prices(
            np.zeros(n_pools),
            solved=False,
            jobs=columns.jobs,
            classes=columns.classes,
            solve_s=took,
            why=str(found.message).strip(),
        )
    # The dual of row j is -d(cost)/d(share of the pool's time): in seconds, over the pool's unit-seconds.
    prices = -np.asarray(found.ineqlin.marginals) * cost_scale / (up * span_s)
    prices[(units <= 0) | (prices < NEGLIGIBLE)] = 0.0
    return Prices(
        prices, True, float(found.x[-1] * span_s), columns.jobs, columns.classes, took, "the mix was solved"
    )

"""Shadow prices: scarce pools cost, spare ones do not; a price is what one more unit-second would save."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.estimates.shadow import Options, shadow_prices


def options(*pairs: tuple[int, float, float], count: float = 1.0) -> Options:
    """(pool, units, run_s) each."""
    pool, units, run = zip(*pairs, strict=True)
    return Options(np.array(pool, dtype=np.int64), np.array(units, float), np.array(run, float), count)


def prices(jobs: list[Options], units: list[float], window_s: float, full: float = 1.0) -> list[float]:
    found = shadow_prices(jobs, np.array(units), window_s, 10.0, full)
    assert found.solved
    return list(found.per_unit_s)


def test_pools_with_room_to_spare_cost_nothing() -> None:
    assert prices([options((0, 1, 10), (1, 1, 100), count=5)], [1, 1], 1000) == [0, 0]


def test_a_full_pool_costs_what_the_next_best_pool_takes_longer() -> None:
    # 20 jobs of 10 s or 100 s; the fast unit holds 10 of them: one second more there saves 9 s elsewhere.
    assert prices([options((0, 1, 10), (1, 1, 100), count=20)], [1, 20], 100) == pytest.approx([9, 0])


def test_the_price_is_set_by_who_gains_least_of_those_inside() -> None:
    much = options((0, 1, 10), (1, 1, 100), count=8)
    little = options((0, 1, 10), (1, 1, 12), count=8)
    # The pool holds ten: the eight that gain much, and two that gain 2 s in 10.
    assert prices([much, little], [1, 20], 100) == pytest.approx([0.2, 0])


def test_a_price_is_per_unit_held() -> None:
    assert prices([options((0, 4, 10), (1, 1, 100), count=20)], [4, 20], 100) == pytest.approx([9 / 4, 0])


def test_more_work_than_there_is_time_is_priced_and_bounded() -> None:
    jobs = [options((0, 1, 10), (1, 1, 40), count=1000)]
    found = shadow_prices(jobs, np.array([2.0, 4.0]), 100.0, 10.0, 1.0)
    assert found.solved
    assert found.stretch_s > 0
    # What all pools' prices come to is what a second of stretch costs: N/2.
    assert found.per_unit_s @ [2.0, 4.0] == pytest.approx(500, rel=1e-6)
    assert found.per_unit_s[0] > found.per_unit_s[1] > 0


def test_jobs_that_all_come_at_once_are_priced() -> None:
    fast, slow = prices([options((0, 1, 10), (1, 1, 40), count=30)], [2, 4], 0.0)
    assert fast > slow > 0


def test_a_pool_that_is_down_takes_no_job_and_has_no_price() -> None:
    assert prices([options((0, 1, 10), (1, 1, 100), count=20)], [0, 20], 1000) == [0, 0]


def test_jobs_that_can_run_nowhere_change_nothing() -> None:
    assert prices([options((0, 8, 10), count=50)], [4], 10) == [0]
    assert prices([], [4, 2], 10) == [0, 0]


def test_a_solver_out_of_time_says_so() -> None:
    rng = np.random.default_rng(3)
    jobs = [Options(np.arange(40), np.ones(40), np.exp(rng.uniform(0, 9, 40)), 1.0) for _ in range(900)]
    found = shadow_prices(jobs, np.ones(40), 100.0, 1e-6)
    assert not found.solved
    assert found.why


def test_a_pool_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="there are 1"):
        shadow_prices([options((1, 1, 10))], np.array([1.0]), 10.0, 1.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_prices_are_never_negative_and_come_to_half_the_jobs_at_most(seed: int) -> None:
    rng = np.random.default_rng(seed)
    jobs = [
        Options(np.arange(3), rng.integers(1, 3, 3).astype(float), np.exp(rng.uniform(1, 6, 3)), 1.0)
        for _ in range(40)
    ]
    units = np.array([3.0, 4.0, 6.0])
    window = float(rng.uniform(20, 3000))
    found = shadow_prices(jobs, units, window, 10.0, 1.0)
    assert found.solved
    assert (found.per_unit_s >= 0).all()
    assert found.per_unit_s @ units <= found.jobs / 2 * (1 + 1e-6)
    if found.stretch_s > 1e-6:
        assert found.per_unit_s @ units == pytest.approx(found.jobs / 2, rel=1e-6)

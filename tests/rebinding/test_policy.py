"""Hysteresis, rate and order of moves, as functions of numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.native.kernel import TERMS_DTYPE, WEIGHTS_DTYPE
from hetslurm.native.layout import REASON_BITS
from hetslurm.rebinding.choose import Crowd, by_gain
from hetslurm.rebinding.hysteresis import Standing, discount, gain, why_stay
from hetslurm.rebinding.judge import weigh
from hetslurm.rebinding.rate import Rate
from hetslurm.site import RebindSite

SECONDS = st.floats(0, 1e7)
SITE = RebindSite(mode="on")


@given(age=SECONDS, cost=st.floats(0, 1e4), moves=st.integers(0, 50))
def test_other_placements_never_count_more_than_they_are_worth(age: float, cost: float, moves: int) -> None:
    worth = discount(Standing(age, moves, cost))
    assert 0 <= worth <= 1
    assert discount(Standing(age, moves + 1, cost)) <= worth
    assert discount(Standing(age + 1000, moves, cost)) >= worth or moves == 0


@given(score=st.floats(1e-3, 1e6), other=st.floats(1e-3, 1e6), left=SECONDS)
def test_what_is_no_better_is_never_worth_a_move(score: float, other: float, left: float) -> None:
    gained = gain(score, other, left, Standing(3600.0, 0, 10.0))
    assert (gained.share > 0) == (other / discount(Standing(3600.0, 0, 10.0)) < score)
    if other >= score:
        assert why_stay(gained, Standing(3600.0, 0, 10.0), SITE)


def test_young_jobs_and_jobs_that_moved_often_need_more_gain() -> None:
    def goes(age: float, moves: int, other: float) -> bool:
        standing = Standing(age, moves, 10.0)
        return not why_stay(gain(2.0, other, 1000.0, standing), standing, SITE)

    assert goes(3600, 0, 1.7)
    assert not goes(20, 0, 1.7)
    assert goes(20, 0, 0.9)
    assert not goes(100, 6, 1.0)
    assert not goes(1e9, SITE.moves_per_job, 0.0)
    assert not goes(5, 0, 0.0), "it has time to settle"


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 9)), max_size=40), st.floats(1, 600))
def test_no_more_moves_than_a_minute_allows(steps: list[tuple[float, int]], per_minute: float) -> None:
    rate, now, times = Rate(per_minute, 0.0), 0.0, []
    for pause, wanted in steps:
        now += pause
        for _ in range(min(wanted, rate.left(now))):
            rate.take()
            times.append(now)
    # A full bucket, and what drips in within the minute.
    assert all(sum(at <= t < at + 60 for t in times) <= 2 * max(per_minute, 1) for at in times)


def test_a_rate_counts_what_an_earlier_controller_spent() -> None:
    rate = Rate(10, 0.0, spent=10)
    assert rate.left(0.0) == 0
    assert rate.left(30.0) == 5


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_the_largest_gain_goes_first_and_none_without_gain_goes(gains: list[float]) -> None:
    order = list(by_gain(gains, lambda n: gains[n]))
    assert sorted(order) == [n for n, gained in enumerate(gains) if gained > 0]
    assert [gains[n] for n in order] == sorted((g for g in gains if g > 0), reverse=True)


@given(st.integers(1, 200), st.floats(1, 64), st.floats(10, 1000), st.floats(100, 1e5))
def test_a_pool_that_is_new_draws_only_as_many_as_gain_by_it(
    jobs: int, units: float, run_s: float, wait_s: float
) -> None:
    """Jobs of one unit, all of which wait the same in the old pool; the new one is free."""
    crowd, size = Crowd([units, units]), units
    gains = [wait_s] * jobs

    def weigh_(_: int) -> float:
        there = crowd.backlog[1][1] / size if crowd.backlog[0][1] + 1 > size else 0.0
        return crowd.own_wait(0, wait_s) - there

    went = 0
    for _ in by_gain(gains, weigh_):
        crowd.came(1, 1.0, run_s)
        crowd.went(0, 1.0, run_s, 0.0)
        went += 1
    assert went <= max(units + 1, wait_s * size / run_s + 1)


PAIRS = st.tuples(
    st.floats(0, 1e5),
    st.floats(1, 1e5),
    st.sampled_from([0, 0, 0, REASON_BITS["NO_NODE_UP"], REASON_BITS["CPUS"], REASON_BITS["KIND"]]),
    st.booleans(),
)


@given(st.lists(PAIRS, min_size=2, max_size=8), st.floats(0, 1e5), SECONDS)
def test_a_job_goes_only_where_it_can_run_and_a_move_leads(
    pairs: list[tuple[float, float, int, bool]], own: float, age: float
) -> None:
    terms = np.zeros((1, len(pairs)), dtype=TERMS_DTYPE)
    terms["wait_s"], terms["run_s"] = [p[0] for p in pairs], [p[1] for p in pairs]
    terms["reasons"], terms["risk"] = [p[2] for p in pairs], 1.0
    reach = np.array([[p[3] for p in pairs]])
    weights = np.zeros((), dtype=WEIGHTS_DTYPE)
    weights["time"] = 1.0
    verdict = weigh(terms, weights, (0, 0), own, reach, Standing(age, 0, 10.0), SITE)
    if verdict.goes:
        assert verdict.best is not None
        _, pool = verdict.best
        assert pool != 0
        assert pairs[pool][2] == 0
        assert pairs[pool][3]
        stuck = pairs[0][2] in (REASON_BITS["CPUS"], REASON_BITS["KIND"])
        assert stuck or verdict.then_s <= verdict.left_s - SITE.min_gain_s + 1e-6
        assert stuck or verdict.left_s == own + pairs[0][1]


def test_money_decides_where_the_author_asked_for_cost() -> None:
    terms = np.zeros((1, 3), dtype=TERMS_DTYPE)
    terms["run_s"], terms["risk"] = 1000.0, 1.0
    terms["money_micro"] = [3e6, 1e6, 9e6]
    terms["wait_s"] = [0.0, 500.0, 0.0]
    weights = np.zeros((), dtype=WEIGHTS_DTYPE)
    weights["time"], weights["cost"] = 0.05, 0.95
    reach = np.ones((1, 3), dtype=bool)
    verdict = weigh(terms, weights, (0, 0), 0.0, reach, Standing(3600.0, 0, 10.0), SITE)
    assert verdict.goes
    assert verdict.best == (0, 1)

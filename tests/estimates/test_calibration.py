"""What waits that came true say of the next."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.estimates.calibration import MOST_FACTOR, Waited, correction, earned_correction, wait_error


def _wait(estimated_s: float, waited_s: float, *, cut: bool = False, slurm_s: float | None = None) -> Waited:
    return Waited("p", 0.0, estimated_s, estimated_s, waited_s, cut, slurm_s)


def test_nothing_is_corrected_before_a_wait_has_ended() -> None:
    assert correction([]) == 1.0
    assert correction([_wait(100, 500, cut=True)]) == 1.0


def test_waits_that_are_always_twice_as_long_double_the_estimate_once_there_are_many() -> None:
    twice = [_wait(100.0 + n, 200.0 + 2 * n) for n in range(200)]
    assert correction(twice) == pytest.approx(2.0, rel=0.1)
    assert 1.0 < correction(twice[:2]) < 1.3


def test_one_wait_gone_wild_changes_little() -> None:
    waits = [_wait(100, 100) for _ in range(20)]
    assert correction([*waits, _wait(100, 100_000)]) == pytest.approx(1.0)


def test_short_estimates_and_short_waits_say_nothing() -> None:
    assert correction([_wait(5, 3000) for _ in range(50)]) == 1.0
    assert correction([_wait(3000, 5) for _ in range(50)]) == 1.0


def test_the_last_waits_count_most() -> None:
    before, since = [_wait(100, 25) for _ in range(100)], [_wait(100, 100) for _ in range(60)]
    assert correction([*before, *since]) == pytest.approx(1.0)
    assert correction([*since, *before]) < 0.4


def test_a_correction_has_bounds() -> None:
    assert correction([_wait(100, 100_000) for _ in range(200)]) == MOST_FACTOR
    assert correction([_wait(100_000, 100) for _ in range(200)]) == 1 / MOST_FACTOR


def test_jobs_cancelled_while_they_waited_count_as_waits_that_would_have_been_longer() -> None:
    """True waits are twice the estimate; authors lose patience at random, sooner or later."""
    rng = random.Random(4)
    waits = []
    for _ in range(2000):
        waited = 200.0 * math.exp(rng.gauss(0.0, 0.3))
        patience = 200.0 * math.exp(rng.gauss(0.0, 0.3))
        waits.append(_wait(100.0, min(waited, patience), cut=patience < waited))
    known = correction(waits)
    assert known == pytest.approx(2.0, rel=0.15)
    assert correction([one for one in waits if not one.cut]) < 0.95 * known


def test_a_correction_is_of_the_estimate_before_it_so_that_it_does_not_feed_on_itself() -> None:
    """With a factor of 2 in force what is shown is right; the factor stays 2, not 1."""
    waits = [Waited("p", 0.0, 100.0, 200.0, 200.0) for _ in range(200)]
    assert correction(waits) == pytest.approx(2.0, rel=0.1)
    assert wait_error(waits).error == 0.0


def test_the_error_is_a_median_over_waits_that_mattered_and_compares_with_slurm_on_the_same_ones() -> None:
    waits = [
        _wait(0, 3),  # nobody noticed
        _wait(100, 100, slurm_s=400),
        _wait(100, 200, slurm_s=200),
        _wait(100, 400),
        _wait(100, 500, cut=True, slurm_s=100),
    ]
    error = wait_error(waits)
    assert (error.n, error.both_n) == (3, 2)
    assert error.error == pytest.approx(math.log(2))
    assert error.within_2 == pytest.approx(2 / 3)
    assert error.both_error == pytest.approx(math.log(2) / 2)
    assert error.slurm_error == pytest.approx(math.log(4) / 2)
    assert error.slurm_coverage == pytest.approx(2 / 3)


def test_without_waits_there_is_no_error_rather_than_none_at_all() -> None:
    error = wait_error([_wait(0, 0), _wait(100, 50, cut=True)])
    assert (error.n, error.error, error.slurm_coverage) == (0, None, None)


WAITS = st.lists(
    st.builds(_wait, st.floats(0, 1e6), st.floats(0, 1e6), cut=st.booleans()), min_size=1, max_size=40
)


@given(WAITS)
def test_a_correction_is_always_a_number_within_its_bounds(waits: list[Waited]) -> None:
    assert 1 / MOST_FACTOR <= correction(waits) <= MOST_FACTOR


@given(WAITS, st.floats(1, 1e6))
def test_longer_waits_never_make_a_correction_smaller(waits: list[Waited], more_s: float) -> None:
    """Of waits that ended with a start: one cut short tells less the earlier it comes among the others."""
    waits = [one._replace(waited_s=one.waited_s + 11.0, cut=False) for one in waits]
    longer = [one._replace(waited_s=one.waited_s + more_s) for one in waits]
    assert correction(longer) >= correction(waits) - 1e-9


def _told(told_at: float, estimated_s: float, waited_s: float) -> Waited:
    return Waited("p", told_at + waited_s, estimated_s, estimated_s, waited_s)


def test_a_correction_is_in_force_where_it_would_have_helped() -> None:
    waits = [_told(1000.0 * n, 100.0, 300.0) for n in range(60)]
    assert earned_correction(waits) == correction(waits) == pytest.approx(3.0, rel=0.15)


def test_a_correction_that_lags_behind_better_estimates_is_out_of_force() -> None:
    """Estimates were four times too long, and are right since: what is left of the past would do harm."""
    waits = [_told(1000.0 * n, 400.0, 100.0) for n in range(60)]
    waits += [_told(1000.0 * n, 100.0, 100.0) for n in range(60, 75)]
    assert correction(waits) < 0.8
    assert earned_correction(waits) == 1.0


def test_waits_that_all_were_told_before_any_had_ended_earn_nothing() -> None:
    assert earned_correction([_told(0.0, 100.0, 300.0 + n) for n in range(50)]) == 1.0

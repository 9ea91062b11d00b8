"""Estimates for jobs without an app: from their user's runs, by what is alike."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.estimate import Source
from hetslurm.estimates.runs import RunEstimator, RunQuestion
from hetslurm.estimates.runs.user_runs import FINE_ROWS, OWN_KEPT, limit_minutes
from hetslurm.runs import Ending, Run

CPU = ("cpu", "")


def run(n: int, seconds: float, **more: object) -> Run:
    base = Run(n, 1000.0 * n, 1000.0 * n, seconds, Ending.COMPLETED, "ann", "cpu", units=4, limit_s=3600.0)
    return replace(base, **more)  # type: ignore[arg-type]


def ask(**more: object) -> RunQuestion:
    return replace(RunQuestion(1e6, *CPU, user="ann", units=4, limit_s=3600.0), **more)  # type: ignore[arg-type]


def learnt(*runs: Run) -> RunEstimator:
    estimator = RunEstimator()
    for one in runs:
        estimator.learn(one)
    return estimator


def test_nobody_has_run_anything_and_the_declared_time_stands() -> None:
    answer = RunEstimator().estimate(ask(declared_s=500.0))
    assert (answer.mean_s, answer.source, answer.n) == (500.0, Source.DECLARED, 0)
    assert RunEstimator().estimate(ask()).source is Source.DEFAULT


def test_runs_of_the_same_size_and_limit_speak_first() -> None:
    runs = [run(n, 100.0) for n in range(0, 20, 2)] + [
        run(n, 2000.0, units=64, limit_s=7200.0) for n in range(1, 20, 2)
    ]
    estimator = learnt(*sorted(runs, key=lambda one: one.end_at))
    assert estimator.estimate(ask()).mean_s == pytest.approx(100.0, rel=0.01)
    assert estimator.estimate(ask(units=64, limit_s=7200.0)).mean_s == pytest.approx(2000.0, rel=0.01)


def test_a_user_who_changed_what_they_run_is_followed() -> None:
    estimator = learnt(*(run(n, 100.0 if n < 20 else 900.0) for n in range(26)))
    assert estimator.estimate(ask(at=26_000.0)).mean_s == pytest.approx(900.0, rel=0.01)


def test_nothing_that_ended_later_is_used() -> None:
    early = learnt(*(run(n, 100.0) for n in range(5)))
    later = learnt(*(run(n, 100.0) for n in range(5)), *(run(n, 3000.0) for n in range(100, 120)))
    at = 6000.0
    assert later.estimate(ask(at=at)).mean_s == pytest.approx(early.estimate(ask(at=at)).mean_s)


def test_no_estimate_is_longer_than_the_limit() -> None:
    estimator = learnt(*(run(n, 3000.0) for n in range(10)))
    answer = estimator.estimate(ask(limit_s=600.0))
    assert answer.mean_s <= 600.0
    assert answer.q90_s <= 600.0


def test_a_run_stopped_at_its_limit_would_take_longer_with_more() -> None:
    estimator = learnt(*(run(n, 3600.0, ending=Ending.TIMEOUT) for n in range(5)))
    assert estimator.estimate(ask()).mean_s == pytest.approx(3600.0)
    assert estimator.estimate(ask(limit_s=36000.0)).mean_s == pytest.approx(7200.0)


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.NODE_FAIL, Ending.PREEMPTED, Ending.CANCELLED])
def test_a_burst_of_failures_changes_nothing(ending: Ending) -> None:
    runs = [run(n, 1500.0) for n in range(20)]
    clean = learnt(*runs)
    hit = learnt(*runs, *(run(20 + n, 1.0, ending=ending) for n in range(500)))
    assert hit.estimate(ask()) == clean.estimate(ask())
    assert hit.table([CPU], 1e6) == clean.table([CPU], 1e6)


def test_the_rows_say_what_the_estimator_says() -> None:
    estimator = learnt(*(run(n, 100.0 + 7 * n, units=2 ** (n % 3)) for n in range(40)))
    for row in estimator.table([CPU], 1e6):
        answer = estimator.estimate(ask(units=row.units, limit_s=60.0 * row.limit_min))
        assert (row.mean_s, row.n, row.source) == (answer.mean_s, answer.n, Source.PREDICTED)
        assert row.mean_s * row.spread == pytest.approx(answer.q90_s)


def test_a_user_has_a_coarse_row_and_the_classes_that_ran_last() -> None:
    estimator = learnt(*(run(n, 100.0, units=n + 1) for n in range(60)))
    rows = estimator.table([CPU], 1e6)
    assert [row.units for row in rows] == [0, *range(60 - FINE_ROWS + 1, 61)]
    assert {row.limit_min for row in rows if row.units} == {60}


def test_pools_that_are_gone_get_no_row() -> None:
    assert learnt(*(run(n, 100.0) for n in range(5))).table([("gpu", "a100")], 1e6) == []


def test_the_rows_are_bounded_and_those_of_who_ran_last_stay() -> None:
    estimator = learnt(*(run(n, 100.0, user=f"u{n:03}") for n in range(100)))
    rows = estimator.table([CPU], 1e6, max_rows=10)
    assert {row.user for row in rows} == {f"u{n:03}" for n in range(95, 100)}


def test_a_million_runs_do_not_keep_a_million_rows() -> None:
    estimator = learnt(*(run(n, 100.0) for n in range(2000)))
    (ring,) = estimator._users.own.values()
    assert (ring.count, len(ring.rows)) == (2000, OWN_KEPT)


def test_limits_are_minutes_as_slurm_rounds_them() -> None:
    assert [limit_minutes(s) for s in (0.0, 1.0, 60.0, 61.0)] == [0, 1, 1, 2]


def test_authors_who_know_better_are_heard() -> None:
    lengths = [60.0 * 2 ** (n % 7) for n in range(80)]
    knows = learnt(*(run(n, s, declared_s=s) for n, s in enumerate(lengths)))
    guesses = learnt(*(run(n, 100.0, declared_s=s) for n, s in enumerate(lengths)))
    assert knows.estimate(ask()).trust < 0.1
    assert guesses.estimate(ask()).trust > 0.9


SECONDS = st.floats(0.0, 1e18, allow_nan=False)
RUNS = st.lists(
    st.builds(
        Run,
        job_id=st.integers(1, 9),
        submit_at=st.floats(0, 2e9),
        start_at=st.floats(0, 2e9),
        run_s=SECONDS | st.sampled_from([float("nan"), float("inf"), -5.0]),
        ending=st.sampled_from(Ending),
        user=st.sampled_from(["ann", "bob"]),
        kind=st.sampled_from(["cpu", "gpu"]),
        app=st.sampled_from(["", "", "bwa", "gatk"]),
        work=st.sampled_from([0.0, 1e-9, 3.5e9, float("inf"), -1.0]),
        units=st.integers(0, 10**6),
        declared_s=st.sampled_from([0.0, 60.0, 1e9]),
        limit_s=st.sampled_from([0.0, 1.0, 3600.0, 1e9]),
        speed=st.sampled_from([0.0, 1e-3, 1.0, 2.0, float("nan")]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(RUNS)
def test_whatever_is_learnt_the_rows_are_sound_and_always_the_same(runs: list[Run]) -> None:
    classes = [("cpu", ""), ("gpu", "")]
    rows = learnt(*runs).table(classes, 4e9)
    for row in rows:
        assert 0.0 < row.mean_s <= 1e15
        assert row.spread >= 1.0
        assert row.mean_s * row.spread <= 1.001e15
        assert 0.0 <= row.trust <= 1.0
        assert row.n > 0
        assert math.isfinite(row.log_sd)
        assert bool(row.app) != bool(row.user)
    keys = [(row.app, row.user, row.kind, row.type, row.units, row.limit_min) for row in rows]
    assert len(set(keys)) == len(keys)
    assert learnt(*runs).table(classes, 4e9) == rows


def test_the_limit_is_no_run_behind_an_estimate() -> None:
    assert learnt(run(1, 100.0)).estimate(ask()).n == 1


def test_who_never_ran_anything_is_judged_by_others() -> None:
    answer = learnt(*(run(n, 100.0) for n in range(5))).estimate(ask(user="bob"))
    assert answer.mean_s == pytest.approx(100.0, rel=0.01)
    assert answer.source is Source.PREDICTED
    assert answer.n >= 5

"""The run estimator: what it learns, what it refuses to learn, what it says of a device never used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.estimate import Source
from hetslurm.estimates.runs import RunEstimator, RunQuestion
from hetslurm.runs import Ending, Run

GPU = ("gpu", "a100")
CPU = ("cpu", "")


def run(seconds: float, n: int = 0, **more: object) -> Run:
    base = Run(n, 1000.0 * n, 1000.0 * n, seconds, Ending.COMPLETED, "ann", "gpu", "a100", app="bwa")
    return replace(base, **more)  # type: ignore[arg-type]


def test_an_app_that_ran_often_is_measured() -> None:
    estimator = RunEstimator()
    for n in range(20):
        estimator.learn(run(100.0, n))
    (row,) = [row for row in estimator.table([GPU], 1e6) if row.app]
    assert row.mean_s == pytest.approx(100.0, rel=0.05)
    assert (row.source, row.n, row.per_work) == (Source.MEASURED, 20, False)
    assert row.trust > 0.9


@pytest.mark.parametrize("ending", set(Ending) - {Ending.COMPLETED, Ending.TIMEOUT})
def test_runs_that_failed_change_nothing(ending: Ending) -> None:
    estimator, other = RunEstimator(), RunEstimator()
    for n in range(5):
        estimator.learn(run(100.0, n))
        other.learn(run(100.0, n))
        other.learn(run(1.0, n, ending=ending))
    assert estimator.table([GPU], 1e6) == other.table([GPU], 1e6)
    assert other.passed_over == 5


def test_a_timeout_says_that_it_takes_longer() -> None:
    estimator = RunEstimator()
    for n in range(4):
        estimator.learn(run(100.0, n))
    for n in range(4, 8):
        estimator.learn(run(300.0, n, ending=Ending.TIMEOUT))
    (row,) = [row for row in estimator.table([GPU], 1e6) if row.app]
    assert row.mean_s * row.spread > 300.0


def test_a_slow_pool_is_no_slow_app() -> None:
    estimator = RunEstimator()
    for n in range(5):
        estimator.learn(run(200.0, n, speed=0.5))
    answer = estimator.estimate(RunQuestion(1e6, *GPU, user="ann", app="bwa"))
    assert answer.mean_s == pytest.approx(100.0, rel=0.06)

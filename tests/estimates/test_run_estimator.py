"""The run estimator: what it learns, what it refuses to learn, what it says of a device never used."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hetslurm.estimate import RunEstimate, Source
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


def rows_of(estimator: RunEstimator, *classes: tuple[str, str]) -> dict[tuple[str, str, str], RunEstimate]:
    return {(row.app, row.kind, row.type): row for row in estimator.table(classes, 1e9) if row.app}


def two_devices() -> RunEstimator:
    """Six apps that are five times as fast on the GPU, and one that ran on cpus only."""
    estimator, n = RunEstimator(), 0
    for app in range(6):
        for _ in range(5):
            for (kind, type_), seconds in ((CPU, 500.0 * (app + 1)), (GPU, 100.0 * (app + 1))):
                n += 1
                estimator.learn(run(seconds, n, app=f"app{app}", kind=kind, type=type_))
    for _ in range(5):
        n += 1
        estimator.learn(run(3000.0, n, app="new", kind="cpu", type=""))
    return estimator


def test_a_device_never_used_is_foretold_by_the_ratios_of_other_apps() -> None:
    rows = rows_of(two_devices(), CPU, GPU)
    cold, warm = rows["new", *GPU], rows["new", *CPU]
    assert cold.mean_s == pytest.approx(600.0, rel=0.1)
    assert (cold.source, cold.n) == (Source.PREDICTED, 5)
    assert (warm.source, warm.n) == (Source.MEASURED, 5)
    assert cold.spread > warm.spread
    assert cold.log_sd > warm.log_sd
    assert cold.trust < warm.trust


def test_a_device_that_nobody_used_has_no_row() -> None:
    rows = rows_of(two_devices(), CPU, ("fpga", "u250"))
    assert {kind for _, kind, _ in rows} == {"cpu"}


def test_own_runs_take_over_from_the_ratios() -> None:
    estimator = two_devices()
    for n in range(100, 103):
        estimator.learn(run(1200.0, n, app="new"))
    row = rows_of(estimator, GPU)["new", *GPU]
    assert row.mean_s == pytest.approx(1200.0, rel=0.06)
    assert (row.source, row.n) == (Source.MEASURED, 3)


def test_one_run_of_its_own_is_weighed_against_the_ratios() -> None:
    estimator = two_devices()
    estimator.learn(run(1200.0, 100, app="new"))
    row = rows_of(estimator, GPU)["new", *GPU]
    assert 620.0 < row.mean_s < 1200.0
    assert (row.source, row.n) == (Source.PREDICTED, 1)


def test_times_are_per_unit_of_work_where_the_author_gives_it() -> None:
    estimator = RunEstimator()
    for n in range(12):
        work = 10.0 ** (n % 4)
        estimator.learn(run(100.0 * work, n, work=work))
    row = rows_of(estimator, GPU)["bwa", *GPU]
    assert row.per_work
    assert row.mean_s == pytest.approx(100.0, rel=0.05)
    question = RunQuestion(1e6, *GPU, user="bob", app="bwa", work=50.0)
    assert estimator.estimate(question).mean_s == pytest.approx(5000.0, rel=0.05)


def test_few_runs_leave_the_declared_time_its_say() -> None:
    once, often = RunEstimator(), RunEstimator()
    once.learn(run(100.0))
    for n in range(50):
        often.learn(run(100.0, n))
    question = RunQuestion(1e6, *GPU, user="ann", app="bwa", declared_s=400.0)
    few, many = once.estimate(question), often.estimate(question)
    assert many.mean_s < few.mean_s < 400.0
    assert many.mean_s == pytest.approx(100.0, rel=0.1)
    assert few.trust < many.trust


def test_the_90_percent_quantile_covers_nine_of_ten() -> None:
    rng = random.Random(4)
    estimator, covered = RunEstimator(), 0
    question = RunQuestion(1e9, *GPU, app="bwa")
    for n in range(600):
        seconds = rng.lognormvariate(6.0, 0.5)
        if n >= 100:
            covered += seconds <= estimator.estimate(question).q90_s
        estimator.learn(run(seconds, n))
    assert 0.86 < covered / 500 < 0.94


def test_a_full_table_leaves_a_quarter_to_users() -> None:
    estimator = RunEstimator()
    for n in range(200):
        estimator.learn(run(100.0, n, app=f"app{n}", user=f"user{n}"))
    rows = estimator.table([GPU], 1e9, max_rows=40)
    assert len(rows) == 40
    assert sum(bool(row.app) for row in rows) == 30

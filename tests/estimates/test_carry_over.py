"""Carry-over between devices, on tables whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from hetslurm.estimates.runs.carry_over import fit
from hetslurm.estimates.runs.carry_score import leave_one_out
from hetslurm.estimates.runs.near import Matrix, correction, likeness

NOISE = 0.05**2


def table(apps: int, devices: int, noise: float, *, rank: int = 1, seed: int = 1) -> Matrix:
    """ln t of apps of any length whose ratios lie on `rank` factors, and some noise."""
    rng = np.random.default_rng(seed)
    level = rng.normal(0.0, 3.0, (apps, 1))
    device = rng.normal(0.0, 1.0, devices)
    factors = rng.normal(0.0, 0.6, (apps, rank)) @ rng.normal(0.0, 1.0, (rank, devices))
    return np.asarray(level + device + factors + rng.normal(0.0, noise, (apps, devices)))


def test_factors_are_found_where_the_plain_ratio_misses_them() -> None:
    score = leave_one_out(table(40, 4, 0.05), NOISE)
    assert score.cells == 160
    assert score.median_error is not None
    assert score.ratio_alone_error is not None
    assert score.median_error < 0.12
    assert score.median_error < score.ratio_alone_error / 2.0


def test_without_any_factor_it_is_the_ratio() -> None:
    score = leave_one_out(table(30, 3, 0.05, rank=0), NOISE)
    assert score.median_error is not None
    assert score.median_error < 0.1


def test_the_quantile_covers_nine_of_ten() -> None:
    rates = [leave_one_out(table(30, 4, 0.2, seed=seed), 0.2**2).coverage_90 for seed in range(5)]
    assert 0.85 < np.mean([rate for rate in rates if rate is not None]) < 0.97


def test_units_of_work_do_not_matter() -> None:
    times = table(20, 3, 0.1)
    times[0, 2] = np.nan
    noise = np.full_like(times, NOISE)
    shift = np.random.default_rng(3).normal(0.0, 5.0, (20, 1))
    here = fit(times, noise).fill(times, noise)[0]
    there = fit(times + shift, noise).fill(times + shift, noise)[0]
    np.testing.assert_allclose(there - shift, here, atol=0.01)


def test_one_odd_app_does_not_bend_the_ratios_of_all() -> None:
    times = table(15, 3, 0.05, rank=0)
    times[0, 2] = np.nan
    noise = np.full_like(times, NOISE)
    before = fit(times, noise).fill(times, noise)[0][0, 2]
    times[7, 2] += 6.0
    after = fit(times, noise).fill(times, noise)[0][0, 2]
    assert abs(after - before) < 0.2


def test_more_is_known_of_a_device_that_many_apps_ran_on() -> None:
    times = table(30, 3, 0.3, rank=0)
    times[1:29, 2] = np.nan
    times[0, 1:] = np.nan
    noise = np.full_like(times, NOISE)
    variance = fit(times, noise).fill(times, noise)[1]
    assert variance[0, 2] > 1.5 * variance[0, 1]


def test_a_cell_alone_is_what_the_whole_table_says() -> None:
    times = table(12, 4, 0.1)
    times[3, 1] = times[5, 0] = times[5, 2] = np.nan
    noise = np.full_like(times, NOISE)
    ratios = fit(times, noise)
    mean, variance = ratios.fill(times, noise)
    for app, device in ((3, 1), (5, 0), (5, 2)):
        assert ratios.fill_cell(times, noise, app, device) == pytest.approx(
            (mean[app, device], variance[app, device])
        )


def test_nobody_knows_a_table_of_one_device() -> None:
    score = leave_one_out(np.array([[1.0], [2.0]]))
    assert (score.cells, score.median_error, score.coverage_90) == (0, None, None)


def test_apps_of_other_ratios_have_no_say() -> None:
    weights = likeness(np.array([[0.0, 1.0], [5.0, 6.02], [0.0, 3.0]]), np.array([1.0, 2.0]), 0.15**2)
    assert weights[0] == pytest.approx(1.0)
    assert weights[1] > 0.9
    assert weights[2] < 1e-6


def test_few_like_apps_are_drawn_to_the_fit() -> None:
    few, _ = correction(np.array([0.8]), np.array([1.0]), 0.1)
    many, variance = correction(np.full(97, 0.8), np.ones(97), 0.1)
    assert few == pytest.approx(0.2)
    assert many == pytest.approx(0.8 * 0.97)
    assert variance < 0.01

"""How well the carry-over to devices never used does: each cell of a table is left out in turn."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np

from hetslurm.estimates.runs.app_table import Z90
from hetslurm.estimates.runs.carry_over import fit
from hetslurm.estimates.runs.near import Matrix

# The variance that a measured mean of ln t is taken to have: 10 %, as much as benchmarks repeat themselves.
NOISE = 0.1**2


@dataclass(frozen=True, slots=True)
class CarryScore:
    """Errors are |p - t| / t; `coverage_90` the share of cells at or below their 90 % quantile.

    `ratio_alone_error`: the median error of the plain way, the median ratio between the two devices over
    the other apps, averaged over the devices that the app is known on. None: no cell can be left out.
    """

    cells: int
    median_error: float | None
    mean_error: float | None
    coverage_90: float | None
    ratio_alone_error: float | None


def leave_one_out(times: Matrix, noise: float = NOISE) -> CarryScore:
    """`times` is ln t (apps, devices), NaN where not known; a cell counts where its app has another one."""
    errors, covered, plain = [], [], []
    variances = np.full_like(times, noise)
    for app, device in zip(*np.nonzero(np.isfinite(times)), strict=True):
        rest = times.copy()
        rest[app, device] = np.nan
        if not np.isfinite(rest[app]).any():
            continue
        mean, variance = fit(rest, variances).fill_cell(rest, variances, int(app), int(device))
        truth = float(times[app, device])
        errors.append(abs(exp(mean - truth) - 1.0))
        covered.append(truth <= mean + Z90 * sqrt(variance))
        plain.append(abs(exp(_by_ratio(rest, int(app), int(device)) - truth) - 1.0))
    if not errors:
        return CarryScore(0, None, None, None, None)
    return CarryScore(
        len(errors),
        float(np.median(errors)),
        float(np.mean(errors)),
        float(np.mean(covered)),
        float(np.nanmedian(plain)),
    )


def _by_ratio(times: Matrix, app: int, device: int) -> float:
    known = [n for n in range(times.shape[1]) if np.isfinite(times[app, n])]
    ratios = [times[:, device] - times[:, n] for n in known]
    guesses = [
        times[app, n] + float(np.nanmedian(ratio))
        for n, ratio in zip(known, ratios, strict=True)
        if np.isfinite(ratio).any()
    ]
    return float(np.mean(guesses)) if guesses else float("nan")

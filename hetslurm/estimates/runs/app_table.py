"""The table of apps by devices: measured cells, and cells carried over from other devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt

import numpy as np

from hetslurm.estimate import Source
from hetslurm.estimates.runs.app_runs import AppRuns, Apps, Device
from hetslurm.estimates.runs.carry_over import fit
from hetslurm.estimates.runs.log_stats import FOREVER_S, LogStats
from hetslurm.estimates.runs.near import Matrix

# From as many runs on a device on, only they count there.
MEASURED_RUNS = 3
# Between tables the ratios are fitted anew when so many more runs were learnt, or when a cell is not in them.
REFIT_SHARE = 0.1
# The 90 % quantile of the standard normal.
Z90 = 1.2815515655446004

_LONGEST = log(FOREVER_S)
_Guesses = dict[tuple[str, Device], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Cell:
    """An app on a device: seconds, or seconds per unit of work where `per_work`.

    `mean_s` is the expected value (its 90 % quantile `spread` times that), `log_sd` the standard deviation
    of ln t of a run to come, `mean_variance` that of the mean ln t, which falls as runs come in.
    """

    mean_s: float
    spread: float
    log_sd: float
    n: int
    source: Source
    per_work: bool
    mean_variance: float


@dataclass(slots=True)
class AppTable:
    """Answers by (app, device): an app's own runs as they are, others from the ratios fitted last."""

    _version: int = -1
    _guesses: _Guesses = field(default_factory=dict)

    def refresh(self, apps: Apps) -> None:
        """Fit the ratios between devices to all that was learnt."""
        if self._version != apps.version:
            self._guesses = {**_guesses(apps, per_work=False), **_guesses(apps, per_work=True)}
            self._version = apps.version

    def cell(self, apps: Apps, app: str, device: Device) -> Cell | None:
        """None: nothing is known of this app, or of this device and it has not run there."""
        runs = apps.by_name.get(app)
        if runs is None:
            return None
        own = runs.of(runs.per_work).get(device)
        if own is not None and own.n >= MEASURED_RUNS:
            variance = own.variance()
            return _cell(own.mean, variance, variance / own.weight, own.n, Source.MEASURED, runs.per_work)
        grown = apps.version > self._version * (1.0 + REFIT_SHARE)
        if self._version < 0 or grown or (own is not None and (app, device) not in self._guesses):
            self.refresh(apps)
        guess = self._guesses.get((app, device))
        return None if guess is None else _guessed(runs, own, guess)


def _guessed(runs: AppRuns, own: LogStats | None, guess: tuple[float, float]) -> Cell:
    """A cell that is not measured; `n` are the runs there, else those elsewhere that it is carried from."""
    stats = runs.of(runs.per_work).values()
    weight = sum(one.weight for one in stats)
    within = sum(one.weight * one.variance() for one in stats) / weight
    n = own.n if own is not None else sum(one.n for one in stats)
    return _cell(guess[0], within, guess[1], n, Source.PREDICTED, runs.per_work)


def _guesses(apps: Apps, *, per_work: bool) -> _Guesses:
    """Mean ln t and its variance for all apps of a flavour on all devices that any of them has run on."""
    names = [name for name, runs in apps.by_name.items() if runs.per_work is per_work]
    rows = [apps.by_name[name].of(per_work) for name in names]
    devices = sorted({device for row in rows for device in row})
    if not devices:
        return {}
    times, noise = _matrix(rows, devices)
    mean, variance = fit(times, noise).fill(times, noise)
    return {
        (name, device): (float(mean[i, j]), float(variance[i, j]))
        for i, name in enumerate(names)
        for j, device in enumerate(devices)
    }


def _matrix(rows: Sequence[dict[Device, LogStats]], devices: Sequence[Device]) -> tuple[Matrix, Matrix]:
    times = np.full((len(rows), len(devices)), np.nan)
    noise = np.full_like(times, np.nan)
    for i, row in enumerate(rows):
        for j, device in enumerate(devices):
            if device in row:
                times[i, j] = row[device].mean
                noise[i, j] = row[device].variance() / row[device].weight
    return times, noise


def _cell(mean: float, variance: float, mean_variance: float, n: int, source: Source, per_work: bool) -> Cell:
    """The mean of a log-normal, and its 90 % quantile where the mean itself is uncertain."""
    total = variance + mean_variance
    expected = _exp(mean + variance / 2.0)
    quantile = _exp(mean + Z90 * sqrt(total))
    return Cell(expected, max(quantile / expected, 1.0), sqrt(total), n, source, per_work, mean_variance)


def _exp(value: float) -> float:
    """Seconds, within what a snapshot may hold."""
    return exp(min(max(value, -_LONGEST), _LONGEST))

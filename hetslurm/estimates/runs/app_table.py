"""The table of apps by devices: measured cells, and cells carried over from other devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, sqrt

import numpy as np

from hetslurm.estimate import Source
from hetslurm.estimates.runs.app_runs import Apps, Device
from hetslurm.estimates.runs.carry_over import Matrix, fit
from hetslurm.estimates.runs.log_stats import LogStats

# From as many runs on a device on, only they count there.
MEASURED_RUNS = 3
# The 90 % quantile of the standard normal.
Z90 = 1.2815515655446004


@dataclass(frozen=True, slots=True)
class Cell:
    """An app on a device: seconds (per unit of work where `per_work`);
    `mean_variance` is that of the mean ln t.
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
    """Cells by (app, device); fitted anew when an app or a device joined or enough runs were learnt."""

    _version: int = -1
    _cells: dict[tuple[str, Device], Cell] = field(default_factory=dict)

    def cell(self, apps: Apps, app: str, device: Device) -> Cell | None:
        """None: nothing is known of this app, or of this device and it has not run there."""
        if self._version != apps.version:
            self._cells = _cells_of(apps)
            self._version = apps.version
        return self._cells.get((app, device))


def _cells_of(apps: Apps) -> dict[tuple[str, Device], Cell]:
    cells: dict[tuple[str, Device], Cell] = {}
    for per_work in (False, True):
        names = [name for name, runs in apps.by_name.items() if runs.per_work is per_work]
        stats = [apps.by_name[name].of(per_work) for name in names]
        devices = sorted({device for row in stats for device in row})
        if not devices:
            continue
        times, noise = _matrix(stats, devices)
        mean, variance = fit(times, noise).fill(times, noise)
        within = np.array([_within(row) for row in stats])
        for i, name in enumerate(names):
            for j, device in enumerate(devices):
                own = stats[i].get(device)
                if own is not None and own.n >= MEASURED_RUNS:
                    own_variance = own.variance()
                    cell = _cell(
                        own.mean, own_variance, own_variance / own.weight, own.n, Source.MEASURED, per_work
                    )
                else:
                    n = own.n if own is not None else sum(s.n for s in stats[i].values())
                    cell = _cell(
                        float(mean[i, j]),
                        float(within[i]),
                        float(variance[i, j]),
                        n,
                        Source.PREDICTED,
                        per_work,
                    )
                cells[name, device] = cell
    return cells


def _matrix(stats: Sequence[dict[Device, LogStats]], devices: Sequence[Device]) -> tuple[Matrix, Matrix]:
    times = np.full((len(stats), len(devices)), np.nan)
    noise = np.full_like(times, np.nan)
    for i, row in enumerate(stats):
        for j, device in enumerate(devices):
            if device in row:
                times[i, j] = row[device].mean
                noise[i, j] = row[device].variance() / row[device].weight
    return times, noise


def _within(row: dict[Device, LogStats]) -> float:
    """Variance of single runs of an app, over its devices."""
    weight = sum(stats.weight for stats in row.values())
    return sum(stats.weight * stats.variance() for stats in row.values()) / weight


def _cell(mean: float, variance: float, mean_variance: float, n: int, source: Source, per_work: bool) -> Cell:
    """The mean of a log-normal, and its 90 % quantile where the mean itself is uncertain."""
    total = variance + mean_variance
    expected = exp(mean + variance / 2.0)
    quantile = exp(mean + Z90 * sqrt(total))
    return Cell(expected, max(quantile / expected, 1.0), sqrt(total), n, source, per_work, mean_variance)

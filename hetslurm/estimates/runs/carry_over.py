"""From the devices an app has run on to one it has not, by the ratios that other apps show.

ln t[app, device] = a[app] + b[device] + e[app, device], where a row e ~ N(0, S): what an app gains on one
device over another is the device's, plus something that goes together between devices and that the apps
in the table teach. Not all of that is linear: apps whose known ratios are alike also have like residuals
(`near.py`). Each row counts with the weight of a Student t row, so that one odd app does not bend
the ratios of all. a has a flat prior (work units are the apps' own), S an inverse Wishart one. Fitted by
expectation-maximization (Little and Rubin, Statistical Analysis with Missing Data, ch. 8 and 10.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hetslurm.estimates.runs.near import Matrix, correction, likeness

# Ratios before any is known: apps differ by this in ln from what a device brings on average.
PRIOR_SD = 0.4
# Devices differ by this in ln: a factor of ten and more is common.
DEVICE_SD = 2.3
# Degrees of freedom of a row: 4 is the usual choice for robust fits.
FREEDOM = 4.0
ROUNDS = 40
# Apps are alike whose ratios are within this in ln.
SPREAD_OF_LIKE = 0.15
_FLAT = 30.0**2
_UNSEEN = 1e12


@dataclass(frozen=True, slots=True)
class DeviceRatios:
    """A fitted table. `device` b (devices,), `device_cov` its covariance, `scatter` S (devices, devices)."""

    device: Matrix
    device_cov: Matrix
    scatter: Matrix

    def expect(self, times: Matrix, noise: Matrix) -> tuple[Matrix, Matrix]:
        """ln t and its variance in every cell of any rows, by ratios that are linear in each other."""
        seen = np.isfinite(times)
        precision = _precisions(self.scatter, seen, noise)
        residual = np.where(seen, np.nan_to_num(times) - self.device, 0.0)
        prior = self.scatter + _FLAT
        gain = prior @ precision
        mean = self.device + np.einsum("aij,aj->ai", gain, residual)
        away = np.eye(len(self.device)) - gain
        spread = (away * prior.T).sum(axis=2)
        ratio = ((away @ self.device_cov) * away).sum(axis=2)
        return mean, np.maximum(spread + ratio, 0.0)

    def fill(self, times: Matrix, noise: Matrix) -> tuple[Matrix, Matrix]:
        """ln t and its variance in every cell of the table.

        `times` (apps, devices) holds measured means of ln t, NaN where an app never ran; `noise` their
        variances. A measured cell is drawn to what the others say by as much as its own noise; one that
        is not measured is corrected by how far off apps of like ratios are (`near.py`).
        """
        mean, variance = self.expect(times, noise)
        seen = np.isfinite(times)
        for pattern in np.unique(seen, axis=0):
            if not pattern.any() or pattern.all():
                continue
            rows = np.flatnonzero((seen == pattern).all(axis=1))
            for device in np.flatnonzero(~pattern):
                self._correct(times, noise, rows, pattern, int(device), mean, variance)
        return mean, variance

    def fill_cell(self, times: Matrix, noise: Matrix, app: int, device: int) -> tuple[float, float]:
        """What `fill` says of one cell that is not measured, without the work for the others."""
        row = slice(app, app + 1)
        mean, variance = np.empty_like(times), np.empty_like(times)
        mean[row], variance[row] = self.expect(times[row], noise[row])
        pattern = np.isfinite(times[app])
        self._correct(times, noise, np.array([app]), pattern, device, mean, variance)
        return float(mean[app, device]), float(variance[app, device])

    def _correct(
        self,
        times: Matrix,
        noise: Matrix,
        rows: NDArray[np.intp],
        pattern: NDArray[np.bool_],
        device: int,
        mean: Matrix,
        variance: Matrix,
    ) -> None:
        """Correct `mean` and `variance` of one device for the rows that are known where `pattern` says."""
        known = np.isfinite(times)
        teachers = np.flatnonzero(known[:, pattern].all(axis=1) & known[:, device])
        if not len(teachers):
            return
        shown = np.where(pattern, times[teachers], np.nan)
        residuals = times[teachers, device] - self.expect(shown, noise[teachers])[0][:, device]
        for row in rows:
            width = SPREAD_OF_LIKE**2 + float(noise[row, pattern].mean())
            weights = likeness(times[teachers][:, pattern], times[row, pattern], width)
            by, of = correction(residuals, weights, float(variance[row, device]))
            mean[row, device] += by
            variance[row, device] = of


def fit(times: Matrix, noise: Matrix) -> DeviceRatios:
    """The ratios that a table of mean ln t shows; `DeviceRatios.fill` explains the arguments."""
    devices = times.shape[1]
    several = np.isfinite(times).sum(axis=1) >= 2
    rows, noise = times[several], noise[several]
    seen = np.isfinite(rows)
    values = np.where(seen, np.nan_to_num(rows), 0.0)
    prior = np.eye(devices) * PRIOR_SD**2
    prior_n = devices + 1.0
    scatter, weight = prior.copy(), np.ones(len(rows))
    shrink = np.eye(devices) / DEVICE_SD**2
    device: Matrix = np.zeros(devices)
    cov: Matrix = np.eye(devices) * DEVICE_SD**2
    for _ in range(ROUNDS):
        precision = _precisions(scatter, seen, noise)
        weighed = np.tensordot(weight, precision, axes=1)
        cov = np.asarray(np.linalg.inv(shrink + weighed), dtype=np.float64)
        device = cov @ (weight @ np.einsum("aij,aj->ai", precision, values))
        residual = np.where(seen, values - device, 0.0)
        pulled = np.einsum("aij,aj->ai", precision, residual)
        distance = np.einsum("ai,ai->a", residual, pulled)
        weight = (FREEDOM + seen.sum(axis=1) - 1.0) / (FREEDOM + distance)
        odd = pulled @ scatter
        left = len(rows) * scatter - scatter @ precision.sum(axis=0) @ scatter
        scatter = (prior_n * prior + (odd.T * weight) @ odd + left) / (prior_n + len(rows))
    return DeviceRatios(device, cov, scatter)


def _precisions(scatter: Matrix, seen: NDArray[np.bool_], noise: Matrix) -> Matrix:
    """The inverse covariance of each row's seen cells, 0 for the others: (apps, devices, devices)."""
    devices = len(scatter)
    cov = np.broadcast_to(scatter + _FLAT, (len(seen), devices, devices)).copy()
    cov[:, np.arange(devices), np.arange(devices)] += np.where(seen, np.nan_to_num(noise), _UNSEEN)
    both = seen[:, :, None] & seen[:, None, :]
    return np.where(both, np.linalg.inv(cov), 0.0)

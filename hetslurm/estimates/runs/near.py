"""Apps whose ratios between devices are alike, and how far off they were from what a linear fit expected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

# So many apps that are alike count as much as the linear fit.
FIT_N = 3.0


def likeness(others: Matrix, own: Matrix, width: float) -> Matrix:
    """Weights in (0, 1] of apps `others` (apps, devices), ln t on the devices that `own` is known on.

    A normal kernel of variance `width` on the root mean square difference of the ratios between any two of
    the devices. With one device there is no ratio, and all are alike.
    """
    devices = len(own)
    if devices < 2:
        return np.ones(len(others))
    apart = others - own
    apart -= apart.mean(axis=1, keepdims=True)
    return np.asarray(np.exp(-(apart * apart).sum(axis=1) / (devices - 1) / width))


def correction(residuals: Matrix, weights: Matrix, variance: float) -> tuple[float, float]:
    """What to add to a linear fit with this variance, and the variance then.

    The weighted median of the others' residuals, both drawn to the fit by `FIT_N` apps that it is worth.
    """
    order = np.argsort(residuals, kind="stable")
    summed = np.cumsum(weights[order])
    total = float(summed[-1])
    if not total > 0:
        return 0.0, variance
    middle = float(residuals[order][int(np.searchsorted(summed, total / 2.0))])
    off = residuals - middle
    near = float(weights @ (off * off))
    return middle * total / (total + FIT_N), (FIT_N * variance + near) / (FIT_N + total)

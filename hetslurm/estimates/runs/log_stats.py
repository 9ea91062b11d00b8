"""Mean and variance of logarithms, where later runs count more and a timeout counts as "longer than"."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, exp, log, pi, sqrt

# An observation loses 3 % of its weight with each that follows: about the last 33 count.
DECAY = 0.97
# Before anything is known: runs of one app differ by 30 %, as much as three observations would say.
PRIOR_SD = 0.3
PRIOR_N = 3.0
# As long as any time in a snapshot may be (HET_FOREVER).
FOREVER_S = 1e15


@dataclass(slots=True)
class LogStats:
    """Decayed mean and sum of squares of ln(seconds). `n` counts all, `weight` those that still count."""

    n: int = 0
    weight: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    last_at: float = 0.0

    def add(self, value: float, at: float, residual: float = 0.0) -> None:
        """Count ln(seconds) in; `residual` is the variance of a value that is itself a guess."""
        self.weight = self.weight * DECAY + 1.0
        self.squares *= DECAY
        step = value - self.mean
        self.mean += step / self.weight
        self.squares += step * (value - self.mean) + residual
        self.n += 1
        self.last_at = max(self.last_at, at)

    def add_longer_than(self, bound: float, at: float) -> None:
        """Count a run in of which only a lower bound of ln(seconds) is known.

        Its value is the mean of the normal distribution so far, cut at the bound (the E-step of a Tobit
        model; the M-step is the mean itself). With no run at all it is the bound and one standard deviation.
        """
        mean, sd = (self.mean, sqrt(self.variance())) if self.n else (bound, PRIOR_SD)
        z = (bound - mean) / sd
        hazard = inverse_mills(z)
        self.add(mean + sd * hazard, at, sd * sd * max(1.0 + z * hazard - hazard * hazard, 0.0))

    def variance(self) -> float:
        """Of one run, shrunk to `PRIOR_SD` while runs are few."""
        return (PRIOR_N * PRIOR_SD**2 + self.squares) / (PRIOR_N + max(self.weight - 1.0, 0.0))


def inverse_mills(z: float) -> float:
    """φ(z) / (1 - Φ(z)): how far above a cut at z the standard normal's mean lies."""
    if z > 8.0:  # the tail's own expansion: the quotient would be 0/0 soon
        return z + 1.0 / z
    return exp(-z * z / 2.0) / sqrt(2.0 * pi) / (erfc(z / sqrt(2.0)) / 2.0)


def ln(seconds: float) -> float:
    """The logarithm of seconds; what ran shorter than one counts as one, longer than `FOREVER_S` as that."""
    return log(min(max(seconds, 1.0), FOREVER_S))

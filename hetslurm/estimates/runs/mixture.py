"""What a run may take, as past runs with weights: the best single guess, its quantiles, its spread."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from hetslurm.estimates.runs.ring import Vector

# A past run stands for runs around it: a Laplace distribution of this scale in ln seconds.
SCALE = 0.25
# Runs that carry less than this of the heaviest one's weight are left out of guess and count.
NEGLIGIBLE = 0.003
GRID = 48


@dataclass(frozen=True, slots=True)
class Mixture:
    """`values` are ln seconds, `weights` sum to 1; both have at least one entry."""

    values: Vector
    weights: Vector

    def count_heavy(self, begin: int, end: int) -> int:
        """How many of entries `begin` to `end` carry a weight that counts."""
        return int((self.weights[begin:end] > self.weights.max() * NEGLIGIBLE).sum())

    def heavy(self) -> Mixture:
        """The same without what carries next to nothing."""
        kept = self.weights > self.weights.max() * NEGLIGIBLE
        weights = self.weights[kept]
        return Mixture(self.values[kept], weights / weights.sum())

    def best(self) -> float:
        """The guess p with the highest expected accuracy min(p, r) / max(p, r), as ln seconds.

        The accuracy is exp(-|ln p - ln r|), so its expectation is a sum of Laplace kernels, convex between
        past runs: one of these is the maximum. A few per cent around it, it hardly changes.
        """
        near = np.exp(-np.abs(self.values[:, None] - self.values[None, :])) @ self.weights
        return float(self.values[int(near.argmax())])

    def below(self, value: float) -> float:
        """The probability of a shorter run."""
        return float(_laplace((value - self.values) / SCALE) @ self.weights)

    def quantile(self, level: float) -> float:
        """ln seconds below which a run stays with probability `level` in (0, 1)."""
        grid = np.linspace(float(self.values.min()) - 1.0, float(self.values.max()) + 2.5, GRID)
        below = _laplace((grid[:, None] - self.values[None, :]) / SCALE) @ self.weights
        return float(np.interp(level, below, grid))

    def sd(self) -> float:
        """Standard deviation of ln seconds, each past run's own scale counted in."""
        off = self.values - float(self.values @ self.weights)
        return sqrt(float((off * off) @ self.weights) + 2.0 * SCALE**2)


def _laplace(z: Vector) -> Vector:
    """The standard Laplace distribution function."""
    half = 0.5 * np.exp(-np.abs(z))
    return np.where(z < 0, half, 1.0 - half)

"""Keeps a 90 % quantile at 90 %: the level asked of the mixture follows what was covered."""

from __future__ import annotations

from dataclasses import dataclass

TARGET = 0.9
# The gain of adaptive conformal inference (Gibbs and Candès 2021): off by 1/(GAIN·n) at most after n runs.
GAIN = 0.01
LOWEST, HIGHEST = 0.5, 0.999


@dataclass(slots=True)
class Coverage:
    """`level` is the probability to ask of a mixture so that 90 % of runs stay below."""

    level: float = TARGET

    def learn(self, below: float) -> None:
        """A run ended of which the mixture said: shorter with probability `below`."""
        missed = 1.0 if below > self.level else 0.0
        self.level = min(max(self.level + GAIN * (missed - (1.0 - TARGET)), LOWEST), HIGHEST)

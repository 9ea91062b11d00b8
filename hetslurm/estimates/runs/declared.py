"""How far off authors' own times are, which says how fast history takes their place."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from hetslurm.estimates.runs.log_stats import ln
from hetslurm.runs import Ending, Run

# Before any is compared: an author is off by a factor of two (one standard deviation), as 5 runs would say.
PRIOR_VARIANCE = log(2.0) ** 2
PRIOR_N = 5.0
DECAY = 0.995


@dataclass(slots=True)
class Declared:
    """Mean square of ln(run / declared) over the runs whose author gave a time."""

    weight: float = 0.0
    squares: float = 0.0

    def learn(self, run: Run) -> None:
        """Compare a completed run with what its author declared."""
        if run.declared_s <= 0 or run.ending is not Ending.COMPLETED:
            return
        off = ln(run.run_s * run.speed) - ln(run.declared_s)
        self.weight = self.weight * DECAY + 1.0
        self.squares = self.squares * DECAY + off * off

    @property
    def variance(self) -> float:
        """Of ln(run / declared), its bias counted in."""
        return (PRIOR_N * PRIOR_VARIANCE + self.squares) / (PRIOR_N + self.weight)

    def trust(self, history_variance: float) -> float:
        """The share of history in the answer: inverse variances, as for two independent measurements."""
        return self.variance / (self.variance + max(history_variance, 0.0))

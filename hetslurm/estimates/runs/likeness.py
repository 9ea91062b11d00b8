"""How much each past run says about a job: a softmax over few features, whose coefficients are learnt.

Every run that ends shows which of the past runs that were known at its submit came close to it; the
coefficients follow the gradient of the likelihood of that (a mixture of experts whose gate is linear, with
AdaGrad's step). There are ten coefficients for a whole site, so a few hundred runs fix them, and the
starting values, set by reason, do until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log

import numpy as np

from hetslurm.estimates.runs.mixture import Mixture
from hetslurm.estimates.runs.ring import END, LIMIT, TIMEOUT, UNITS, VALUE, Vector

# Feature: starting coefficient.
FEATURES = {
    "same units": 1.0,
    "same limit": 1.0,
    "ln rank, the last first": -0.8,
    "ln(1 + age / 10 min)": -0.3,
    "the very last": 0.5,
    "ln ratio of limits": -0.5,
    "log2 ratio of units": -0.3,
    "another user's, same units and limit": -1.0,
    "anybody's": -2.0,
    "the limit itself": -2.0,
}
SAME_UNITS, SAME_LIMIT, RANK, AGE, LAST, LIMIT_RATIO, UNITS_RATIO, ALIKE, ANYBODY, LIMIT_ITSELF = range(10)
STEP = 0.1
# How close in ln seconds a past run must come to be credited, and a floor so that no outlier decides alone.
CLOSE = 0.3
FLOOR = 1e-3
FARTHEST = 3.0
AGE_S = 600.0
# A run that was stopped at its limit is stopped there again. With more time it would as likely as not take
# twice as long or more: run times have tails like 1/t (Harchol-Balter and Downey 1997).
LONGER = log(2.0)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Candidates before a job: ln seconds and features, (candidates,) and (candidates, features).

    The first `runs` of them are past runs, of these the first `own` the user's; the job's limit may follow.
    """

    values: Vector
    features: Vector
    own: int
    runs: int


def gather(
    own: Vector, alike: Vector, anybody: Vector, at: float, units: int, limit_min: int
) -> Evidence | None:
    """Rows of `Ring`s, the last first, as evidence; None: there is none.

    `own` are the user's, `alike` anybody's with the same units and limit. `units`, `limit_min` 0: not known.
    """
    rows = np.concatenate((own, alike, anybody))
    count, mine, theirs = len(rows), len(own), len(alike)
    total = count + (1 if limit_min > 0 else 0)
    if total == 0:
        return None
    values = np.empty(total)
    cut_short = (rows[:, TIMEOUT] > 0) & ((limit_min == 0) | (rows[:, LIMIT] < limit_min))
    values[:count] = rows[:, VALUE] + LONGER * cut_short
    features = np.zeros((total, len(FEATURES)))
    runs = features[:count]
    if units > 0:
        runs[:mine, SAME_UNITS] = own[:, UNITS] == units
        runs[:, UNITS_RATIO] = np.minimum(np.abs(np.log2(np.maximum(rows[:, UNITS], 1.0) / units)), FARTHEST)
    if limit_min > 0:
        runs[:mine, SAME_LIMIT] = own[:, LIMIT] == limit_min
        ratio = np.abs(np.log(np.maximum(rows[:, LIMIT], 1.0) / limit_min))
        runs[:, LIMIT_RATIO] = np.minimum(ratio, FARTHEST)
        features[count, LIMIT_ITSELF] = 1.0
        values[count] = np.inf
        values = np.minimum(values, log(60.0 * limit_min))
    runs[:mine, RANK] = np.log(np.arange(1, mine + 1))
    runs[:, AGE] = np.log1p((at - rows[:, END]) / AGE_S)
    runs[:1, LAST] = mine > 0
    runs[mine : mine + theirs, ALIKE] = 1.0
    runs[mine + theirs :, ANYBODY] = 1.0
    return Evidence(values, features, mine, count)


@dataclass(slots=True)
class Likeness:
    """The coefficients, and AdaGrad's sums of squared gradients."""

    coefficients: Vector = field(default_factory=lambda: np.array(list(FEATURES.values())))
    squares: Vector = field(default_factory=lambda: np.ones(len(FEATURES)))

    def weigh(self, evidence: Evidence) -> Mixture:
        """The past runs with their weights."""
        logits = evidence.features @ self.coefficients
        weights = np.exp(logits - logits.max())
        return Mixture(evidence.values, weights / weights.sum())

    def learn(self, evidence: Evidence, weights: Vector, value: float) -> None:
        """The job took ln seconds `value`: credit the past runs that came close."""
        away = np.abs(evidence.values - value)
        credit = weights * (np.exp(-away / CLOSE) / (2.0 * CLOSE) + FLOOR * np.exp(-away / 2.0))
        total = credit.sum()
        if not total > 0:
            return
        gradient = (credit / total - weights) @ evidence.features
        self.squares += gradient * gradient
        self.coefficients += STEP * gradient / np.sqrt(self.squares)

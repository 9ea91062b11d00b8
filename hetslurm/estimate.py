"""A number with its source, so that a default never passes for knowledge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Source(IntEnum):
    """Where a number comes from; the order is that of `enum het_source`, worst first."""

    DEFAULT = 0
    DECLARED = 1
    PREDICTED = 2
    MEASURED = 3

    @property
    def label(self) -> str:
        """The word used in JSON and tables."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its source. The unit is that of the field that holds it."""

    value: float
    source: Source = Source.DEFAULT


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """How long a class of jobs runs on a device kind and type of reference speed: a row of the snapshot.

    The class is an `app`; or, for jobs without one, a `user` (the name), finer by `units` (of all nodes)
    and `limit_min` where these are above 0. `mean_s` is in seconds, or seconds per unit of work where
    `per_work`. `spread` (≥ 1) times the mean is the 90 % quantile. `trust` in [0, 1] is how much of the
    answer is history's: the rest, in log space, is the job's declared time where it has one. `log_sd` is
    the standard deviation of the logarithm, `n` the number of runs behind it.
    """

    app: str
    kind: str
    type: str
    mean_s: float
    log_sd: float = 0.0
    n: int = 0
    per_work: bool = False
    source: Source = Source.PREDICTED
    spread: float = 1.0
    trust: float = 1.0
    user: str = ""
    units: int = 0
    limit_min: int = 0

"""How far estimated waits came true, and by what factor each pool's are to be corrected. Pure.

A wait that came to its end says by what the estimate was off; one that was cut short (the job was cancelled,
or moved elsewhere) says that it would have been longer than that. Both count, as in survival analysis: the
factor is the median of waited/estimated by Kaplan and Meier (1958), the last waits counting most, drawn
towards 1 while waits are few.

A correction lags behind what it follows, and can do harm: where estimates get better because runs are learnt,
say. So it is in force only where it has earned it: where the last waits would have been told better with the
corrections of their time than without (prequential validation, Dawid 1984).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import NamedTuple

# What is shorter hurts nobody, and its ratio is noise.
FLOOR_S = 10.0
# So many of a pool's last waits count.
KEPT = 200
# A wait loses 2 % of its weight with each that follows: estimates of runs get better, and queues change.
DECAY = 0.98
# No correction weighs as much as this many waits.
PRIOR_N = 5.0
MOST_FACTOR = 4.0
# Whether corrections would have helped is asked of so many of the last waits; there must be the least.
JUDGED = 20
LEAST_JUDGED = 8


class Waited(NamedTuple):
    """One estimate of a wait, and what then happened. Seconds; `at` (Unix seconds) is when it ended.

    `estimated_s` is the estimate before any correction, `shown_s` as it was given out. `cut` waits ended
    for another reason than a start. `slurm_s` is what Slurm itself expected, None where it said nothing.
    """

    pool: str
    at: float
    estimated_s: float
    shown_s: float
    waited_s: float
    cut: bool = False
    slurm_s: float | None = None


@dataclass(frozen=True, slots=True)
class WaitError:
    """Over `n` waits that ended with a start: the median |ln(estimate / wait)|, both at least `FLOOR_S`.

    `within_2` is the share that was within a factor of two. `both_n` are those for which Slurm had an
    estimate too; `both_error` and `slurm_error` compare the two on them. None: there are none.
    """

    n: int = 0
    error: float | None = None
    within_2: float | None = None
    both_n: int = 0
    both_error: float | None = None
    slurm_error: float | None = None

    @property
    def slurm_coverage(self) -> float | None:
        """The share of waits for which Slurm had an estimate."""
        return self.both_n / self.n if self.n else None


def log_ratio(estimate_s: float, waited_s: float) -> float:
    """ln(estimate / wait), both at least `FLOOR_S`."""
    return log(max(estimate_s, FLOOR_S) / max(waited_s, FLOOR_S))


def correction(waits: Sequence[Waited]) -> float:
    """What a pool's estimates are to be multiplied by, from its `waits` in the order in which they ended.

    Only waits above `FLOOR_S` that were estimated above it say anything: a job that slipped into a gap was
    not expected to wait by a factor too long.
    """
    ratios: list[tuple[float, bool, float]] = []
    weight = 1.0
    for one in reversed(waits):
        if one.estimated_s > FLOOR_S and one.waited_s > FLOOR_S:
            ratios.append((-log_ratio(one.estimated_s, one.waited_s), one.cut, weight))
            weight *= DECAY
    ended = sum(weight for _, cut, weight in ratios if not cut)
    if not ended:
        return 1.0
    off = _median_survival(sorted(ratios)) * ended / (ended + PRIOR_N)
    return min(max(exp(off), 1.0 / MOST_FACTOR), MOST_FACTOR)


def earned_correction(waits: Sequence[Waited]) -> float:
    """`correction`, or 1 where it would have made the last waits worse than they were estimated without.

    Each is judged by the correction that could be known when it was told, not by today's.
    """
    factor = correction(waits)
    told = [one for one in waits if not one.cut and one.estimated_s > FLOOR_S and one.waited_s > FLOOR_S]
    if factor == 1.0 or len(told) < LEAST_JUDGED:
        return 1.0
    without = corrected = 0.0
    for one in told[-JUDGED:]:
        told_at = one.at - one.waited_s
        then = correction([past for past in waits if past.at <= told_at])
        without += abs(log_ratio(one.estimated_s, one.waited_s))
        corrected += abs(log_ratio(one.estimated_s * then, one.waited_s))
    return factor if corrected < without else 1.0


def _median_survival(ratios: Sequence[tuple[float, bool, float]]) -> float:
    """Kaplan and Meier's median of weighted values in rising order, those cut (True) being lower bounds."""
    left, alive = sum(weight for _, _, weight in ratios), 1.0
    last = 0.0
    for value, cut, weight in ratios:
        if not cut:
            alive *= max(1.0 - weight / left, 0.0)
            last = value
            if alive <= 0.5 + 1e-9:
                return value
        left = max(left - weight, 1e-12)
    return last


def wait_error(waits: Iterable[Waited]) -> WaitError:
    """The error of estimates as they were given out; waits that mattered to nobody are left out."""
    ended = [w for w in waits if not w.cut and max(w.shown_s, w.waited_s) > FLOOR_S]
    if not ended:
        return WaitError()
    errors = [abs(log_ratio(w.shown_s, w.waited_s)) for w in ended]
    both = [
        (error, abs(log_ratio(w.slurm_s, w.waited_s)))
        for error, w in zip(errors, ended, strict=True)
        if w.slurm_s is not None
    ]
    return WaitError(
        len(ended),
        median(errors),
        sum(error <= log(2.0) for error in errors) / len(errors),
        len(both),
        median(error for error, _ in both) if both else None,
        median(error for _, error in both) if both else None,
    )

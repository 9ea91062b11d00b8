"""What the history says of each class of jobs: an app, or a user where no app is named, by device. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hetslurm.runs import Ending, Run


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """Runs of a class on a device kind and type; either `app` or `user` is "".

    Times are seconds of the `completed` runs, as they were, on whatever speed; None: none did. `q90_s` is
    the 90 % quantile, `spread` is q90 / mean, `log_sd` the standard deviation of the logarithm, None for
    fewer than two. `per_work_s` is the median time of a unit of work, where runs gave theirs. `endings`
    counts all `n` runs; `last_at` is when the newest ended, Unix seconds.
    """

    app: str
    user: str
    kind: str
    type: str
    n: int
    median_s: float | None
    mean_s: float | None
    q90_s: float | None
    spread: float | None
    per_work_s: float | None
    failures: int
    endings: dict[str, int]
    last_at: float
    completed: int = 0
    log_sd: float | None = None


@dataclass(slots=True)
class _Class:
    times: array[float] = field(default_factory=lambda: array("d"))
    per_work: array[float] = field(default_factory=lambda: array("d"))
    endings: Counter[str] = field(default_factory=Counter)
    last_at: float = 0.0


# What the job itself, or the node under it, did wrong; a cancelled or preempted run says nothing.
FAILURES = frozenset({Ending.FAILED, Ending.TIMEOUT, Ending.NODE_FAIL, Ending.OUT_OF_MEMORY})


def summarize(runs: Iterable[Run]) -> list[ClassSummary]:
    """One summary a class, by name and device. Runs are looked at once; 8 bytes each are kept."""
    classes: dict[tuple[str, str, str, str], _Class] = {}
    for run in runs:
        key = (run.app, "" if run.app else run.user, run.kind, run.type)
        one = classes.setdefault(key, _Class())
        one.endings[str(run.ending)] += 1
        one.last_at = max(one.last_at, run.end_at)
        if run.ending is Ending.COMPLETED:
            one.times.append(run.run_s)
            if run.work > 0:
                one.per_work.append(run.run_s / run.work)
    return [_summary(key, one) for key, one in sorted(classes.items())]


def _summary(key: tuple[str, str, str, str], one: _Class) -> ClassSummary:
    times = np.frombuffer(one.times) if one.times else None
    mean = float(times.mean()) if times is not None else None
    q90 = float(np.quantile(times, 0.9)) if times is not None else None
    return ClassSummary(
        *key,
        n=one.endings.total(),
        median_s=float(np.median(times)) if times is not None else None,
        mean_s=mean,
        q90_s=q90,
        spread=q90 / mean if q90 is not None and mean else None,
        per_work_s=float(np.median(np.frombuffer(one.per_work))) if one.per_work else None,
        failures=sum(one.endings[ending] for ending in FAILURES),
        endings=dict(sorted(one.endings.items())),
        last_at=one.last_at,
        completed=len(one.times),
        log_sd=_log_sd(times),
    )


def _log_sd(times: npt.NDArray[np.float64] | None) -> float | None:
    """A run of less than a second counts as one: Slurm knows no fractions."""
    if times is None or len(times) < 2:
        return None
    return float(np.log(np.maximum(times, 1.0)).std(ddof=1))

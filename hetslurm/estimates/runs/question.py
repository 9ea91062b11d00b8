"""What a run estimate is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from hetslurm.estimate import Source


@dataclass(frozen=True, slots=True)
class RunQuestion:
    """A job that has not run yet, on a device of speed 1.

    `at` is when it is asked (Unix seconds): nothing that ended later is used. `units` are devices of all
    nodes together, cpus where `kind` is "cpu". `declared_s` is the author's time, `limit_s` the kill limit.
    0 and "": not known.
    """

    at: float
    kind: str
    type: str = ""
    user: str = ""
    app: str = ""
    work: float = 0.0
    units: int = 0
    declared_s: float = 0.0
    limit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """`mean_s` is the time to count with, `q90_s` the 90 % quantile; `n` runs stand behind it.

    `log_sd` is the standard deviation of the logarithm. `trust` is the share of history in the answer (see
    `RunEstimate`); the rest is the declared time's. Both times are history's alone where `trust` is not yet
    applied, and for the job as it was asked (times its work) once it is.
    """

    mean_s: float
    q90_s: float
    log_sd: float
    n: int
    source: Source
    trust: float = 1.0

"""What an author asked for: the request behind `#HET` lines and `--het`."""

from __future__ import annotations

from dataclasses import dataclass

from hetslurm.target import Target


@dataclass(frozen=True, slots=True)
class DataItem:
    """Data that the job reads: a URI or path, and its size in bytes (0: not given)."""

    uri: str
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A parsed request. None: the author did not say.

    `objective` is a preset's name, "weights" or None; `weights` are (time, cost, energy), sum 1.
    `deadline_at` is Unix seconds, `deadline_in_s` seconds from submit; `max_cost_micro` is millionths of
    the currency.
    """

    targets: tuple[Target, ...]
    data: tuple[DataItem, ...] = ()
    app: str | None = None
    work: float | None = None
    objective: str | None = None
    weights: tuple[float, float, float] | None = None
    deadline_at: int | None = None
    deadline_in_s: int | None = None
    preemptible: bool | None = None
    burst: str | None = None
    max_cost_micro: int | None = None

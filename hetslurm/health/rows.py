"""One probe's table as a rule sees it: a column a metric, and what counters did lately."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from hetslurm.health.columns import RECENT_S, Floats, Mask, ProbeTable

_NEVER = np.inf


class Rows:
    """`baseline` is float64 (RATE metrics of the table, slots), NaN where there is none; None: nowhere."""

    def __init__(
        self, table: ProbeTable, now: float, limits: Mapping[str, float], baseline: Floats | None = None
    ) -> None:
        self.table = table
        self.now = now
        self.limits = limits
        self.baseline = baseline
        self._ratio: Floats | None = None

    def __getitem__(self, metric: str) -> Floats:
        """The newest values of a metric."""
        column: Floats = self.table.values[self.table.place[metric]]
        return column

    def since(self, counter: str) -> Floats:
        """Seconds since the counter last rose; infinite where we never saw it rise."""
        rose_at = self.table.rose_at[self.table.counter_place[counter]]
        return np.where(rose_at > 0, self.now - rose_at, _NEVER)

    def recent(self, counter: str) -> Floats:
        """What the counter rose by lately, each rise fading with RECENT_S."""
        at = self.table.counter_place[counter]
        rose = np.flatnonzero(self.table.rose_at[at])
        faded = np.zeros(self.table.size)
        if len(rose):
            age = np.maximum(self.now - self.table.rose_at[at, rose], 0.0)
            faded[rose] = self.table.recent[at, rose] * np.exp(-age / RECENT_S)
        return faded

    def of_baseline(self) -> Floats | None:
        """RATE metrics over their baselines, float64 (rates, slots), NaN where either is unknown."""
        if self.baseline is None or not self.table.rates:
            return None
        if self._ratio is None:
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = self.table.values[list(self.table.rates)] / self.baseline
                ratio[~((ratio > 0) & (ratio < np.inf))] = np.nan
            self._ratio = ratio
        return self._ratio


Predicate: TypeAlias = Callable[[Rows], Mask]


def is_set(metric: str) -> Predicate:
    """The number is above 0."""
    return lambda rows: rows[metric] > 0


def is_unset(metric: str) -> Predicate:
    """The number is 0."""
    return lambda rows: rows[metric] == 0


def above(metric: str, limit: str) -> Predicate:
    """The number is above a limit of the admin's."""
    return lambda rows: rows[metric] > rows.limits[limit]


def away_from_zero(metric: str, limit: str) -> Predicate:
    """The number is further from 0 than a limit of the admin's."""
    return lambda rows: np.abs(rows[metric]) > rows.limits[limit]


def share_below(metric: str, whole: str, limit: str) -> Predicate:
    """The number is below a share of another."""
    return lambda rows: rows[metric] < rows.limits[limit] * rows[whole]


def less_than(metric: str, other: str) -> Predicate:
    """The number is below another."""
    return lambda rows: rows[metric] < rows[other]


def rose_within(counter: str, seconds: float) -> Predicate:
    """The counter rose not long ago."""
    return lambda rows: rows.since(counter) <= seconds


def rises_past(counter: str, an_hour: float) -> Predicate:
    """The counter rises by more than so much in an hour."""
    return lambda rows: rows.recent(counter) > an_hour


def slower() -> Predicate:
    """A benchmark gave less than the limit's share of the device's own past."""

    def fires(rows: Rows) -> Mask:
        ratio = rows.of_baseline()
        if ratio is None:
            return np.zeros(rows.table.size, np.bool_)
        lowest = np.fmin.reduce(ratio, axis=0)
        return np.asarray(lowest < rows.limits["slower_ratio"])

    return fires


def both(first: Predicate, second: Predicate) -> Predicate:
    """Both hold."""
    return lambda rows: first(rows) & second(rows)

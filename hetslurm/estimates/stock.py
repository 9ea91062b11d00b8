"""What pools on the same nodes share: what is free there from when on, and what is planned. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from hetslurm.estimates.demand import Demand
from hetslurm.estimates.profile import Profile
from hetslurm.estimates.supply import Supply
from hetslurm.pool import Pool

# As deep as Slurm looks by default (bf_max_job_test).
DEPTH = 500


class Length(NamedTuple):
    """How long a job may hold what it gets, and how long it is expected to, seconds."""

    limit_s: float
    run_s: float


@dataclass(slots=True)
class Stock:
    """The supply of pools with the same nodes, kind, type and PriorityTier, and what is planned on it.

    `units` are those of nodes that are fit now, `profile` has what comes back later too. `lengths` are
    (limit, expected run) in seconds of the jobs that run or are planned there. `reserved` is the profile
    without what is planned, where reservations keep nodes: no job may run into one, by its limit.
    """

    pool: Pool
    tier: int
    supply: Supply
    profile: Profile
    units: float
    reserved: Profile | None = None
    lengths: list[Length] = field(default_factory=list)
    planned: int = 0
    last_start: float = 0.0
    backlog_unit_s: float = 0.0
    shares: list[tuple[Stock, float]] = field(default_factory=list)
    _when: dict[tuple[int, int, float], float] = field(default_factory=dict)

    def earliest(self, want: Demand, length: Length, not_before: float = 0.0) -> float:
        """The first gap for it, seconds from now."""
        limit_s = 0.0 if self.reserved is None else length.limit_s
        key = (want.nodes, want.per_node, limit_s)
        if key not in self._when:
            self._when[key] = self.supply.when_nodes(want.nodes, want.per_node, limit_s)
        start = self.profile.earliest(want.units, length.run_s, max(self._when[key], not_before))
        while self.reserved is not None:
            clear = self.reserved.earliest(want.units, limit_s, start)
            if clear <= start:
                break
            start = self.profile.earliest(want.units, length.run_s, clear)
            if start <= clear:
                break
        return start

    def start_of(self, want: Demand, length: Length) -> float:
        """When such a job would start behind all that are planned."""
        if self.planned < DEPTH:
            return self.earliest(want, length)
        return self.last_start + self.backlog_unit_s / max(self.units, 1.0)

    def plan(self, units: float, start: float, length_s: float) -> None:
        """Count a job in."""
        if self.planned < DEPTH:
            self.profile.take(units, start, length_s)
            self.planned += 1
            self.last_start = max(self.last_start, start)
        else:
            self.backlog_unit_s += units * length_s

    def behind_s(self) -> float:
        """When the work of jobs that are not planned one by one is done."""
        return self.profile.when_done(self.backlog_unit_s) if self.backlog_unit_s > 0 else 0.0


def link(stocks: Sequence[Stock]) -> None:
    """Tell every stock which others have nodes of its own, and which part of its nodes they have."""
    index: dict[str, int] = {}
    for stock in stocks:
        for name in stock.pool.node_names:
            index.setdefault(name, len(index))
    has = np.zeros((len(stocks), len(index)), dtype=np.float32)
    for row, stock in enumerate(stocks):
        has[row, [index[name] for name in stock.pool.node_names]] = 1.0
    common = has @ has.T
    np.fill_diagonal(common, 0.0)
    for a, b in zip(*(axis.tolist() for axis in np.nonzero(common)), strict=True):
        stocks[a].shares.append((stocks[b], float(common[a, b]) / len(stocks[a].pool.node_names)))

"""What pools on the same nodes share: what is free there from when on, and what is planned. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hetslurm.estimates.demand import Demand
from hetslurm.estimates.profile import Profile
from hetslurm.estimates.supply import Supply
from hetslurm.pool import Pool

# As deep as Slurm looks by default (bf_max_job_test).
DEPTH = 500


@dataclass(slots=True)
class Stock:
    """The supply of pools with the same nodes, kind, type and PriorityTier, and what is planned on it.

    `lengths` are (limit, expected run) in seconds of the jobs that run or are planned there.
    """

    pool: Pool
    tier: int
    supply: Supply
    profile: Profile
    units: float
    lengths: list[tuple[float, float]] = field(default_factory=list)
    planned: int = 0
    last_start: float = 0.0
    backlog_unit_s: float = 0.0
    shares: list[tuple[Stock, float]] = field(default_factory=list)
    _when: dict[tuple[int, int], float] = field(default_factory=dict)

    def earliest(self, want: Demand, length_s: float, not_before: float = 0.0) -> float:
        """The first gap for it, seconds from now."""
        key = (want.nodes, want.per_node)
        if key not in self._when:
            self._when[key] = self.supply.when_nodes(want.nodes, want.per_node)
        return self.profile.earliest(want.units, length_s, max(self._when[key], not_before))

    def start_of(self, want: Demand, length_s: float) -> float:
        """When such a job would start behind all that are planned."""
        if self.planned < DEPTH:
            return self.earliest(want, length_s)
        return self.last_start + self.backlog_unit_s / self.units

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

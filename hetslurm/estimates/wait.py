"""How long a new job would wait in each pool, by how much of the pool it wants. Pure.

Running jobs hold their units until they are expected to end; pending jobs are planned into what is left in
Slurm's order, each at the first gap that fits and leaves those before it alone (conservative backfill);
a new job then takes the first gap behind or between them. Its length is not known: the median limit of
the pool's jobs stands for it, so that gaps count only where an ordinary job fits.

A job that hetslurm placed is expected to run as long as was predicted, any other until its limit, so that
waits err on the long side. What is known to be rough besides: where jobs sit
inside a node is followed for running jobs only. Of jobs deeper in the queue than `DEPTH` only the work
counts. As in every backfilling scheduler, a job with a high priority that arrives can move others aside
and so shorten the wait of a third.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from statistics import median

import numpy as np

from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.estimate import Source
from hetslurm.estimates.demand import (
    DEFAULT_LIMIT_S,
    Demand,
    demand_on,
    expected_s,
    jobs_ahead,
    tier_of,
    wants,
)
from hetslurm.estimates.profile import Profile
from hetslurm.estimates.supply import HORIZON_S, Steps, Supply, holds_by_node, release_steps
from hetslurm.pool import WAIT_LENGTHS, WAIT_SIZES, Pool

# As deep as Slurm looks by default (bf_max_job_test).
DEPTH = 500
MAX_CHOICES = 8
# Nobody knows when a pool without a usable node is back. A day ranks it behind what works, and the source
# says "default".
UNKNOWN_WAIT_S = 86400.0

_Key = tuple[tuple[str, ...], str, str, int]


@dataclass(slots=True)
class _Stock:
    """What pools with the same nodes, kind, type and PriorityTier share: supply, and what is planned."""

    pool: Pool
    tier: int
    supply: Supply
    profile: Profile
    units: float
    limits_s: list[float] = field(default_factory=list)
    planned: int = 0
    last_start: float = 0.0
    backlog_unit_s: float = 0.0
    shares: list[tuple[_Stock, float]] = field(default_factory=list)
    _when: dict[tuple[int, int], float] = field(default_factory=dict)

    def earliest(self, nodes: int, per_node: int, length_s: float, not_before: float = 0.0) -> float:
        key = (nodes, per_node)
        if key not in self._when:
            self._when[key] = self.supply.when_nodes(nodes, per_node)
        return self.profile.earliest(nodes * per_node, length_s, max(self._when[key], not_before))

    def start_of(self, want: Demand, length_s: float) -> float:
        """When such a job would start behind all that are planned."""
        if self.planned < DEPTH:
            return self.earliest(want.nodes, want.per_node, length_s)
        return self.last_start + self.backlog_unit_s / self.units

    def plan(self, units: float, start: float, length_s: float) -> None:
        """Count a job in."""
        if self.planned < DEPTH:
            self.profile.take(units, start, length_s)
            self.planned += 1
            self.last_start = max(self.last_start, start)
        else:
            self.backlog_unit_s += units * length_s


def estimate_waits(
    pools: Sequence[Pool], cluster: Cluster, now: float | None = None, *, length_s: float | None = None
) -> list[Pool]:
    """The pools with `wait_s` (seconds, by size class) and its source.

    Class k stands for the most that is in it: units · 2^(k-7), in whole nodes where that is more than
    one. `now` is Unix seconds, the cluster's reading when None. `length_s` is the new job's limit, the
    median of the pool's when None. A pool without a usable node, or in a partition that is down, gets
    `UNKNOWN_WAIT_S` with source "default".
    """
    now = cluster.read_at if now is None else now
    tiers = {p.name: p.priority_tier for p in cluster.partitions}
    keys = [(p.node_names, p.kind, p.type, tiers.get(p.partition, 1)) for p in pools]
    stocks = _stocks(pools, keys, cluster, now)
    _link(list(stocks.values()))
    _plan_queue(pools, keys, stocks, cluster)
    is_up = {p.name: p.state != "DOWN" for p in cluster.partitions}
    waits: dict[_Key, tuple[float, ...]] = {}
    done = []
    for pool, key in zip(pools, keys, strict=True):
        if stocks[key].units <= 0 or not is_up.get(pool.partition, False):
            waited, source = (UNKNOWN_WAIT_S,) * (WAIT_SIZES * WAIT_LENGTHS), Source.DEFAULT
        else:
            if key not in waits:
                waits[key] = _waits(stocks[key], length_s)
            waited, source = waits[key], Source.PREDICTED
        done.append(replace(pool, wait_s=waited, wait_source=source))
    return done


def _stocks(pools: Sequence[Pool], keys: Sequence[_Key], cluster: Cluster, now: float) -> dict[_Key, _Stock]:
    nodes = {node.name: node for node in cluster.nodes}
    holds = holds_by_node(cluster.jobs, now)
    steps: dict[tuple[str, str, str], Steps] = {}
    stocks: dict[_Key, _Stock] = {}
    for pool, key in zip(pools, keys, strict=True):
        if key in stocks:
            continue
        per_node = pool.cpus_per_node if pool.kind == "cpu" else pool.devices_per_node
        supply = Supply(0, [], float(per_node))
        limits = []
        for name in pool.node_names:
            node = nodes.get(name)
            if node is None or not node.is_fit(pool.kind):
                continue
            held = holds.get(name, ())
            at = (name, pool.kind, pool.type)
            if at not in steps:
                steps[at] = release_steps(node, pool.kind, pool.type, held)
            if len(steps[at]) == 1:
                supply.idle += 1
            else:
                supply.busy.append(steps[at])
            limits += [hold.limit_s for hold in held]
        profile = Profile(supply.free_now(), supply.releases())
        units = per_node * (supply.idle + len(supply.busy))
        stocks[key] = _Stock(pool, key[3], supply, profile, float(units), limits)
    return stocks


def _link(stocks: Sequence[_Stock]) -> None:
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


def _plan_queue(
    pools: Sequence[Pool], keys: Sequence[_Key], stocks: dict[_Key, _Stock], cluster: Cluster
) -> None:
    partitions = {p.name: p for p in cluster.partitions}
    offered: dict[str, list[_Stock]] = {}
    for pool, key in zip(pools, keys, strict=True):
        if stocks[key].units > 0:
            offered.setdefault(pool.partition, []).append(stocks[key])
    for job in jobs_ahead(cluster.jobs, partitions):
        there = [stock for name in job.partition.split(",") for stock in offered.get(name, ())]
        choices = [stock for stock in there if wants(job, stock.pool)] or ([] if job.gres else there)
        length = expected_s(job, partitions.get(job.partition.partition(",")[0]))
        tier = tier_of(job, partitions)
        for _ in range(min(job.tasks, DEPTH)):
            _plan(job, tier, choices[:MAX_CHOICES], length)
        if job.tasks > DEPTH and choices:
            work = demand_on(job, choices[0].pool).units * length
            choices[0].backlog_unit_s += (job.tasks - DEPTH) * work


def _plan(job: QueuedJob, tier: int, choices: Sequence[_Stock], length_s: float) -> None:
    """Plan one job or task where it starts first, and take what it uses from all that share those nodes."""
    fitting = [
        (stock.start_of(want, length_s), n, want.units)
        for n, stock in enumerate(choices)
        if (want := demand_on(job, stock.pool)).units > 0
        and want.units <= stock.units
        and want.per_node <= stock.supply.per_node
    ]
    if not fitting:
        return
    start, n, units = min(fitting)
    stock = choices[n]
    stock.limits_s.append(length_s)
    stock.plan(units, start, length_s)
    for other, share in stock.shares:
        if other.tier > tier:
            continue
        same = (other.pool.kind, other.pool.type) == (stock.pool.kind, stock.pool.type)
        taken = units if same else demand_on(job, other.pool).units
        if taken > 0:
            other.plan(taken * share, start, length_s)


def _waits(stock: _Stock, length_s: float | None) -> tuple[float, ...]:
    """The wait of each size class, whatever the length."""
    if length_s is None:
        length_s = median(stock.limits_s) if stock.limits_s else DEFAULT_LIMIT_S
    behind = 0.0
    if stock.backlog_unit_s > 0:
        behind = stock.profile.when_done(stock.backlog_unit_s)
    waits: list[float] = []
    for k in range(WAIT_SIZES):
        need = stock.units * 2.0 ** (k + 1 - WAIT_SIZES)
        size = stock.supply.per_node
        nodes, per_node = (1, max(1, ceil(need))) if need <= size else (ceil(need / size), int(size))
        waits += [min(stock.earliest(nodes, per_node, length_s, behind), HORIZON_S)] * WAIT_LENGTHS
    return tuple(waits)

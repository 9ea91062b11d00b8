"""How long a new job would wait in each pool, by how much of the pool it wants and for how long, and when
each pending job should start. Pure.

Running jobs hold their units until they are expected to end; pending jobs are planned into what is left in
Slurm's order, each at the first gap that fits and leaves those before it alone (conservative backfill);
a new job then takes the first gap behind or between them. Its length is that of an ordinary job of its
length class, so that a short one may go before a big one that waits, where a long one cannot.

A job that hetslurm placed is expected to run as long as was predicted, by what is known by now, any other as
its user's jobs do, or until its limit while nobody knows. What is known to be rough: where jobs sit
inside a node is followed for running jobs only. Of jobs deeper in the queue than `DEPTH` only the work
counts. As in every backfilling scheduler, a job with a high priority that arrives can move others aside
and so shorten the wait of a third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import median

from hetslurm.cluster import UNLIMITED, Cluster, QueuedJob
from hetslurm.estimate import Source
from hetslurm.estimates.demand import Demand, demand_on, expected_s, jobs_ahead, limit_s, tier_of, wants
from hetslurm.estimates.profile import Profile
from hetslurm.estimates.reserved import keep_free, returns, windows_by_node
from hetslurm.estimates.stock import DEPTH, Length, Stock, link
from hetslurm.estimates.supply import HORIZON_S, NO_RUNS, Steps, Supply, holds_by_node, release_steps
from hetslurm.estimates.usage import Usage
from hetslurm.pool import WAIT_LENGTHS, WAIT_LENGTHS_MIN, WAIT_SIZES, Pool

MAX_CHOICES = 8
# Nobody knows when a pool without a usable node is back. A day ranks it behind what works, and the source
# says "default".
UNKNOWN_WAIT_S = 86400.0
# What stands for "longer than any bound" where the partition has no limit.
LONGEST_S = 7 * 86400.0
# So many jobs of a length class say better than the class's bound how long its jobs are.
ENOUGH_JOBS = 3

_Key = tuple[tuple[str, ...], str, str, int]


@dataclass(frozen=True, slots=True)
class WaitPlan:
    """The pools with their waits, and when each pending job should start.

    `starts` has seconds from now by job id: of an array that is not split, its first task's. A job that is
    held, waits for something other than nodes, or fits no pool is not in it: unknown is not zero.
    """

    pools: tuple[Pool, ...]
    starts: Mapping[int, float]


def plan_waits(
    pools: Sequence[Pool],
    cluster: Cluster,
    now: float | None = None,
    *,
    usage: Usage | None = None,
    runs: Mapping[int, float] = NO_RUNS,
    lengths_s: Sequence[float] | None = None,
) -> WaitPlan:
    """The pools with `wait_s` (seconds, by size and length class) and its source; and the queue's starts.

    Size class k stands for the most that is in it: units · 2^(k-7), in whole nodes where that is more than
    one. `now` is Unix seconds, the cluster's reading when None. `usage` is what jobs use of their limits: it
    says how long those run that hetslurm did not place; `runs` (seconds by job id) how long those that it did
    are expected to run, where that is known better than when they were placed. `lengths_s` is how long a new
    job of each length class holds what it gets; by default as long as the pool's jobs of that class usually
    do. A pool without a usable node, or in a partition that is down, gets `UNKNOWN_WAIT_S` with source
    "default".
    """
    now = cluster.read_at if now is None else now
    tiers = {p.name: p.priority_tier for p in cluster.partitions}
    keys = [(p.node_names, p.kind, p.type, tiers.get(p.partition, 1)) for p in pools]
    stocks = _stocks(pools, keys, cluster, now, usage, runs)
    link(list(stocks.values()))
    starts = _plan_queue(pools, keys, stocks, cluster, usage, runs)
    is_up = {p.name: p.state != "DOWN" for p in cluster.partitions}
    waits: dict[_Key, tuple[float, ...]] = {}
    done = []
    for pool, key in zip(pools, keys, strict=True):
        if stocks[key].units <= 0 or not is_up.get(pool.partition, False):
            waited, source = (UNKNOWN_WAIT_S,) * (WAIT_SIZES * WAIT_LENGTHS), Source.DEFAULT
        else:
            if key not in waits:
                waits[key] = _waits(stocks[key], lengths_s)
            waited, source = waits[key], Source.PREDICTED
        done.append(replace(pool, wait_s=waited, wait_source=source))
    return WaitPlan(tuple(done), starts)


def estimate_waits(
    pools: Sequence[Pool],
    cluster: Cluster,
    now: float | None = None,
    *,
    usage: Usage | None = None,
    lengths_s: Sequence[float] | None = None,
) -> list[Pool]:
    """The pools of `plan_waits`."""
    return list(plan_waits(pools, cluster, now, usage=usage, lengths_s=lengths_s).pools)


def expected_starts(
    pools: Sequence[Pool], cluster: Cluster, now: float | None = None, *, usage: Usage | None = None
) -> dict[int, float]:
    """The starts of `plan_waits`: how long each pending job still has to wait where it stands.

    What a job would wait in another pool is that pool's `wait_s`: at the end of its queue. A job that moves
    there with its age may go before others, so a comparison of the two speaks for staying.
    """
    return dict(plan_waits(pools, cluster, now, usage=usage).starts)


def _stocks(
    pools: Sequence[Pool],
    keys: Sequence[_Key],
    cluster: Cluster,
    now: float,
    usage: Usage | None,
    runs: Mapping[int, float],
) -> dict[_Key, Stock]:
    nodes = {node.name: node for node in cluster.nodes}
    holds = holds_by_node(cluster.jobs, now, usage, runs)
    windows = windows_by_node(cluster, now)
    steps: dict[tuple[str, str, str], Steps] = {}
    stocks: dict[_Key, Stock] = {}
    for pool, key in zip(pools, keys, strict=True):
        if key in stocks:
            continue
        per_node = pool.cpus_per_node if pool.kind == "cpu" else pool.devices_per_node
        supply = Supply(0, [], float(per_node))
        lengths = []
        fit = 0
        for name in pool.node_names:
            node, kept = nodes.get(name), windows.get(name, ())
            if node is None or not (node.is_fit(pool.kind) or returns(node, kept)):
                continue
            fit += node.is_fit(pool.kind)
            held = holds.get(name, ())
            at = (name, pool.kind, pool.type)
            if at not in steps:
                free = release_steps(node, pool.kind, pool.type, held)
                steps[at] = keep_free(free, kept) if kept else free
            if kept:
                supply.kept.append(steps[at])
            elif len(steps[at]) == 1:
                supply.idle += 1
            else:
                supply.busy.append(steps[at])
            lengths += [Length(hold.limit_s, hold.run_s) for hold in held]
        stocks[key] = Stock(
            pool,
            key[3],
            supply,
            Profile(supply.free_now(), supply.changes()),
            float(per_node * fit),
            Profile(supply.free_now(), supply.changes()) if supply.kept else None,
            lengths,
        )
    return stocks


def _plan_queue(
    pools: Sequence[Pool],
    keys: Sequence[_Key],
    stocks: dict[_Key, Stock],
    cluster: Cluster,
    usage: Usage | None,
    runs: Mapping[int, float],
) -> dict[int, float]:
    """Plan every pending job; returns when each starts."""
    partitions = {p.name: p for p in cluster.partitions}
    offered: dict[str, list[Stock]] = {}
    for pool, key in zip(pools, keys, strict=True):
        if stocks[key].units > 0:
            offered.setdefault(pool.partition, []).append(stocks[key])
    starts: dict[int, float] = {}
    for job in jobs_ahead(cluster.jobs, partitions):
        there = [stock for name in job.partition.split(",") for stock in offered.get(name, ())]
        choices = [stock for stock in there if wants(job, stock.pool)] or ([] if job.gres else there)
        partition = partitions.get(job.partition.partition(",")[0])
        length = Length(limit_s(job, partition), expected_s(job, partition, usage, runs))
        tier = tier_of(job, partitions)
        for _ in range(min(job.tasks, DEPTH)):
            start = _plan(job, tier, choices[:MAX_CHOICES], length)
            if start is not None:
                starts.setdefault(job.job_id, min(start, HORIZON_S))
        if job.tasks > DEPTH and choices:
            work = demand_on(job, choices[0].pool).units * length.run_s
            choices[0].backlog_unit_s += (job.tasks - DEPTH) * work
    return starts


def _plan(job: QueuedJob, tier: int, choices: Sequence[Stock], length: Length) -> float | None:
    """Plan one job or task where it starts first, and take what it uses from all that share those nodes."""
    fitting = [
        (stock.start_of(want, length), n, want.units)
        for n, stock in enumerate(choices)
        if (want := demand_on(job, stock.pool)).units > 0
        and want.units <= stock.supply.nodes * stock.supply.per_node
        and want.per_node <= stock.supply.per_node
    ]
    if not fitting:
        return None
    start, n, units = min(fitting)
    stock = choices[n]
    stock.lengths.append(length)
    stock.plan(units, start, length.run_s)
    for other, share in stock.shares:
        if other.tier > tier:
            continue
        same = (other.pool.kind, other.pool.type) == (stock.pool.kind, stock.pool.type)
        taken = units if same else demand_on(job, other.pool).units
        if taken > 0:
            other.plan(taken * share, start, length.run_s)
    return start


def _waits(stock: Stock, lengths_s: Sequence[float] | None) -> tuple[float, ...]:
    """By size and length class. No wait is shorter than that of a smaller or a shorter job."""
    given = None if lengths_s is None else [Length(one, one) for one in lengths_s]
    shorter = [stock.behind_s()] * WAIT_SIZES
    by_length: list[list[float]] = []
    for length in given or _usual_lengths(stock):
        wait = 0.0
        for k in range(WAIT_SIZES):
            wait = shorter[k] = stock.earliest(_most_of(k, stock), length, max(wait, shorter[k]))
        by_length.append([min(wait, HORIZON_S) for wait in shorter])
    return tuple(waits[k] for k in range(WAIT_SIZES) for waits in by_length)


def _most_of(k: int, stock: Stock) -> Demand:
    """What the largest job of size class k wants."""
    need = stock.units * 2.0 ** (k + 1 - WAIT_SIZES)
    size = stock.supply.per_node
    return Demand(1, max(1, ceil(need))) if need <= size else Demand(ceil(need / size), int(size))


def _usual_lengths(stock: Stock) -> list[Length]:
    """How long a job of each length class holds what it gets: as the pool's jobs of that class do.

    Where they are few, up to the class's bound, shortened as the pool's jobs are expected to end early.
    """
    share = median(run / limit for limit, run in stock.lengths) if stock.lengths else 1.0
    most = stock.pool.max_time_min
    last_s = LONGEST_S if most >= UNLIMITED else 60.0 * most
    lengths: list[Length] = []
    above = Length(0.0, 1.0)
    for bound in (*(60.0 * minutes for minutes in WAIT_LENGTHS_MIN), last_s):
        bound_s = max(bound, above.limit_s + 1.0)
        alike = [one for one in stock.lengths if above.limit_s < one.limit_s <= bound_s]
        limit_s, run_s = bound_s, share * bound_s
        if len(alike) >= ENOUGH_JOBS:
            limit_s, run_s = median(one.limit_s for one in alike), median(one.run_s for one in alike)
        lengths.append(Length(limit_s, max(run_s, lengths[-1].run_s if lengths else 1.0)))
        above = Length(bound_s, run_s)
    return lengths

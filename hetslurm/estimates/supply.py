"""What nodes have free, now and as their jobs end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from hetslurm.cluster import UNLIMITED, Gres, Node, QueuedJob

HORIZON_S = 30 * 86400.0
# A job past its end is being killed; a node that is allocated by no job we see is being cleaned.
SETTLE_S = 60.0

Steps = tuple[tuple[float, float], ...]


class Hold(NamedTuple):
    """What one running job has of one node, until when (seconds from now), its limit and expected run."""

    until_s: float
    cpus: int
    mem_mb: int
    gres: tuple[Gres, ...]
    limit_s: float
    run_s: float


def holds_by_node(jobs: Iterable[QueuedJob], now: float) -> dict[str, list[Hold]]:
    """What running jobs hold of each node, by time of release. A job's cpus count evenly over its nodes."""
    holds: dict[str, list[Hold]] = {}
    for job in jobs:
        if not job.node_names or job.state == "PENDING":
            continue
        cpus = -(-job.cpus // len(job.node_names))
        minutes = job.time_limit_min
        limit = HORIZON_S if minutes is None else min(60.0 * minutes, HORIZON_S)
        left = _seconds_left(job, now)
        run = limit if job.start_at is None else min(now - job.start_at + left, limit)
        hold = Hold(left, cpus, job.mem_mb_per_node, job.gres, max(limit, 1.0), max(run, 1.0))
        for name in job.node_names:
            holds.setdefault(name, []).append(hold)
    for held in holds.values():
        if len(held) > 1:
            held.sort(key=lambda hold: hold.until_s)
    return holds


def _seconds_left(job: QueuedJob, now: float) -> float:
    """Until the predicted end while that is to come; a job that overran it has until its limit."""
    if job.predicted_run_s is not None and job.start_at is not None:
        left = job.start_at + job.predicted_run_s - now
        if left > 0:
            return min(left, HORIZON_S)
    if job.end_at is not None:
        return min(max(job.end_at - now, SETTLE_S), HORIZON_S)
    if job.start_at is None or job.time_limit_min in {None, UNLIMITED}:
        return HORIZON_S
    return min(max(job.start_at + 60.0 * (job.time_limit_min or 0) - now, SETTLE_S), HORIZON_S)


def release_steps(node: Node, kind: str, type_: str, held: Sequence[Hold]) -> Steps:
    """(seconds from now, units free from then on), rising in both: the first is at 0, the last has all."""
    full = float(node.units(kind, type_))
    free = min(float(node.free_units(kind, type_)), full)
    steps = [(0.0, free)]
    if free >= full:
        return tuple(steps)
    types = {g.type for g in node.gres if g.name == kind}
    mine = {type_} if type_ else {""}
    cpus, mem_mb = node.cpus - node.cpus_allocated, node.mem_mb_allocated
    used = sum(g.count for g in node.gres_used if g.name == kind and (g.type in mine or g.type not in types))
    for hold in held:
        cpus += hold.cpus
        mem_mb -= hold.mem_mb
        used -= sum(g.count for g in hold.gres if g.name == kind and (g.type in mine or g.type not in types))
        if cpus <= 0 or (mem_mb > 0 and mem_mb >= node.mem_mb):
            continue
        now_free = min(full, cpus if kind == "cpu" else full - max(used, 0))
        if now_free > steps[-1][1]:
            steps.append((hold.until_s, now_free))
    if steps[-1][1] < full:
        steps.append((max(SETTLE_S, held[-1].until_s if held else 0.0), full))
    return tuple(steps)


@dataclass(slots=True)
class Supply:
    """The nodes of a pool that jobs can use: how many stand idle, and when the others come free."""

    idle: int
    busy: list[Steps]
    per_node: float

    def when_nodes(self, count: int, units: float) -> float:
        """When `count` nodes have `units` free each, as far as running jobs decide (seconds from now)."""
        missing = count - self.idle
        if missing <= 0:
            return 0.0
        if missing > len(self.busy):
            return HORIZON_S
        times = sorted(next(at for at, free in steps if free >= units) for steps in self.busy)
        return times[missing - 1]

    def free_now(self) -> float:
        """Units free now."""
        return self.idle * self.per_node + sum(steps[0][1] for steps in self.busy)

    def releases(self) -> list[tuple[float, float]]:
        """(seconds from now, units that come free)."""
        return [(at, free - before) for steps in self.busy for (_, before), (at, free) in pairwise(steps)]

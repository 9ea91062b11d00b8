"""What nodes have free, now and as their jobs end. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from hetslurm.cluster import UNLIMITED, Gres, Node, QueuedJob
from hetslurm.estimates.usage import Usage

HORIZON_S = 30 * 86400.0
# A job past its end is being killed; a node that is allocated by no job we see is being cleaned.
SETTLE_S = 60.0

# More different nodes with reservations than this are not searched one by one.
MANY_KEPT = 64

# Nothing is known of jobs beyond what they carry.
NO_RUNS: Mapping[int, float] = MappingProxyType({})

Steps = tuple[tuple[float, float], ...]


class Hold(NamedTuple):
    """What one running job has of one node, until when (seconds from now), its limit and expected run."""

    until_s: float
    cpus: int
    mem_mb: int
    gres: tuple[Gres, ...]
    limit_s: float
    run_s: float


def holds_by_node(
    jobs: Iterable[QueuedJob], now: float, usage: Usage | None = None, runs: Mapping[int, float] = NO_RUNS
) -> dict[str, list[Hold]]:
    """What running jobs hold of each node, by time of release. A job's cpus count evenly over its nodes.

    `runs`: how long jobs are expected to run by now, seconds by job id.
    """
    holds: dict[str, list[Hold]] = {}
    for job in jobs:
        if not job.node_names or job.state == "PENDING":
            continue
        cpus = -(-job.cpus // len(job.node_names))
        minutes = job.time_limit_min
        limit = HORIZON_S if minutes is None else min(60.0 * minutes, HORIZON_S)
        left = _seconds_left(job, now, usage, runs.get(job.job_id))
        run = limit if job.start_at is None else min(now - job.start_at + left, limit)
        hold = Hold(left, cpus, job.mem_mb_per_node, job.gres, max(limit, 1.0), max(run, 1.0))
        for name in job.node_names:
            holds.setdefault(name, []).append(hold)
    for held in holds.values():
        if len(held) > 1:
            held.sort(key=lambda hold: hold.until_s)
    return holds


def _seconds_left(job: QueuedJob, now: float, usage: Usage | None, newest_s: float | None) -> float:
    """Until the predicted end while that is to come, then its limit; without one, as its user's jobs do.

    A job that outran the newest estimate may still end as it was placed with.
    """
    foretold = [run for run in (newest_s, job.predicted_run_s) if run is not None]
    if foretold and job.start_at is not None:
        for run_s in foretold:
            left = job.start_at + run_s - now
            if left > 0:
                return min(left, HORIZON_S)
    elif usage is not None and job.start_at is not None and job.time_limit_min not in {None, UNLIMITED}:
        so_far = now - job.start_at
        run = usage.run_s(job.user, 60.0 * (job.time_limit_min or 0), so_far)
        if run is not None and run > so_far:
            return min(run - so_far, HORIZON_S)
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
    """The nodes of a pool that jobs can use: how many stand idle, and when the others come free.

    `kept` are nodes with reservations: theirs may fall as well as rise.
    """

    idle: int
    busy: list[Steps]
    per_node: float
    kept: list[Steps] = field(default_factory=list)
    _counted: Counter[Steps] | None = None

    @property
    def nodes(self) -> int:
        """All that are there, now or later."""
        return self.idle + len(self.busy) + len(self.kept)

    def when_nodes(self, count: int, units: float, limit_s: float) -> float:
        """When `count` nodes have `units` free each, as far as running jobs and reservations decide.

        Seconds from now. `limit_s` is the limit of the job that wants them: a reservation is never run into.
        In a pool with reservations on very many nodes the profile alone sees to that.
        """
        missing = count - self.idle
        if missing <= 0:
            return 0.0
        if missing > len(self.busy) + len(self.kept):
            return HORIZON_S
        times = [next(at for at, free in steps if free >= units) for steps in self.busy]
        alike = self._alike()
        length_s = limit_s if len(alike) <= MANY_KEPT else 0.0
        times += [at for steps, n in alike.items() for at in [first_gap(steps, units, length_s)] * n]
        return sorted(times)[missing - 1]

    def _alike(self) -> Counter[Steps]:
        if self._counted is None:
            self._counted = Counter(self.kept)
        return self._counted

    def free_now(self) -> float:
        """Units free now."""
        return self.idle * self.per_node + sum(steps[0][1] for steps in (*self.busy, *self.kept))

    def changes(self) -> list[tuple[float, float]]:
        """(seconds from now, units that come free; fewer than 0: that are taken)."""
        steps_of = (*self.busy, *self.kept)
        return [(at, free - before) for steps in steps_of for (_, before), (at, free) in pairwise(steps)]


def first_gap(steps: Steps, units: float, length_s: float) -> float:
    """The first time from which a node has `units` for `length_s` on end."""
    since: float | None = None
    for at, free in steps:
        if since is not None and at >= since + length_s:
            return since
        if free < units:
            since = None
        elif since is None:
            since = at
    return HORIZON_S if since is None else since

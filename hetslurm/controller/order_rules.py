"""Short jobs first, within bounds: what is given, what age is worth beside it, what must change. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from hetslurm.cluster import PriorityRules
from hetslurm.controller.cycle import RecordedJob
from hetslurm.native.kernel import order_points
from hetslurm.site import OrderSite

NO_FACTORS = (
    "short-first has no effect: slurm.conf says PriorityType={type}; a site's factor counts with "
    "PriorityType=priority/multifactor"
)
NO_DATABASE = (
    "short-first gives nothing: without slurmdbd no job ages in Slurm, and short jobs could keep a long one "
    "waiting for ever"
)
NO_AGE = (
    "short-first gives nothing: PriorityWeightAge is 0, and short jobs could keep a long one waiting for "
    "ever; set it to {points} or more in slurm.conf"
)
LESS_AGE = (
    "short-first gives up to {weight} points, not {points}: with more than PriorityWeightAge={weight}, short "
    "jobs could keep a long one waiting for ever"
)


@dataclass(frozen=True, slots=True)
class Order:
    """The order in force. `points` is the most that a job gets, 0: none; `problem`: why less than wanted."""

    mode: str = "off"
    points: int = 0
    shortest_s: float = 60.0
    longest_s: float = 7 * 86400.0
    rules: PriorityRules = PriorityRules()
    problem: str | None = None

    def points_of(self, run_s: float | None) -> int:
        """What a job gets for its predicted run; none where nothing was predicted."""
        if not self.points or run_s is None:
            return 0
        return order_points(run_s, self.points, self.shortest_s, self.longest_s)

    @property
    def halving_points(self) -> float:
        """What each halving of the run is worth."""
        return self.points * math.log(2.0) / math.log(self.longest_s / self.shortest_s)

    @property
    def halving_age_s(self) -> float | None:
        """How much longer a job must have waited to make up for it, s; None: age counts nothing."""
        if self.rules.weight_age <= 0:
            return None
        return self.halving_points / self.rules.weight_age * self.rules.max_age_s


def order_in_force(wanted: OrderSite, rules: PriorityRules) -> Order:
    """What the site wants, as far as Slurm heeds it and nobody starves.

    A job that has waited PriorityMaxAge has all of PriorityWeightAge; with points up to that, nothing that
    comes later and is alike otherwise passes it.
    """
    if wanted.mode == "off":
        return Order("off", 0, wanted.shortest_s, wanted.longest_s, rules)
    points, problem = wanted.points, None
    if not rules.has_factors:
        points, problem = 0, NO_FACTORS.format(type=rules.type)
    elif not rules.has_database:
        points, problem = 0, NO_DATABASE
    elif rules.weight_age <= 0:
        points, problem = 0, NO_AGE.format(points=wanted.points)
    elif rules.weight_age < points:
        problem = LESS_AGE.format(weight=rules.weight_age, points=points)
        points = rules.weight_age
    return Order(wanted.mode, points, wanted.shortest_s, wanted.longest_s, rules, problem)


def as_published(order: Order, wanted: OrderSite) -> OrderSite:
    """The site's order for the snapshot: the plugin gives what the controller would."""
    if not order.points:
        return replace(wanted, mode="off")
    return replace(wanted, points=order.points)


def out_of_line(
    jobs: Iterable[RecordedJob], factors: Mapping[int, int], order: Order
) -> list[tuple[RecordedJob, int]]:
    """Pending jobs of ours whose factor is not what their run deserves, and what it is; the largest first.

    Held jobs have no factor that Slurm shows; they come once they are released.
    """
    wrong = []
    for one in jobs:
        if one.job.state != "PENDING" or one.job.job_id not in factors:
            continue
        points = order.points_of(one.record.run_s if one.record.state == "placed" else None)
        if factors[one.job.job_id] != points:
            wrong.append((one, points))
    return sorted(wrong, key=lambda each: -each[1])

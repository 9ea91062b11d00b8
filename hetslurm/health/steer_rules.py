"""Which weight Slurm should give a node, so that of two nodes that fit it takes the well one. Pure.

Bands and not a continuous function: health goes up and down with every finding, a weight should not. The
hysteresis of the rules (`health.clear_s`) is the bands', too; speed, which has none, gets one here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from hetslurm.cluster import Node
from hetslurm.health.feed import is_asleep
from hetslurm.health.judgement import KINDS, Judgement

SOUND = 0.85  # of health
SLOW, FAST_AGAIN = 0.9, 0.93  # of speed
# Slurm 22.05 shifts a weight left by 8 bits in 32: from 2**24 on, a node comes first instead of last.
MOST_WEIGHT = 2**24 - 1
# A slurmctld that dies may come back with the weight that it saved before we put it back (dynamic nodes).
KEEP_S = 60.0
# A node that left slurm.conf may return; one of a cloud's many names does not.
GONE_S = 30 * 86400.0


class Band(IntEnum):
    """How far back in the queue of nodes; the value is what is added to the node's own weight."""

    WELL = 0
    POORLY = 1_000
    SICK = 1_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """A node's band, and why it is in it."""

    band: Band
    why: str


@dataclass(frozen=True, slots=True)
class Steered:
    """A node whose weight is, was just or is about to be raised by us.

    `base` is the weight that it has without us: slurm.conf's, or the last that an admin set. `wanted` is what
    it should have, since Unix seconds `since`.
    """

    node: str
    base: int
    wanted: int
    since: float

    @property
    def is_raised(self) -> bool:
        """Whether it should have more than its own weight."""
        return self.wanted != self.base

    def knows(self, weight: int) -> bool:
        """Whether we, or slurm.conf, may have set this weight. No: an admin did."""
        return weight in (self.base, self.wanted, *(raised(self.base, band) for band in Band))


def raised(base: int, band: Band) -> int:
    """The weight of a node in this band, as far as Slurm's numbers go."""
    return max(base, min(base + band, MOST_WEIGHT))


def follow(kept: Steered | None, node: str, weight: int, band: Band, now: float) -> Steered | None:
    """What to remember of a node that Slurm shows with `weight`; None: nothing, it is as its admin wants it.

    The weight has to be set where `wanted` is another. What was put back is remembered for KEEP_S.
    """
    if kept is None or not kept.knows(weight):
        fresh = Steered(node, weight, raised(weight, band), now)
        return fresh if fresh.is_raised else None
    wanted = raised(kept.base, band)
    if wanted != kept.wanted:
        return replace(kept, wanted=wanted, since=now)
    is_over = weight == wanted == kept.base and now - kept.since >= KEEP_S
    return None if is_over else kept


def judge_bands(
    nodes: Mapping[str, Node], judgement: Judgement, floor: float, steered: Collection[str]
) -> dict[str, Verdict]:
    """The band of every node that is not well, and of those in `steered`.

    A node of which nothing new is known (never heard, the bus suspected) is left out: it stays as it is.
    One that Slurm has powered down is well: what was heard of it is no sign of what will come up.
    """
    verdicts = {
        name: Verdict(Band.WELL, "powered down")
        for name in steered
        if (node := nodes.get(name)) is not None and is_asleep(node)
    }
    if not judgement.names:
        return verdicts
    known = judgement.heard | judgement.silent
    bad = (judgement.health < max(SOUND, floor)).any(axis=1) | (judgement.speed < FAST_AGAIN).any(axis=1)
    asked = np.fromiter((name in steered for name in judgement.names), bool, len(judgement.names))
    rows = np.flatnonzero(known & (bad | asked))
    healths, speeds = judgement.health[rows].tolist(), judgement.speed[rows].tolist()
    for row, of_health, of_speed in zip(rows.tolist(), healths, speeds, strict=True):
        name = judgement.names[row]
        node = nodes.get(name)
        if node is None or is_asleep(node):
            continue
        offered = [i for i, kind in enumerate(KINDS) if kind == "cpu" or node_offers(node, kind)]
        worst, slowest = min(of_health[i] for i in offered), min(of_speed[i] for i in offered)
        verdict = judge_band(worst, slowest, floor, was_raised=name in steered)
        if verdict.band or name in steered:
            verdicts[name] = verdict
    return verdicts


def node_offers(node: Node, kind: str) -> bool:
    """Whether Slurm may give jobs devices of this kind there."""
    return any(gres.name == kind and gres.count for gres in node.gres)


def judge_band(health: float, speed: float, floor: float, *, was_raised: bool) -> Verdict:
    """The band of a node with this health and speed, of the worst kind that it offers."""
    if health < floor:
        return Verdict(Band.SICK, f"health {health:.2f}")
    if health < SOUND:
        return Verdict(Band.POORLY, f"health {health:.2f}")
    if speed < (FAST_AGAIN if was_raised else SLOW):
        return Verdict(Band.POORLY, f"speed {speed:.2f}")
    return Verdict(Band.WELL, "well")

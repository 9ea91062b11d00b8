"""What placement gets of a judgement: nodes unfit for new jobs, and pools' health, speed and risk. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hetslurm.cluster import Cluster, Node
from hetslurm.estimate import Estimate, Source
from hetslurm.health.judgement import KINDS, Judgement
from hetslurm.pool import Pool
from hetslurm.site import HealthSite

MOST_RISK = 4.0
_POWER = frozenset({"POWERED_DOWN", "POWERING_UP", "POWER_UP", "POWERING_DOWN", "POWER_DOWN"})


def is_asleep(node: Node) -> bool:
    """Slurm powers it down, up, or has: whatever was heard of it last, it is no sign of illness now."""
    return bool(node.state & _POWER)


def asleep(cluster: Cluster) -> frozenset[str]:
    """Names of the nodes that Slurm's power saving has in hand."""
    return frozenset(node.name for node in cluster.nodes if is_asleep(node))


def unfit(cluster: Cluster, judgement: Judgement, site: HealthSite) -> Cluster:
    """The cluster with `unfit_kinds` of nodes whose health is below the floor."""
    sick = np.flatnonzero((judgement.health < site.floor).any(axis=1)) if judgement.names else ()
    kinds: dict[str, frozenset[str]] = {}
    for row in sick:
        below = frozenset(
            k for k, h in zip(KINDS, judgement.health[row].tolist(), strict=True) if h < site.floor
        )
        kinds[judgement.names[row]] = frozenset({"cpu"}) if "cpu" in below else below
    if not kinds:
        return cluster
    return replace(
        cluster,
        nodes=tuple(
            replace(node, unfit_kinds=node.unfit_kinds | kinds[node.name])
            if node.name in kinds and not is_asleep(node)
            else node
            for node in cluster.nodes
        ),
    )


def with_health(pools: Sequence[Pool], cluster: Cluster, judgement: Judgement) -> list[Pool]:
    """The pools with what is measured of their nodes; `cluster` has been through `unfit`.

    Health and speed are means over the usable nodes that are fit (all of a pool's nodes offer as many
    units), or over the unfit where none is fit. A node that nobody heard counts as healthy. Where a run
    survives with probability h, it takes 1/h runs on average until one does: that is the risk, at most
    `MOST_RISK`, since health is a judgement and no probability.
    """
    if not judgement.names:
        return list(pools)
    row_of = {name: row for row, name in enumerate(judgement.names)}
    nodes = {node.name: node for node in cluster.nodes if node.is_usable}
    return [_fed(pool, nodes, judgement, row_of) for pool in pools]


def _fed(pool: Pool, nodes: dict[str, Node], judgement: Judgement, row_of: dict[str, int]) -> Pool:
    usable = [node for name in pool.node_names if (node := nodes.get(name)) is not None]
    fit = [node for node in usable if not node.unfit_kinds or node.is_fit(pool.kind)] or usable
    rows = np.array([row for node in fit if (row := row_of.get(node.name)) is not None], np.int64)
    if not len(rows):
        return pool
    kind = KINDS.index(pool.kind) if pool.kind in KINDS else 0
    unheard = len(fit) - len(rows)
    health = (float(judgement.health[rows, kind].sum()) + unheard) / len(fit)
    speed = (float(judgement.speed[rows, kind].sum()) + unheard) / len(fit)
    known = bool(judgement.heard[rows].any() or judgement.silent[rows].any() or health < 1.0)
    fed = replace(
        pool,
        health=Estimate(health, Source.MEASURED if known else Source.DEFAULT),
        risk=pool.risk * risk_of(health),
    )
    if judgement.measured[rows, kind].any():
        fed = replace(fed, speed=Estimate(pool.speed.value * speed, Source.MEASURED))
    return _with_bitstream(fed, fit, judgement) if pool.kind == "fpga" else fed


def risk_of(health: float) -> float:
    """Runs that it takes on average until one survives, in [1, MOST_RISK]."""
    return min(MOST_RISK, 1.0 / max(health, 1.0 / MOST_RISK))


def _with_bitstream(pool: Pool, nodes: Sequence[Node], judgement: Judgement) -> Pool:
    """What most of the free cards have loaded, or of all cards where none is free."""
    free = [node for node in nodes if node.free_units(pool.kind, pool.type) > 0] or nodes
    loaded = Counter(
        card for node in free for card in judgement.bitstreams.get(node.name, ()) if card != ("", "")
    )
    if not loaded:
        return pool
    (uuid, name), _ = min(loaded.items(), key=lambda item: (-item[1], item[0]))
    return replace(pool, bitstream=name, bitstream_id=uuid)

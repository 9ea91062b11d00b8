"""Which nodes to drain, to undrain, to leave alone: what follows from Slurm, findings and ledger. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hetslurm.cluster import Node
from hetslurm.health.drain_breaker import Breaker, judge_breaker
from hetslurm.health.drain_entry import HOLDING, Entry, State, drain_text, is_drained, newest, obstacle
from hetslurm.health.drain_follow import follow
from hetslurm.health.drain_scene import (
    Action,
    Drain,
    Hard,
    Reassert,
    Scene,
    Settle,
    Undrain,
    Withhold,
    hard_findings,
    heard_nodes,
    pardons,
    unpardoned,
)

_ORDER: tuple[type[Action], ...] = (Settle, Undrain, Reassert, Withhold, Drain)


def plan_breaker(before: Breaker, scene: Scene) -> Breaker:
    """The breaker in this scene. Nodes that the ledger has known for longer than the window are no news."""
    known, window = newest(scene.entries), scene.site.burst_window_s
    failing = {}
    for node, hard in hard_findings(scene.judgement).items():
        entry = known.get(node)
        if entry is None or not entry.is_live or entry.created_at > scene.now - window:
            failing[node] = min(f.since for f in hard.values())
    groups = {frozenset(scene.nodes), *(frozenset(pool.node_names) for pool in scene.pools)}
    return judge_breaker(before, failing, groups, scene.site, scene.now)


def plan_drains(scene: Scene) -> list[Action]:
    """What to do, in order: the ledger's notes, what to give back, what to restore, what to drain."""
    known = newest(scene.entries)
    hard = unpardoned(scene.judgement, scene.entries)
    heard = heard_nodes(scene.judgement)
    told = [action for entry in known.values() if (action := follow(scene, entry, heard, hard)) is not None]
    told += _new_drains(scene, known, hard, heard, told)
    return sorted(told, key=lambda action: _ORDER.index(type(action)))


def _new_drains(
    scene: Scene,
    known: Mapping[str, Entry],
    hard: Hard,
    heard: frozenset[str],
    told: Sequence[Action],
) -> list[Action]:
    spoken_for = {action.entry.node for action in told if not isinstance(action, Drain | Withhold)}
    share = _Share(scene, known)
    actions: list[Action] = []
    for name in sorted(hard, key=lambda name: (min(f.since for f in hard[name].values()), name)):
        entry, node = known.get(name), scene.nodes.get(name)
        if name in spoken_for or (entry and entry.state in HOLDING | {State.HANDED_OVER}):
            continue
        why = _why_not(scene, node, heard)
        if not why and node is not None:
            why = share.full(name)
        if why:
            actions.append(Withhold(name, why))
            continue
        share.take(name)
        found = hard[name]
        text = drain_text(list(found.values()))
        actions.append(Drain(name, text, frozenset(found), pardons(entry)))
    return actions


def _why_not(scene: Scene, node: Node | None, heard: frozenset[str]) -> str:
    if node is None:
        return "Slurm does not show it"
    if node.name not in heard:
        return "no fresh report: what is silent is not drained"
    why = obstacle(node)
    if not why and scene.breaker.is_open:
        return "the breaker is open: too many nodes fail together"
    return why


class _Share:
    """How many nodes of each pool are ours, against `pool_share`; nodes of no pool are one pool."""

    def __init__(self, scene: Scene, known: Mapping[str, Entry]) -> None:
        self._limit_share = scene.site.pool_share
        pools = {pool.name: frozenset(pool.node_names) for pool in scene.pools}
        rest = scene.nodes.keys() - frozenset[str]().union(*pools.values())
        self._pools = {**pools, "": frozenset(rest)}
        self._ours = {name for name, entry in known.items() if holds(entry, scene.nodes.get(name))}

    def full(self, node: str) -> str:
        """Why one more of this node's pools would be too much; "" when it would not."""
        for name, nodes in self._pools.items():
            ours = len(self._ours & nodes)
            if node in nodes and ours + 1 > max(1, int(self._limit_share * len(nodes) + 1e-9)):
                pool = f"pool {name}" if name else "the nodes of no pool"
                return f"{ours} of the {len(nodes)} nodes of {pool} are drained by hetslurm already"
        return ""

    def take(self, node: str) -> None:
        self._ours.add(node)


def holds(entry: Entry, node: Node | None) -> bool:
    """Whether this entry keeps its node out: for `pool_share`."""
    if entry.state is State.HANDED_OVER:
        return node is not None and is_drained(node) and node.reason == entry.reason
    return entry.state in HOLDING

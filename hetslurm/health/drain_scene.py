"""What the drain rules look at, and what they may answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hetslurm.cluster import Node
from hetslurm.health.drain_breaker import Breaker
from hetslurm.health.drain_entry import Entry, State, finding_key, newest
from hetslurm.health.judgement import Finding, Judgement
from hetslurm.pool import Pool
from hetslurm.site import DrainSite

Hard = Mapping[str, Mapping[str, Finding]]


@dataclass(frozen=True, slots=True)
class Drain:
    """Drain a node for these findings (keys); `text` is what the reason says of them."""

    node: str
    text: str
    findings: frozenset[str]
    pardoned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Undrain:
    """Take our own drain back: the node has been well for long enough."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class Reassert:
    """Drain again what Slurm itself let go."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Nothing to do in Slurm: the ledger takes note of what happened there."""

    entry: Entry
    state: State
    why: str
    pardoned: frozenset[str] = frozenset()
    pardon_until: float | None = None


@dataclass(frozen=True, slots=True)
class Withhold:
    """Something should be done with the node, and why it is not."""

    node: str
    why: str


Action = Drain | Undrain | Reassert | Settle | Withhold


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that the rules look at, at Unix seconds `now`.

    `entries`: the ledger's, of which the newest of each node decides. `quiet_since`: since when fresh reports
    of a node have had no hard finding but pardoned ones, `calm_since`: none at all; nodes of which neither
    holds are absent. `seen_at`: when this process last saw a drain of ours in place, `set_under`: the start
    of the slurmctld that it was set under. `updates`: slurmctld's count of node changes, `started_at`: its
    start; both only where an entry needs them.
    """

    nodes: Mapping[str, Node]
    judgement: Judgement
    entries: Sequence[Entry]
    pools: Sequence[Pool]
    site: DrainSite
    now: float
    breaker: Breaker = Breaker()
    quiet_since: Mapping[str, float] = field(default_factory=dict)
    calm_since: Mapping[str, float] = field(default_factory=dict)
    seen_at: Mapping[str, float] = field(default_factory=dict)
    set_under: Mapping[str, float] = field(default_factory=dict)
    updates: int | None = None
    started_at: float | None = None


def hard_findings(judgement: Judgement) -> dict[str, dict[str, Finding]]:
    """By node and key, those for which a node should be drained."""
    found = {
        node: {finding_key(f): f for f in findings if f.is_hard and f.counts}
        for node, findings in judgement.findings.items()
    }
    return {node: hard for node, hard in found.items() if hard}


def heard_nodes(judgement: Judgement) -> frozenset[str]:
    """Nodes with a fresh report."""
    return frozenset(
        name for name, heard in zip(judgement.names, judgement.heard.tolist(), strict=True) if heard
    )


def follow_quiet(
    before: Mapping[str, float], heard: Iterable[str], loud: Iterable[str], now: float
) -> dict[str, float]:
    """Since when each node has been heard without a break and was not loud; a silence begins it anew."""
    return {node: before.get(node, now) for node in frozenset(heard) - frozenset(loud)}


def unpardoned(judgement: Judgement, entries: Iterable[Entry]) -> dict[str, dict[str, Finding]]:
    """`hard_findings` without those that an admin let pass."""
    known = newest(entries)
    kept = {
        node: {key: f for key, f in hard.items() if key not in pardons(known.get(node))}
        for node, hard in hard_findings(judgement).items()
    }
    return {node: hard for node, hard in kept.items() if hard}


def pardons(entry: Entry | None) -> frozenset[str]:
    """Keys of the findings for which an admin does not want this node drained."""
    return entry.pardoned if entry is not None and entry.is_live else frozenset()

"""Where a rule holds, and what follows from all that hold: health and findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hetslurm.health.columns import Columns, Floats, Ints, Mask
from hetslurm.health.judgement import KINDS, Finding
from hetslurm.health.memory import Trace
from hetslurm.health.rule import NodeRule, Rule
from hetslurm.health.rules import SILENT
from hetslurm.site import HealthSite
from hetslurm.telemetry import KIND_OF_PROBE


@dataclass(frozen=True, slots=True)
class Raised:
    """A rule that holds somewhere: on nodes (by slot) `nodes`, rows `index`, with a text each."""

    rule: Rule | NodeRule
    probe: str
    trace: Trace
    slots: Ints
    nodes: Ints
    index: Ints
    texts: Callable[[int], str]
    is_device: bool = False


def step(trace: Trace, fires: Mask, known: Mask, now: float, rule: Rule | NodeRule, site: HealthSite) -> None:
    trace.step(
        fires,
        known,
        now,
        raise_after=rule.raise_after,
        hard_after=rule.hard_after,
        clear_s=site.clear_s,
    )


def raise_on_nodes(
    rule: NodeRule, probe: str, trace: Trace, text: Callable[[int], str], found: list[Raised]
) -> None:
    if not trace.is_idle and trace.raised.any():
        slots = np.flatnonzero(trace.raised)
        found.append(Raised(rule, probe, trace, slots, slots, np.zeros(len(slots), np.int64), text))


def health_of(board: Columns, found: list[Raised], silent: Mask, site: HealthSite) -> Floats:
    """Product of factors for the node itself; the worst device's product for each kind of device."""
    health = np.ones((board.nodes.size, len(KINDS)))
    devices: dict[str, Floats] = {}
    for one in found:
        if one.rule.name in site.store_only:
            continue
        left = np.where(one.trace.hard[one.slots], 0.0, one.rule.factor)
        if one.is_device:
            of = devices.setdefault(one.probe, np.ones(board.probes[one.probe].size))
            of[one.slots] *= left
        else:
            kind = KINDS.index(KIND_OF_PROBE.get(one.probe, "cpu"))
            np.multiply.at(health[:, kind], one.nodes, left)
    for probe, of in devices.items():
        sick = np.flatnonzero(of < 1.0)
        column = health[:, KINDS.index(KIND_OF_PROBE[probe])]
        worst = np.ones(len(column))
        np.minimum.at(worst, board.probes[probe].node[sick], of[sick])
        column *= worst
    if not {SILENT.name} & (site.store_only | site.ignore):
        health[silent, 0] *= SILENT.factor
    health[:, 1:] *= health[:, :1]
    return health


def findings_of(
    board: Columns, found: list[Raised], silent: Mask, site: HealthSite, now: float
) -> dict[str, tuple[Finding, ...]]:
    by_node: dict[int, list[Finding]] = {}
    for one in found:
        counts = one.rule.name not in site.store_only
        for slot, node, index in zip(one.slots.tolist(), one.nodes.tolist(), one.index.tolist(), strict=True):
            is_hard = bool(one.trace.hard[slot])
            by_node.setdefault(node, []).append(
                Finding(
                    probe=one.probe,
                    index=index,
                    rule=one.rule.name,
                    text=one.texts(slot),
                    since=float(one.trace.since[slot]),
                    is_hard=is_hard and counts,
                    counts=counts,
                    factor=0.0 if is_hard else one.rule.factor,
                )
            )
    if SILENT.name not in site.ignore:
        counts = SILENT.name not in site.store_only
        for node in np.flatnonzero(silent).tolist():
            last = float(board.nodes.received_at[node])
            by_node.setdefault(node, []).append(
                Finding(
                    "",
                    0,
                    SILENT.name,
                    f"no report for {now - last:.0f} s",
                    last,
                    False,
                    counts,
                    SILENT.factor,
                )
            )
    return {
        board.names[node]: tuple(sorted(findings, key=lambda f: (not f.is_hard, f.factor, f.rule, f.index)))
        for node, findings in by_node.items()
    }

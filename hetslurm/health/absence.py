"""Probes that fail or stop, devices that vanish, clocks that are far off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hetslurm.health.columns import Columns, Mask, ProbeTable
from hetslurm.health.memory import Memory, TableMemory, Trace
from hetslurm.health.raised import Raised, raise_on_nodes, step
from hetslurm.health.rules import CLOCK_SKEW, FAILED, STALE, VANISHED
from hetslurm.site import HealthSite
from hetslurm.telemetry import KIND_OF_PROBE, ProbeState

Declared = Callable[[str, str], int]
# A munge credential is refused once the clocks of its maker and its reader are 300 s apart.
SKEW_S = 120.0
# A probe whose beat nobody knows yet is not stale before.
FIRST_STALE_S = 300.0
LEAST_STALE_S = 60.0


def judge_runs(
    board: Columns,
    table: ProbeTable,
    remembered: TableMemory,
    fresh: Mask,
    heard: Mask,
    site: HealthSite,
    now: float,
    found: list[Raised],
) -> None:
    """Probes that fail, and probes that have stopped while their agent goes on."""
    runs = table.on_node
    size = board.nodes.size
    state = runs.state[:size]
    failed = FAILED[table.probe]
    if failed.name not in site.ignore:
        trace = remembered.by_node.setdefault(failed.name, Trace())
        fires = fresh & (state >= ProbeState.FAILED)
        step(trace, fires, fresh & (state != ProbeState.PENDING), now, failed, site)

        def why(node: int) -> str:
            said = table.messages.get(node, "")
            return f"the {table.probe} probe {ProbeState(int(state[node])).label}" + (
                f": {said}" if said else ""
            )

        raise_on_nodes(failed, table.probe, trace, why, found)
    stale = STALE[table.probe]
    if stale.name not in site.ignore:
        trace = remembered.by_node.setdefault(stale.name, Trace())
        beat = np.fmax(runs.interval_s[:size], board.nodes.beat_s)
        patience = np.where(
            np.isnan(runs.interval_s[:size]),
            FIRST_STALE_S,
            np.maximum(site.silent_beats * beat, LEAST_STALE_S),
        )
        # Where there is no device, agents look again only now and then.
        looks = (state != ProbeState.PENDING) & (state != ProbeState.ABSENT)
        ran = heard & ~np.isnan(runs.sampled_at[:size]) & looks
        step(trace, ran & (now - runs.sampled_at[:size] > patience), ran, now, stale, site)

        def how_old(node: int) -> str:
            return f"no sample of the {table.probe} probe for {now - runs.sampled_at[node]:.0f} s"

        raise_on_nodes(stale, table.probe, trace, how_old, found)


def judge_vanished(
    board: Columns,
    table: ProbeTable,
    remembered: TableMemory,
    fresh_nodes: Mask,
    site: HealthSite,
    now: float,
    declared: Declared | None,
    found: list[Raised],
) -> None:
    """Devices that were there, and that a run that went well does not see any more."""
    rule = VANISHED[table.probe]
    if not table.size or rule.name in site.ignore:
        return
    state = table.on_node.state
    says = fresh_nodes & ((state == ProbeState.OK) | (state == ProbeState.ABSENT))
    fresh = (table.born > 0) & says[table.node]
    fires = fresh & ~table.present()
    trace = remembered.by_row.setdefault(rule.name, Trace())
    if declared is not None:
        for slot in np.flatnonzero(fires).tolist():
            name = board.names[int(table.node[slot])]
            fires[slot] = table.index[slot] < declared(name, KIND_OF_PROBE[table.probe])
    step(trace, fires, fresh, now, rule, site)
    if not trace.is_idle and trace.raised.any():
        slots = np.flatnonzero(trace.raised)

        def text(slot: int) -> str:
            return f"{table.probe} {int(table.index[slot])}: was there, and is not seen any more"

        found.append(
            Raised(rule, table.probe, trace, slots, table.node[slots], table.index[slots], text, True)
        )


def judge_clocks(
    board: Columns,
    memory: Memory,
    fresh: Mask,
    heard: Mask,
    site: HealthSite,
    now: float,
    found: list[Raised],
) -> None:
    """Clocks far from what most nodes have; with two nodes or one, from ours."""
    if CLOCK_SKEW.name in site.ignore or not heard.any():
        return
    skew = board.nodes.skew_s
    middle = float(np.median(skew[heard])) if int(heard.sum()) >= 3 else 0.0
    trace = memory.nodes.setdefault(CLOCK_SKEW.name, Trace())
    step(trace, fresh & (np.abs(skew - middle) > SKEW_S), fresh, now, CLOCK_SKEW, site)

    def text(node: int) -> str:
        return f"its clock is {skew[node] - middle:+.0f} s off"

    raise_on_nodes(CLOCK_SKEW, "", trace, text, found)

"""From the board to a judgement: rules with hysteresis, health, speed, silence. Pure but for its memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from hetslurm.health.absence import Declared, judge_clocks, judge_runs, judge_vanished
from hetslurm.health.columns import Columns, Floats, Mask
from hetslurm.health.judgement import Judgement
from hetslurm.health.memory import Memory, TableMemory, Trace
from hetslurm.health.raised import Raised, findings_of, health_of, step
from hetslurm.health.rows import Rows
from hetslurm.health.rule import Rule
from hetslurm.health.rules import RULES, VANISHED
from hetslurm.health.silence import judge_silence
from hetslurm.health.speed import judge_speed
from hetslurm.health.tell import bitstreams_of, tell_row
from hetslurm.site import HealthSite
from hetslurm.telemetry import KIND_OF_PROBE, PROBES, ProbeState

Baselines = Mapping[str, Floats]


def judge(
    board: Columns,
    memory: Memory,
    site: HealthSite,
    now: float,
    *,
    baselines: Baselines | None = None,
    asleep: Collection[str] = (),
    declared: Declared | None = None,
) -> Judgement:
    """Judge what is new on the board. `now` is Unix seconds.

    `baselines` maps a probe to float64 (RATE metrics, device slots). Nodes in `asleep` are powered down:
    they have nothing to say. `declared(node, kind)` is how many devices Slurm thinks that a node has:
    one past that may go without a finding.
    """
    nodes = board.nodes
    awake = nodes.born > 0
    if asleep:
        away = [slot for slot, name in enumerate(board.names) if name in asleep]
        awake[away] = False
    has_news = memory.follow(nodes)
    heard, silent = judge_silence(board, memory, site, now, awake)
    found: list[Raised] = []
    rows_of: dict[str, Rows] = {}
    with np.errstate(all="ignore"):
        for probe in PROBES:
            table = board.probes[probe]
            rows_of[probe] = Rows(table, now, site.limits, (baselines or {}).get(probe))
            remembered = memory.of(probe)
            fresh = remembered.follow(table, nodes)
            if not table.size and not fresh.any():
                continue
            _judge_rows(rows_of[probe], remembered, fresh, site, found)
            judge_runs(board, table, remembered, fresh & awake, heard, site, now, found)
            if probe in VANISHED:
                judge_vanished(board, table, remembered, fresh, site, now, declared, found)
        judge_clocks(board, memory, has_news & heard, heard, site, now, found)
        speed, measured = judge_speed(board, rows_of)
        health = health_of(board, found, silent, site)
    live = np.flatnonzero(nodes.born > 0)
    names = tuple(board.names[slot] for slot in live.tolist())
    return Judgement(
        at=now,
        names=names,
        health=health[live],
        speed=speed[live],
        heard=heard[live],
        silent=silent[live],
        findings=findings_of(board, found, silent, site, now),
        bitstreams=bitstreams_of(board, memory),
        bus_suspected=memory.bus_suspected,
        measured=measured[live],
    )


def _judge_rows(
    rows: Rows, remembered: TableMemory, fresh_nodes: Mask, site: HealthSite, found: list[Raised]
) -> None:
    """Rules on devices, where a run that went well has a new sample."""
    table = rows.table
    if not table.size:
        return
    good_run = fresh_nodes & (table.on_node.state == ProbeState.OK)
    fresh = table.present() & good_run[table.node]
    has_fresh = bool(fresh.any())
    for rule in RULES:
        if rule.probe != table.probe or rule.name in site.ignore:
            continue
        trace = remembered.by_row.setdefault(rule.name, Trace())
        if has_fresh:
            fires = rule.fires(rows) & fresh
            if fires.any() or not trace.is_idle:
                known = fresh & _known(rows, rule)
                step(trace, fires, known, rows.now, rule, site)
        if not trace.is_idle and trace.raised.any():
            slots = np.flatnonzero(trace.raised)
            found.append(
                Raised(
                    rule,
                    table.probe,
                    trace,
                    slots,
                    table.node[slots],
                    table.index[slots],
                    _teller(rows, rule),
                    table.probe in KIND_OF_PROBE,
                )
            )


def _teller(rows: Rows, rule: Rule) -> Callable[[int], str]:
    return lambda slot: tell_row(rows, rule, slot)


def _known(rows: Rows, rule: Rule) -> Mask:
    known = np.ones(rows.table.size, np.bool_)
    for metric in rule.metrics:
        known &= ~np.isnan(rows[metric])
    if not rule.metrics:
        ratio = rows.of_baseline()
        known &= False if ratio is None else np.isfinite(ratio).any(axis=0)
    return known

"""A board and what judging remembers, as a controller's last life left them: so that a restart heals nobody.

Without it a node with a broken device would be judged anew, by samples that know of no XID an hour ago.
"""

from __future__ import annotations

import numpy as np

from hetslurm.bus.board import Board
from hetslurm.bus.board_file import NODE_COLUMNS, RISE_COLUMNS, RUN_COLUMNS
from hetslurm.bus.board_view import BoardView
from hetslurm.health.columns import Ints
from hetslurm.health.memory import Memory, Trace
from hetslurm.health.rule import NodeRule, Rule
from hetslurm.health.rules import FAILED, RULES, STALE, VANISHED
from hetslurm.telemetry import UNKNOWN, ProbeState


def restore(board: Board, memory: Memory, view: BoardView) -> int:
    """Fill an empty board and memory; returns how many nodes there are now.

    Nodes count as not heard until they report, and have as long for it as after any start.
    """
    board.add(view.names)
    slots = [board.slot(name) for name in view.names]
    at = np.array([slot if slot is not None else -1 for slot in slots], np.int64)
    kept = np.flatnonzero(at >= 0)
    for name in NODE_COLUMNS:
        getattr(board.nodes, name)[at[kept]] = view.columns[f"nodes.{name}"][kept]
    silent = memory.follow(board.nodes)  # which makes room, and judges no old report again
    silent[:] = False
    silent[at[kept]] = view.columns["judged.silent"][kept] > 0
    memory.silent = silent
    for probe in board.probes:
        if probe in view.header.probes:
            _restore_probe(board, view, probe, at)
            memory.of(probe).follow(board.probes[probe], board.nodes)
    _restore_findings(board, memory, view)
    return len(board)


def _restore_probe(board: Board, view: BoardView, probe: str, at: Ints) -> None:
    table, column, words = board.probes[probe], view.columns, view.header.probes[probe]
    kept = np.flatnonzero(at >= 0)
    for name in RUN_COLUMNS:
        getattr(table.on_node, name)[at[kept]] = column[f"{probe}.{name}"][kept]
    np.clip(table.on_node.state, 0, max(ProbeState), out=table.on_node.state)
    for place in kept.tolist():
        facts = view.facts_of(probe, place)
        if facts:
            table.facts_version += 1
            table.facts[int(at[place])] = facts
            table.on_node.facts_version[at[place]] = table.facts_version
    said = {int(at[place]): text for place, text in words.messages.items() if 0 <= place < len(at)}
    table.messages.update({slot: text for slot, text in said.items() if slot >= 0})
    rows = np.flatnonzero(at[column[f"{probe}.node"]] >= 0)
    if not len(rows):
        return
    node, index = at[column[f"{probe}.node"][rows]], column[f"{probe}.index"][rows].astype(np.int64)
    table.room_for_nodes(table.on_node.size, int(index.max()) + 1)
    slots = table.occupy(len(rows))
    table.born[slots] = board.new_serials(len(slots))
    table.node[slots], table.index[slots] = node, index
    table.slots[node, index] = slots
    # By name: the file may be of a release that knew fewer metrics, or more.
    for there, metric in enumerate(words.metrics):
        if metric in table.place:
            table.values[table.place[metric], slots] = column[f"{probe}.values"][there, rows]
    of_row = np.full(len(column[f"{probe}.node"]), -1, np.int64)
    of_row[rows] = slots
    for there, metric in enumerate(words.counters):
        here = table.counter_place.get(metric)
        if here is None:
            continue
        last = column[f"{probe}.last"][there, rows]
        table.last[here, slots] = last
        table.values[table.place[metric], slots] = np.where(
            np.isnan(table.values[table.place[metric], slots]), UNKNOWN, last
        )
        rises = np.flatnonzero(column[f"{probe}.rise_counter"] == there)
        to = of_row[column[f"{probe}.rise_row"][rises]]
        for name in RISE_COLUMNS:
            getattr(table, name)[here, to[to >= 0]] = column[f"{probe}.{name}"][rises][to >= 0]


def _restore_findings(board: Board, memory: Memory, view: BoardView) -> None:
    """Raise again what was raised."""
    by_row: dict[str, Rule | NodeRule] = {rule.name: rule for rule in RULES}
    by_row |= {rule.name: rule for rule in VANISHED.values()}
    by_node: dict[str, NodeRule] = {rule.name: rule for of in (FAILED, STALE) for rule in of.values()}
    for name, findings in view.header.findings.items():
        node = board.slot(name)
        for finding in findings if node is not None else ():
            table = board.probes.get(finding.probe)
            if table is None or node is None:
                continue
            remembered = memory.of(finding.probe)
            rule: Rule | NodeRule
            if finding.rule in by_node:
                slot, size, rule = node, board.nodes.size, by_node[finding.rule]
                trace = remembered.by_node.setdefault(finding.rule, Trace())
            elif finding.rule in by_row and 0 <= finding.index < table.slots.shape[1]:
                slot, size = int(table.slots[node, finding.index]), table.size
                rule = by_row[finding.rule]
                trace = remembered.by_row.setdefault(finding.rule, Trace())
            else:
                continue
            if slot >= 0:
                bad = rule.hard_after if finding.is_hard else rule.raise_after
                trace.restore(
                    slot, size, since=finding.since, last_bad=view.judged_at, bad=bad, hard=finding.is_hard
                )

"""The board: the newest report of every node, in columns. One thread fills it, between judgements."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hetslurm.bus.board_samples import fill, whole_numbers
from hetslurm.bus.wire import Facts, ProbeReport, Report
from hetslurm.health.columns import Columns, Floats, Ints

MAX_NODES = 65536
# Devices of one probe, on average, for which a node has room; a node with more takes what others leave.
ROWS_PER_NODE = 32
_AGENT_MASK = 2**64 - 1


class Arrived(Protocol):
    """A report and when it came, Unix seconds of our clock."""

    @property
    def received_at(self) -> float:
        """Unix seconds."""
        ...

    @property
    def report(self) -> Report:
        """What it said."""
        ...


@dataclass(slots=True)
class BoardCounts:
    """What became of reports since the board was made; `lost`: never came, by the numbers of the others."""

    taken: int = 0
    lost: int = 0
    out_of_order: int = 0
    unknown_node: int = 0
    no_room: int = 0
    unknown_probe: int = 0
    rows_refused: int = 0


class Board(Columns):
    """Columns that reports fill. Memory is bounded by `max_nodes`, and by what a report may hold."""

    def __init__(self, *, max_nodes: int = MAX_NODES) -> None:
        super().__init__()
        self.counts = BoardCounts()
        self._max_nodes = max_nodes
        self._slot_of: dict[str, int] = {}
        self._allowed: frozenset[str] | None = None
        self._serials = itertools.count(1)

    def __len__(self) -> int:
        """Nodes that it knows."""
        return len(self._slot_of)

    def __contains__(self, name: object) -> bool:
        return name in self._slot_of

    def slot(self, name: str) -> int | None:
        """The node's slot in all columns by node."""
        return self._slot_of.get(name)

    def allow(self, names: Collection[str] | None) -> None:
        """From now on only these nodes have a place; None: any. Others are forgotten."""
        self._allowed = None if names is None else frozenset(names)
        if self._allowed is not None:
            self.forget([name for name in self._slot_of if name not in self._allowed])

    def forget(self, names: Iterable[str]) -> None:
        """Nodes that left: all that is known of them goes."""
        gone = [slot for name in names if (slot := self._slot_of.pop(name, None)) is not None]
        if not gone:
            return
        self.nodes.vacate(gone)
        for slot in gone:
            self.names[slot] = ""
        for table in self.probes.values():
            rows = table.slots[gone]
            table.vacate(rows[rows >= 0].tolist())
            table.slots[gone] = -1
            table.on_node.clear(gone)
            for slot in gone:
                table.messages.pop(slot, None)
                table.facts.pop(slot, None)
            table.facts_version += 1

    def take(self, arrivals: Sequence[Arrived]) -> None:
        """Take reports, oldest first. Nothing in a report can make this raise."""
        left = list(arrivals)
        while left:
            # A node that is there twice has its second turn after the others' first.
            now, later = _first_of_each(left)
            self._take(now)
            left = later

    def _take(self, arrivals: Sequence[Arrived]) -> None:
        slots = [self._slot_of.get(arrival.report.node, -1) for arrival in arrivals]
        if -1 in slots:
            arrivals, slots = self._join(arrivals, slots)
            if not arrivals:
                return
        nodes = self.nodes
        reports = [arrival.report for arrival in arrivals]
        at = np.array(slots, np.int64)
        agent = _agents([report.agent for report in reports])
        seq = whole_numbers([report.seq for report in reports])
        before = nodes.seq[at]
        same_life = (agent == nodes.agent[at]) & (before > 0)
        late = same_life & (seq <= before)
        if late.any():
            self.counts.out_of_order += int(late.sum())
            self._take(
                [arrival for arrival, is_late in zip(arrivals, late.tolist(), strict=True) if not is_late]
            )
            return
        received_at = np.array([arrival.received_at for arrival in arrivals])
        sent_at = np.array([report.sent_at for report in reports])
        lost = np.where(same_life, np.maximum(seq - before - 1, 0), 0)
        self.counts.lost += int(lost.sum())
        nodes.lost[at] += lost
        nodes.restarts[at] += ~same_life & (before > 0)
        nodes.reports[at] += 1
        nodes.agent[at] = agent
        nodes.seq[at] = seq
        nodes.received_at[at] = received_at
        nodes.sent_at[at] = sent_at
        nodes.skew_s[at] = sent_at - received_at
        nodes.beat_s[at] = [report.beat_s for report in reports]
        if not same_life.all():
            # Another agent counts its runs anew.
            for table in self.probes.values():
                table.on_node.runs[at[~same_life]] = -1
        self._take_probes(at, reports, received_at)
        self.counts.taken += len(reports)

    def _join(self, arrivals: Sequence[Arrived], slots: list[int]) -> tuple[list[Arrived], list[int]]:
        """Give newcomers slots; returns those that have one."""
        fresh: list[str] = []
        for arrival, slot in zip(arrivals, slots, strict=True):
            if slot >= 0:
                continue
            if self._allowed is not None and arrival.report.node not in self._allowed:
                self.counts.unknown_node += 1
            elif len(self._slot_of) + len(fresh) >= self._max_nodes:
                self.counts.no_room += 1
            else:
                fresh.append(arrival.report.node)
        self.add(fresh)
        found = [self._slot_of.get(arrival.report.node, -1) for arrival in arrivals]
        kept = [(arrival, slot) for arrival, slot in zip(arrivals, found, strict=True) if slot >= 0]
        return [arrival for arrival, _ in kept], [slot for _, slot in kept]

    def new_serials(self, count: int) -> list[int]:
        """Numbers for newcomers to slots, that nobody had before."""
        return [next(self._serials) for _ in range(count)]

    def add(self, names: Sequence[str]) -> None:
        """Make place for nodes that have none yet."""
        fresh = [name for name in dict.fromkeys(names) if name not in self._slot_of]
        slots = self.nodes.occupy(len(fresh))
        self.names.extend([""] * (self.nodes.used - len(self.names)))
        self.nodes.born[slots] = self.new_serials(len(fresh))
        for name, slot in zip(fresh, slots.tolist(), strict=True):
            self.names[slot] = name
            self._slot_of[name] = slot
        for table in self.probes.values():
            table.room_for_nodes(self.nodes.size, 1)

    def _take_probes(self, at: Ints, reports: Sequence[Report], received_at: Floats) -> None:
        """`at` has the reports' slots."""
        found: dict[str, tuple[list[int], list[ProbeReport]]] = {}
        with_facts = []
        for place, report in enumerate(reports):
            for probe in report.probes:
                group = found.get(probe.probe)
                if group is None:
                    group = found[probe.probe] = ([], [])
                group[0].append(place)
                group[1].append(probe)
            if report.facts is not None:
                with_facts.append(place)
        for name, (places, probes) in found.items():
            table = self.probes.get(name)
            if table is None:
                self.counts.unknown_probe += len(probes)
                continue
            # A report that has the probe twice says what it said last.
            newest = dict(zip(places, probes, strict=True)) if len(set(places)) < len(places) else None
            chosen = np.array(places if newest is None else list(newest), np.int64)
            self.counts.rows_refused += fill(
                table,
                at[chosen],
                probes if newest is None else list(newest.values()),
                received_at[chosen],
                serials=self._serials,
                max_rows=ROWS_PER_NODE * self._max_nodes,
            )
        for place in with_facts:
            self._take_facts(int(at[place]), reports[place].facts or {})

    def _take_facts(self, slot: int, facts: Facts) -> None:
        """Remember names. Where a name for life has changed, another device is in the old one's place."""
        for name, rows in facts.items():
            table = self.probes.get(name)
            if table is None or (before := table.facts.get(slot)) == rows:
                continue
            table.facts[slot] = rows
            table.facts_version += 1
            table.on_node.facts_version[slot] = table.facts_version
            for index, (old, new) in enumerate(zip(before or (), rows, strict=False)):
                if index < table.slots.shape[1] and old.get("id") != new.get("id"):
                    table.renew(int(table.slots[slot, index]), self._serials)


def _first_of_each(arrivals: list[Arrived]) -> tuple[list[Arrived], list[Arrived]]:
    names = {arrival.report.node for arrival in arrivals}
    if len(names) == len(arrivals):
        return arrivals, []
    first, rest = [], []
    for arrival in arrivals:
        if arrival.report.node in names:
            names.remove(arrival.report.node)
            first.append(arrival)
        else:
            rest.append(arrival)
    return first, rest


def _agents(values: list[int]) -> NDArray[np.uint64]:
    try:
        return np.array(values, np.uint64)
    except OverflowError:
        return np.array([value & _AGENT_MASK for value in values], np.uint64)

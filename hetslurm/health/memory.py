"""What judging remembers from one time to the next: hysteresis of every rule, who was silent."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hetslurm.health.columns import Floats, Ints, Mask, NodeTable, ProbeTable


class Trace:
    """One rule's past on every slot of a table.

    Raised after a number of bad samples in a row; cleared by a good sample that comes `clear_s` after the
    last bad one. A sample that cannot say (something is unknown) is neither.
    """

    def __init__(self) -> None:
        self.bad: Ints = np.zeros(0, np.int64)
        self.since: Floats = np.zeros(0)
        self.last_bad: Floats = np.zeros(0)
        self.raised: Mask = np.zeros(0, np.bool_)
        self.hard: Mask = np.zeros(0, np.bool_)
        self.is_idle = True

    def step(
        self,
        fires: Mask,
        known: Mask,
        now: float,
        *,
        raise_after: int,
        hard_after: int,
        clear_s: float,
    ) -> None:
        """Count new samples. Both masks are of new samples: `fires`, and `known` of those that can say."""
        if self.is_idle and not fires.any():
            return
        self._fit(len(fires))
        good = known & ~fires
        self.since[fires & (self.bad == 0) & ~self.raised] = now
        self.bad[fires] += 1
        self.bad[good] = 0
        self.last_bad[fires] = now
        self.raised |= self.bad >= raise_after
        if hard_after:
            self.hard |= self.bad >= max(raise_after, hard_after)
        over = self.raised & good & (now - self.last_bad >= clear_s)
        self.raised[over] = False
        self.hard[over] = False
        self.is_idle = not (self.raised.any() or self.bad.any())

    def restore(self, slot: int, size: int, *, since: float, last_bad: float, bad: int, hard: bool) -> None:
        """It was raised when it was last judged."""
        self._fit(size)
        self.bad[slot], self.since[slot], self.last_bad[slot] = bad, since, last_bad
        self.raised[slot], self.hard[slot] = True, hard
        self.is_idle = False

    def forget(self, slots: Mask) -> None:
        """Others are in these slots now."""
        if self.is_idle:
            return
        some = np.flatnonzero(slots[: len(self.bad)])
        for array in (self.bad, self.since, self.last_bad, self.raised, self.hard):
            array[some] = 0

    def _fit(self, size: int) -> None:
        more = size - len(self.bad)
        if more > 0:
            for name in ("bad", "since", "last_bad", "raised", "hard"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros(more, array.dtype)]))


@dataclass(slots=True)
class TableMemory:
    """What was judged of one probe: which devices, up to which sample; and traces by rule."""

    born: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    serial: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    node_born: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    by_row: dict[str, Trace] = field(default_factory=dict)
    by_node: dict[str, Trace] = field(default_factory=dict)

    def follow(self, table: ProbeTable, nodes: NodeTable) -> Mask:
        """Forget who left; returns which nodes (by slot) have a sample that was not judged yet."""
        _forget(self.by_row, self.born, table.born)
        _forget(self.by_node, self.node_born, nodes.born)
        self.born = table.born.copy()
        self.node_born = nodes.born.copy()
        serial = table.on_node.serial
        before = np.full(len(serial), -1, np.int64)
        before[: len(self.serial)] = self.serial
        self.serial = serial.copy()
        return np.asarray((serial != before) & (serial > 0))


@dataclass(slots=True)
class Memory:
    """Of one board, since `started_at` (Unix seconds: the controller's start), when listening began.

    `silent` and `is_quiet_excused` are by node slot; `listening_since` moves on when a suspicion against
    the bus ends: its nodes then have time to come back.
    """

    started_at: float
    probes: dict[str, TableMemory] = field(default_factory=dict)
    nodes: dict[str, Trace] = field(default_factory=dict)
    node_born: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    reports: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    silent: Mask = field(default_factory=lambda: np.zeros(0, np.bool_))
    listening_since: float = 0.0
    bus_suspected: bool = False
    bitstreams: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    bitstreams_version: int = -1

    def of(self, probe: str) -> TableMemory:
        """What is remembered of a probe."""
        return self.probes.setdefault(probe, TableMemory())

    def follow(self, nodes: NodeTable) -> Mask:
        """Forget who left; returns which nodes (by slot) sent a report that was not judged yet."""
        _forget(self.nodes, self.node_born, nodes.born)
        silent = np.zeros(nodes.size, np.bool_)
        reports = np.zeros(nodes.size, np.int64)
        known = len(self.node_born)
        same = self.node_born == nodes.born[:known]
        silent[:known] = self.silent & same
        reports[:known] = np.where(same, self.reports, 0)
        self.silent = silent
        self.node_born = nodes.born.copy()
        self.reports = nodes.reports.copy()
        return np.asarray(nodes.reports != reports)


def _forget(traces: dict[str, Trace], before: Ints, born: Ints) -> None:
    left = before != born[: len(before)]
    if traces and left.any():
        for trace in traces.values():
            trace.forget(left)

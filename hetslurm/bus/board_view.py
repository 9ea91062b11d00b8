"""The board's file, as its readers want it: node by node, in words and numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hetslurm.bus.board_file import NODE_COLUMNS, RISE_COLUMNS, RUN_COLUMNS, Header, parse, read_bytes
from hetslurm.bus.wire import MAX_ROWS
from hetslurm.errors import BusError
from hetslurm.health.judgement import Finding
from hetslurm.telemetry import ProbeState

_facts_decoder = msgspec.msgpack.Decoder(list[dict[str, str]])


@dataclass(frozen=True, slots=True)
class RowView:
    """One device. `values` has what is known, `baseline` what its benchmarks gave in the past.

    `is_present`: the newest sample has it; of one that has gone, these are the last values.
    """

    index: int
    values: Mapping[str, float]
    baseline: Mapping[str, float]
    facts: Mapping[str, str]
    is_present: bool


@dataclass(frozen=True, slots=True)
class ProbeView:
    """One probe on one node. `sampled_at` is Unix seconds of the controller's clock, NaN before the first."""

    state: ProbeState
    runs: int
    sampled_at: float
    took_s: float
    message: str
    rows: tuple[RowView, ...]


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node. Times are Unix seconds; `health` and `speed` are by kind.

    `probes` has those that reported, each built when it is asked for.
    """

    name: str
    health: Mapping[str, float]
    speed: Mapping[str, float]
    measured: Mapping[str, bool]
    heard: bool
    silent: bool
    findings: tuple[Finding, ...]
    bitstreams: tuple[tuple[str, str], ...]
    received_at: float
    beat_s: float
    seq: int
    skew_s: float
    reports: int
    lost: int
    restarts: int
    probes: Mapping[str, ProbeView]


class BoardView:
    """A board's file in memory. `written_at` and `judged_at` are Unix seconds."""

    def __init__(self, header: Header, columns: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.header = header
        self.columns = columns
        self.written_at = header.written_at
        self.judged_at = header.judged_at
        self.bus_suspected = header.bus_suspected
        self.counts = header.counts
        self.names = tuple(header.names)
        self._place = {name: at for at, name in enumerate(self.names)}
        # A node's rows lie between two places of an order by node.
        self._order = {
            probe: np.lexsort((columns[f"{probe}.index"], columns[f"{probe}.node"]))
            for probe in header.probes
        }
        self._sorted = {probe: columns[f"{probe}.node"][order] for probe, order in self._order.items()}

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[NodeView]:
        return (self._node(at) for at in range(len(self.names)))

    def node(self, name: str) -> NodeView | None:
        """One node; None when the board does not know it."""
        at = self._place.get(name)
        return None if at is None else self._node(at)

    def slots_of(self, probe: str, at: int) -> list[int]:
        """Where in the probe's columns this node's devices are."""
        low, high = np.searchsorted(self._sorted[probe], [at, at + 1])
        return [int(slot) for slot in self._order[probe][low:high]]

    def facts_of(self, probe: str, at: int) -> list[dict[str, str]]:
        """The facts of this node's devices."""
        ends = self.columns.get(f"{probe}.facts_end")
        if ends is None:
            return []
        blob = self.columns[f"{probe}.facts"][int(ends[at - 1]) if at else 0 : int(ends[at])].tobytes()
        try:
            return _facts_decoder.decode(blob) if blob else []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BusError(f"facts of {self.names[at]}'s {probe} cannot be read: {error}") from error

    def _node(self, at: int) -> NodeView:
        name, kinds, column = self.names[at], self.header.kinds, self.columns
        return NodeView(
            name=name,
            health=dict(zip(kinds, column["judged.health"][at].tolist(), strict=True)),
            speed=dict(zip(kinds, column["judged.speed"][at].tolist(), strict=True)),
            measured=dict(zip(kinds, map(bool, column["judged.measured"][at]), strict=True)),
            heard=bool(column["judged.heard"][at]),
            silent=bool(column["judged.silent"][at]),
            findings=tuple(self.header.findings.get(name, ())),
            bitstreams=tuple(self.header.bitstreams.get(name, ())),
            received_at=float(column["nodes.received_at"][at]),
            beat_s=float(column["nodes.beat_s"][at]),
            seq=int(column["nodes.seq"][at]),
            skew_s=float(column["nodes.skew_s"][at]),
            reports=int(column["nodes.reports"][at]),
            lost=int(column["nodes.lost"][at]),
            restarts=int(column["nodes.restarts"][at]),
            probes=_Probes(self, at),
        )

    def probe(self, probe: str, at: int) -> ProbeView:
        """What the probe said on this node."""
        column, words = self.columns, self.header.probes[probe]
        facts = self.facts_of(probe, at)
        state = int(column[f"{probe}.state"][at])
        return ProbeView(
            state=ProbeState(state) if 0 <= state <= max(ProbeState) else ProbeState.CRASHED,
            runs=int(column[f"{probe}.runs"][at]),
            sampled_at=float(column[f"{probe}.sampled_at"][at]),
            took_s=float(column[f"{probe}.took_s"][at]),
            message=words.messages.get(at, ""),
            rows=tuple(self._row(probe, at, slot, facts) for slot in self.slots_of(probe, at)),
        )

    def _row(self, probe: str, at: int, slot: int, facts: list[dict[str, str]]) -> RowView:
        column, words = self.columns, self.header.probes[probe]
        index = int(column[f"{probe}.index"][slot])
        values = _known(words.metrics, column[f"{probe}.values"][:, slot])
        if words.counters:
            values |= _known(words.counters, column[f"{probe}.last"][:, slot])
        baseline = column.get(f"{probe}.baseline")
        return RowView(
            index=index,
            values=values,
            baseline={} if baseline is None else _known(words.rates, baseline[:, slot]),
            facts=facts[index] if index < len(facts) else {},
            is_present=index < int(column[f"{probe}.rows"][at]),
        )


class _Probes(Mapping[str, ProbeView]):
    def __init__(self, view: BoardView, at: int) -> None:
        self._view = view
        self._at = at

    def __getitem__(self, probe: str) -> ProbeView:
        if probe not in self._names():
            raise KeyError(probe)
        return self._view.probe(probe, self._at)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def _names(self) -> list[str]:
        columns = self._view.columns
        return [probe for probe in self._view.header.probes if columns[f"{probe}.serial"][self._at] > 0]


def read_board_file(path: Path) -> BoardView:
    """Read it. BusError when there is none, or what is there is none."""
    header, columns = parse(read_bytes(path), path)
    if not _fits(header, columns):
        raise BusError(
            f"{path}: this is no board of hetslurm's, or a broken one; the controller writes it anew"
        )
    return BoardView(header, columns)


def _fits(header: Header, columns: Mapping[str, np.ndarray[Any, Any]]) -> bool:
    """Every column is there and as long as it must be, and points at what is there."""
    nodes, kinds = len(header.names), len(header.kinds)
    wanted: dict[str, tuple[int, ...]] = {f"nodes.{name}": (nodes,) for name in NODE_COLUMNS}
    wanted |= {f"judged.{name}": (nodes, kinds) for name in ("health", "speed", "measured")}
    wanted |= {f"judged.{name}": (nodes,) for name in ("heard", "silent")}
    for probe, words in header.probes.items():
        wanted |= {f"{probe}.{name}": (nodes,) for name in RUN_COLUMNS}
        node = columns.get(f"{probe}.node")
        if node is None or node.ndim != 1 or (len(node) and not 0 <= node.min() <= node.max() < nodes):
            return False
        rows = len(node)
        wanted |= {f"{probe}.index": (rows,), f"{probe}.values": (len(words.metrics), rows)}
        if words.counters:
            wanted[f"{probe}.last"] = (len(words.counters), rows)
            if not _rises_fit(probe, columns, len(words.counters), rows):
                return False
        if f"{probe}.baseline" in columns:
            wanted[f"{probe}.baseline"] = (len(words.rates), rows)
        if f"{probe}.facts_end" in columns:
            ends, blob = columns[f"{probe}.facts_end"], columns.get(f"{probe}.facts")
            wanted[f"{probe}.facts_end"] = (nodes,)
            if blob is None or (np.diff(ends, prepend=0) < 0).any() or (len(ends) and ends[-1] > len(blob)):
                return False
        index = columns.get(f"{probe}.index")
        if index is None or (len(index) and not 0 <= index.min() <= index.max() < MAX_ROWS):
            return False
        places = ("node", "index", "rise_counter", "rise_row", "facts_end", "facts", *RUN_COLUMNS[:3])
        if any(
            columns[f"{probe}.{of}"].dtype.kind not in "iu" for of in places if f"{probe}.{of}" in columns
        ):
            return False
    return all(name in columns and columns[name].shape == shape for name, shape in wanted.items())


def _rises_fit(probe: str, columns: Mapping[str, np.ndarray[Any, Any]], counters: int, rows: int) -> bool:
    counter, row = columns.get(f"{probe}.rise_counter"), columns.get(f"{probe}.rise_row")
    if counter is None or row is None or counter.ndim != 1 or counter.shape != row.shape:
        return False
    if len(row) and not (
        0 <= row.min() <= row.max() < rows and 0 <= counter.min() <= counter.max() < counters
    ):
        return False
    return all(
        (rise := columns.get(f"{probe}.{name}")) is not None and rise.shape == row.shape
        for name in RISE_COLUMNS
    )


def _known(names: list[str], values: np.ndarray[Any, Any]) -> dict[str, float]:
    return {name: value for name, value in zip(names, values.tolist(), strict=True) if not math.isnan(value)}

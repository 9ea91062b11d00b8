"""The board's columns: what all nodes said last, a NumPy array a field, as the rules read it.

A node and a device each have a slot in their tables for as long as they are known. `born` tells two users of
a slot apart: it is a number that never comes twice, 0 where the slot is free. Arrays are longer than what is
in use; free slots hold what means "unknown".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hetslurm.telemetry import SCHEMAS, UNKNOWN, Meaning, ProbeState

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Sums of what a counter rose by fade with this time constant: about "in the last hour".
RECENT_S = 3600.0
_FIRST_SIZE = 64


class _Slots:
    """Arrays of one length that grow together, and which of their places are free."""

    # Attribute: (dtype, what a free place holds). The last axis is the slot.
    FIELDS: ClassVar[dict[str, tuple[Any, Any]]] = {}

    def __init__(self) -> None:
        self.size = 0
        self.used = 0
        self._free: list[int] = []
        for name, (dtype, fill) in self.FIELDS.items():
            setattr(self, name, np.full((*self._leading(name), 0), fill, dtype))

    def _leading(self, name: str) -> tuple[int, ...]:
        """The other axes of an attribute."""
        del name
        return ()

    def room_for(self, size: int) -> None:
        """Make the arrays at least this long."""
        if size <= self.size:
            return
        for name, (dtype, fill) in self.FIELDS.items():
            old = getattr(self, name)
            array = np.full((*self._leading(name), size), fill, dtype)
            array[..., : self.size] = old
            setattr(self, name, array)
        self.size = size

    def occupy(self, count: int) -> Ints:
        """Slots for so many newcomers."""
        reused = [self._free.pop() for _ in range(min(count, len(self._free)))]
        end = self.used + count - len(reused)
        if end > self.size:
            self.room_for(max(_FIRST_SIZE, end, self.size + self.size // 2))
        slots = np.array([*reused, *range(self.used, end)], np.int64)
        self.used = end
        return slots

    def vacate(self, slots: Iterable[int]) -> None:
        """Give slots back, cleared."""
        gone = list(slots)
        self.clear(gone)
        self._free.extend(gone)

    def clear(self, slots: Sequence[int]) -> None:
        """Put in these slots what free ones hold."""
        for name, (_, fill) in self.FIELDS.items():
            getattr(self, name)[..., list(slots)] = fill

    @property
    def count(self) -> int:
        """Slots in use."""
        return self.used - len(self._free)


class NodeTable(_Slots):
    """One slot a node. Times are Unix seconds of the controller's clock unless the name says otherwise.

    `skew_s` is the node's clock less ours when its last report came. `lost` counts reports that never came
    (gaps in the sequence), `restarts` new lives of the agent.
    """

    FIELDS: ClassVar[dict[str, tuple[Any, Any]]] = {
        "born": (np.int64, 0),
        "received_at": (np.float64, UNKNOWN),
        "sent_at": (np.float64, UNKNOWN),
        "skew_s": (np.float64, UNKNOWN),
        "beat_s": (np.float64, UNKNOWN),
        "agent": (np.uint64, 0),
        "seq": (np.int64, 0),
        "reports": (np.int64, 0),
        "lost": (np.int64, 0),
        "restarts": (np.int64, 0),
    }
    born: Ints
    received_at: Floats
    sent_at: Floats
    skew_s: Floats
    beat_s: Floats
    agent: NDArray[np.uint64]
    seq: Ints
    reports: Ints
    lost: Ints
    restarts: Ints


class _ProbeNodes(_Slots):
    """One slot a node, the same as in NodeTable."""

    FIELDS: ClassVar[dict[str, tuple[Any, Any]]] = {
        "state": (np.int8, int(ProbeState.PENDING)),
        "runs": (np.int64, -1),
        "serial": (np.int64, 0),
        "sampled_at": (np.float64, UNKNOWN),
        "interval_s": (np.float64, UNKNOWN),
        "took_s": (np.float64, UNKNOWN),
        "rows": (np.int64, 0),
        "most_rows": (np.int64, 0),
        "facts_version": (np.int64, 0),
    }
    state: NDArray[np.int8]
    runs: Ints
    serial: Ints
    sampled_at: Floats
    interval_s: Floats
    took_s: Floats
    rows: Ints
    most_rows: Ints
    facts_version: Ints


class ProbeTable(_Slots):
    """What one probe sees: a slot a device, `values` is float64 (metrics, slots), NaN for unknown.

    `on_node` has what belongs to the probe's run on a node: `serial` rises with each new sample, `rows` is
    the number of devices in the newest, `most_rows` in any, `interval_s` the time between the last two.
    `slots` is int64 (nodes, most devices): the slot of device `index` of a node, -1 for none. Of a device
    that is not in the newest sample (`index >= rows`) the last values stay. `facts_version` rises with every
    change of facts; a node's is what it was at its last.

    `counters` are the places of COUNTER metrics in `values`, and the order of the arrays that follow: `last`
    known value, `rose_at` when it last rose (0: never, as far as we saw), `rose_by` how much, `recent` the
    sum of rises at `rose_at`, fading with RECENT_S. A counter that falls was reset: what it then shows is
    new.
    """

    FIELDS: ClassVar[dict[str, tuple[Any, Any]]] = {
        "born": (np.int64, 0),
        "node": (np.int64, 0),
        "index": (np.int64, 0),
        "values": (np.float64, UNKNOWN),
        "last": (np.float64, UNKNOWN),
        "rose_at": (np.float64, 0.0),
        "rose_by": (np.float64, 0.0),
        "recent": (np.float64, 0.0),
    }
    born: Ints
    node: Ints
    index: Ints
    values: Floats
    last: Floats
    rose_at: Floats
    rose_by: Floats
    recent: Floats

    def __init__(self, probe: str) -> None:
        self.probe = probe
        self.metrics = tuple(metric.name for metric in SCHEMAS[probe])
        self.place = {name: place for place, name in enumerate(self.metrics)}
        meanings = [metric.meaning for metric in SCHEMAS[probe]]
        self.counters = tuple(n for n, meaning in enumerate(meanings) if meaning is Meaning.COUNTER)
        self.rates = tuple(n for n, meaning in enumerate(meanings) if meaning is Meaning.RATE)
        self.counter_place = {self.metrics[n]: at for at, n in enumerate(self.counters)}
        super().__init__()
        self.on_node = _ProbeNodes()
        self.slots: Ints = np.full((0, 1), -1, np.int64)
        self.messages: dict[int, str] = {}
        self.facts: dict[int, list[dict[str, str]]] = {}
        self.facts_version = 0

    def _leading(self, name: str) -> tuple[int, ...]:
        if name == "values":
            return (len(self.metrics),)
        return (len(self.counters),) if name in {"last", "rose_at", "rose_by", "recent"} else ()

    def room_for_nodes(self, nodes: int, rows: int) -> None:
        """Make room for so many node slots and so many devices on each."""
        self.on_node.room_for(nodes)
        old_nodes, old_rows = self.slots.shape
        if self.on_node.size > old_nodes or rows > old_rows:
            slots = np.full((self.on_node.size, max(rows, old_rows)), -1, np.int64)
            slots[:old_nodes, :old_rows] = self.slots
            self.slots = slots

    def present(self) -> Mask:
        """Which slots hold a device that the newest sample of its node has."""
        if not self.on_node.size:
            return np.zeros(self.size, np.bool_)
        return (self.born > 0) & (self.index < self.on_node.rows[self.node])

    def facts_of(self, slot: int) -> dict[str, str]:
        """What is known of the device besides numbers."""
        facts = self.facts.get(int(self.node[slot]), ())
        index = int(self.index[slot])
        return facts[index] if index < len(facts) else {}

    def renew(self, slot: int, serials: Iterator[int]) -> None:
        """Another device is in this slot now: what counters did before was not its doing."""
        if slot >= 0:
            self.born[slot] = next(serials)
            self.last[:, slot] = self.values[list(self.counters), slot]
            for array in (self.rose_at, self.rose_by, self.recent):
                array[:, slot] = 0.0


class Columns:
    """All nodes and what every probe said of them. `names` are by slot, "" where a slot is free."""

    def __init__(self) -> None:
        self.nodes = NodeTable()
        self.names: list[str] = []
        self.probes: dict[str, ProbeTable] = {probe: ProbeTable(probe) for probe in SCHEMAS}

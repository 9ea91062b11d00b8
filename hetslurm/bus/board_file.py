"""The board as a file that other programs can read: `hetslurm nodes`, and the controller's next life.

    8 bytes magic | u32 version | u32 reserved | u64 size of the header | header | columns, back to back

The header is msgpack; it names each column with its type and shape, in order. All is little-endian. Readers
see the old file or the new one, never half of one.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hetslurm.bus.board import Board
from hetslurm.errors import BusError
from hetslurm.health.columns import Columns, Floats, Ints
from hetslurm.health.judgement import KINDS, Finding, Judgement

MAGIC = b"HETBOARD"
VERSION = 1
MAX_BYTES = 512 << 20
_MAX_HEADER = 128 << 20
START = struct.Struct("<8sIIQ")

NODE_COLUMNS = ("received_at", "sent_at", "skew_s", "beat_s", "agent", "seq", "reports", "lost", "restarts")
RUN_COLUMNS = ("state", "runs", "serial", "sampled_at", "interval_s", "took_s", "rows", "most_rows")
# Rises of counters, one a (counter, row) that ever rose: most never did.
RISE_COLUMNS = ("rose_at", "rose_by", "recent")
# Nobody reads the seventh digit of a temperature; counters are in `last` in full.
_SHORT = "<f4"


class ProbeHeader(msgspec.Struct, frozen=True):
    """A probe's words: names of its metrics, and by node (in the file's order) what it said."""

    metrics: list[str]
    counters: list[str]
    rates: list[str]
    messages: dict[int, str]


class Header(msgspec.Struct, frozen=True):
    """All that is no column."""

    written_at: float
    judged_at: float
    bus_suspected: bool
    kinds: list[str]
    names: list[str]
    findings: dict[str, list[Finding]]
    bitstreams: dict[str, list[tuple[str, str]]]
    counts: dict[str, int]
    probes: dict[str, ProbeHeader]
    columns: list[tuple[str, str, list[int]]]


class BoardFile:
    """Writes the file again and again; remembers what it need not encode anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._encoder = msgspec.msgpack.Encoder()
        # By probe and node slot: the version of the facts that were encoded, and their bytes.
        self._facts: dict[tuple[str, int], tuple[int, bytes]] = {}

    def write(
        self, board: Board, judgement: Judgement, baselines: Mapping[str, Floats], written_at: float
    ) -> None:
        """Replace the file, mode 0644. `judgement` is of this board. BusError when it cannot be written."""
        live = np.flatnonzero(board.nodes.born)
        columns: dict[str, np.ndarray[Any, Any]] = {
            f"nodes.{name}": getattr(board.nodes, name)[live] for name in NODE_COLUMNS
        }
        columns |= _judged(board, live, judgement)
        place = np.full(board.nodes.size, -1, np.int64)
        place[live] = np.arange(len(live))
        probes = {}
        for name, table in board.probes.items():
            if not table.on_node.serial.any():
                continue
            columns |= self._of_probe(board, name, live, place, baselines.get(name))
            probes[name] = ProbeHeader(
                metrics=list(table.metrics),
                counters=list(table.counter_place),
                rates=[table.metrics[at] for at in table.rates],
                messages={int(place[node]): said for node, said in table.messages.items()},
            )
        header = Header(
            written_at=written_at,
            judged_at=judgement.at,
            bus_suspected=judgement.bus_suspected,
            kinds=list(KINDS),
            names=[board.names[slot] for slot in live.tolist()],
            findings={name: list(found) for name, found in judgement.findings.items()},
            bitstreams={name: list(cards) for name, cards in judgement.bitstreams.items()},
            counts={name: getattr(board.counts, name) for name in board.counts.__slots__},
            probes=probes,
            columns=[(name, array.dtype.str, list(array.shape)) for name, array in columns.items()],
        )
        encoded = self._encoder.encode(header)
        _replace(
            self.path, [START.pack(MAGIC, VERSION, 0, len(encoded)), encoded, *map(_raw, columns.values())]
        )

    def _of_probe(
        self, board: Columns, name: str, live: Ints, place: Ints, baseline: Floats | None
    ) -> dict[str, np.ndarray[Any, Any]]:
        table = board.probes[name]
        runs = {f"{name}.{column}": getattr(table.on_node, column)[live] for column in RUN_COLUMNS}
        slots = np.flatnonzero(table.born)
        # Most often nobody has left, and a slice saves a copy.
        chosen = slice(0, len(slots)) if len(slots) == table.used else slots
        rows: dict[str, np.ndarray[Any, Any]] = {
            f"{name}.node": place[table.node[chosen]].astype("<i4"),
            f"{name}.index": table.index[chosen].astype("<i4"),
            f"{name}.values": table.values[:, chosen].astype(_SHORT),
        }
        if table.counters:
            rows[f"{name}.last"] = table.last[:, chosen]
            counter, row = np.nonzero(table.rose_at[:, chosen])
            rows |= {f"{name}.rise_counter": counter.astype("<i4"), f"{name}.rise_row": row.astype("<i4")}
            rows |= {f"{name}.{c}": getattr(table, c)[:, chosen][counter, row] for c in RISE_COLUMNS}
        if baseline is not None:
            rows[f"{name}.baseline"] = baseline[:, chosen].astype(_SHORT)
        return runs | rows | self._facts_of(board, name, live)

    def _facts_of(self, board: Columns, name: str, live: Ints) -> dict[str, np.ndarray[Any, Any]]:
        """Every node's facts as msgpack, end to end, and where each ends."""
        table = board.probes[name]
        if not table.facts:
            return {}
        blobs = []
        versions = table.on_node.facts_version.tolist()
        for node in live.tolist():
            facts = table.facts.get(node)
            if facts is None:
                blobs.append(b"")
                continue
            known = self._facts.get((name, node))
            if known is None or known[0] != versions[node]:
                known = self._facts[name, node] = (versions[node], self._encoder.encode(facts))
            blobs.append(known[1])
        ends = np.cumsum(np.fromiter(map(len, blobs), np.int64, len(blobs)))
        return {f"{name}.facts": np.frombuffer(b"".join(blobs), np.uint8), f"{name}.facts_end": ends}


def _judged(board: Columns, live: Ints, judgement: Judgement) -> dict[str, np.ndarray[Any, Any]]:
    if judgement.names != tuple(board.names[slot] for slot in live.tolist()):
        raise ValueError("this judgement is of another board, or of this one before nodes came or left")
    return {
        "judged.health": judgement.health,
        "judged.speed": judgement.speed,
        "judged.measured": judgement.measured.view(np.uint8),
        "judged.heard": judgement.heard.view(np.uint8),
        "judged.silent": judgement.silent.view(np.uint8),
    }


def _raw(array: np.ndarray[Any, Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else memoryview(b"")


def _replace(path: Path, parts: list[bytes | memoryview]) -> None:
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(fresh, flags, 0o644), "wb", buffering=0) as out:
            os.fchmod(out.fileno(), 0o644)
            for part in parts:
                left = memoryview(part)
                while left:
                    left = left[out.write(left) :]
        fresh.replace(path)
    except OSError as error:
        raise BusError(f"{path}: cannot be written: {error.strerror}") from error


def read_bytes(path: Path) -> bytes:
    """The file, bounded. BusError says why it cannot be read, and what to do."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise BusError(f"{path}: there is no board; does the controller run, and does it listen?") from error
    except OSError as error:
        raise BusError(f"{path}: cannot be read: {error.strerror}") from error
    with os.fdopen(opened, "rb") as file:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise BusError(f"{path}: this is no board of hetslurm's")
        return file.read(MAX_BYTES + 1)


def parse(data: bytes, path: Path) -> tuple[Header, dict[str, np.ndarray[Any, Any]]]:
    """Header and columns of untrusted bytes. BusError when they are no board."""
    garbage = BusError(
        f"{path}: this is no board of hetslurm's, or a broken one; the controller writes it anew"
    )
    if len(data) < START.size:
        raise garbage
    magic, version, _, header_size = START.unpack_from(data)
    if magic != MAGIC:
        raise garbage
    if version != VERSION:
        raise BusError(
            f"{path}: version {version}, this program reads {VERSION}; restart the older of the two"
        )
    if header_size > min(_MAX_HEADER, len(data) - START.size):
        raise garbage
    at = START.size + header_size
    try:
        header = msgspec.msgpack.decode(data[START.size : at], type=Header)
        columns = {}
        for name, dtype, shape in header.columns:
            if dtype not in _TYPES or any(size < 0 for size in shape):
                raise garbage
            count = int(np.prod([int(size) for size in shape], dtype=object)) if shape else 1
            size = count * np.dtype(dtype).itemsize
            if size > len(data) - at:
                raise garbage
            columns[name] = np.frombuffer(data, dtype, count, at).reshape(shape)
            at += size
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError) as error:
        raise garbage from error
    return header, columns


_TYPES = frozenset({"<f8", "<f4", "<i8", "<i4", "<u8", "|i1", "|u1"})

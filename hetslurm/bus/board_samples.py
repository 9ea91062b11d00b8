"""One probe's samples of many nodes, from the wire into the board's columns, without a loop over numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hetslurm.bus.wire import MAX_BYTES, ProbeReport
from hetslurm.health.columns import RECENT_S, Floats, Ints, ProbeTable
from hetslurm.telemetry import UNKNOWN, ProbeState

# Past this a number is no measurement, and its differences would overflow.
_TOO_LARGE = 1e18
_LONGEST_AGE_S = 1e9
_WHOLE_64 = 2**63 - 1
MAX_MESSAGE = 1024


def whole_numbers(values: list[int]) -> Ints:
    """As int64; what does not fit is cut to what does."""
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array([min(max(value, -_WHOLE_64), _WHOLE_64) for value in values], np.int64)


def fill(
    table: ProbeTable,
    nodes: Ints,
    reports: Sequence[ProbeReport],
    received_at: Floats,
    *,
    serials: Iterator[int],
    max_rows: int,
) -> int:
    """Take one report a node (slots `nodes`, no slot twice). Returns how many rows found no room."""
    on_node = table.on_node
    runs = whole_numbers([report.runs for report in reports])
    states = np.array([report.state for report in reports], np.int8)
    is_new = (runs != on_node.runs[nodes]) | (states != on_node.state[nodes])
    if not is_new.all():
        chosen = np.flatnonzero(is_new)
        if not len(chosen):
            return 0
        reports = [reports[n] for n in chosen.tolist()]
        nodes, runs, states, received_at = nodes[chosen], runs[chosen], states[chosen], received_at[chosen]
    sampled_at = received_at - np.minimum([report.age_s for report in reports], _LONGEST_AGE_S)
    on_node.interval_s[nodes] = np.maximum(sampled_at - on_node.sampled_at[nodes], 0.0)
    on_node.sampled_at[nodes] = sampled_at
    on_node.runs[nodes] = runs
    on_node.state[nodes] = states
    on_node.took_s[nodes] = np.minimum([report.took_s for report in reports], _LONGEST_AGE_S)
    on_node.serial[nodes] += 1
    _note_messages(table, nodes.tolist(), [report.message for report in reports])
    columns = [report.columns for report in reports]
    blobs = [report.values for report in reports]
    # Without numbers a report may name any width.
    widths = np.minimum(whole_numbers(columns), MAX_BYTES)
    counts = np.fromiter(map(len, blobs), np.int64, len(blobs)) // (8 * widths)
    _note_counts(table, nodes, states, counts)
    if len(set(columns)) == 1:
        return _scatter(table, nodes, counts, sampled_at, blobs, columns[0], serials, max_rows)
    refused = 0
    for width in set(columns):
        some = [n for n, c in enumerate(columns) if c == width]
        refused += _scatter(
            table,
            nodes[some],
            counts[some],
            sampled_at[some],
            [blobs[n] for n in some],
            width,
            serials,
            max_rows,
        )
    return refused


def _note_messages(table: ProbeTable, nodes: list[int], messages: list[str]) -> None:
    if not any(messages) and not table.messages:
        return
    for node, message in zip(nodes, messages, strict=True):
        if message:
            table.messages[node] = message[:MAX_MESSAGE]
        else:
            table.messages.pop(node, None)


def _note_counts(table: ProbeTable, nodes: Ints, states: NDArray[np.int8], counts: Ints) -> None:
    """How many devices there are. A run that failed does not say."""
    on_node = table.on_node
    says = (states == ProbeState.OK) | (states == ProbeState.ABSENT)
    before = on_node.rows[nodes]
    changed = says & (counts != before)
    if changed.any():
        # With one device gone, those behind it may have moved up: a counter is another device's now.
        for node in nodes[changed & (before > 0)].tolist():
            slots = table.slots[node]
            table.last[:, slots[slots >= 0]] = UNKNOWN
        on_node.rows[nodes[changed]] = counts[changed]
        on_node.most_rows[nodes] = np.maximum(on_node.most_rows[nodes], on_node.rows[nodes])


def _scatter(
    table: ProbeTable,
    nodes: Ints,
    counts: Ints,
    sampled_at: Floats,
    blobs: Sequence[bytes],
    width: int,
    serials: Iterator[int],
    max_rows: int,
) -> int:
    """Numbers of reports that all have `width` columns, to their devices' slots."""
    total = int(counts.sum())
    if not total:
        return 0
    block = np.frombuffer(b"".join(blobs), "<f8").reshape(total, width)
    report = np.repeat(np.arange(len(nodes)), counts)
    index = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    node = nodes[report]
    table.room_for_nodes(table.on_node.size, int(counts.max()))
    slots = table.slots[node, index]
    refused = 0
    if (slots < 0).any():
        refused = _take_slots(table, node, index, slots, serials, max_rows)
        if refused:
            kept = slots >= 0
            block, slots, report = block[kept], slots[kept], report[kept]
    known = min(width, len(table.metrics))
    numbers = np.full((len(table.metrics), len(slots)), UNKNOWN)
    numbers[:known] = block[:, :known].T
    with np.errstate(invalid="ignore"):
        numbers[~(np.abs(numbers) <= _TOO_LARGE)] = UNKNOWN
    if table.counters:
        _count(table, slots, numbers[list(table.counters)], sampled_at[report])
    table.values[:, slots] = numbers
    return refused


def _take_slots(
    table: ProbeTable, node: Ints, index: Ints, slots: Ints, serials: Iterator[int], max_rows: int
) -> int:
    """Find slots for devices that have none, in place; those past `max_rows` get none."""
    missing = np.flatnonzero(slots < 0)
    room = max(0, max_rows - table.count)
    chosen = missing[:room]
    fresh = table.occupy(len(chosen))
    table.born[fresh] = [next(serials) for _ in range(len(fresh))]
    table.node[fresh] = node[chosen]
    table.index[fresh] = index[chosen]
    table.slots[node[chosen], index[chosen]] = fresh
    slots[chosen] = fresh
    return len(missing) - len(chosen)


def _count(table: ProbeTable, slots: Ints, counts: Floats, sampled_at: Floats) -> None:
    """What counters rose by."""
    before = table.last[:, slots]
    rise = counts - before
    rise = np.where(rise < 0, counts, rise)
    with np.errstate(invalid="ignore"):
        rose = rise > 0
    if rose.any():
        which, at = np.nonzero(rose)
        slot, when = slots[at], sampled_at[at]
        faded = np.exp(-np.maximum(when - table.rose_at[which, slot], 0.0) / RECENT_S)
        table.recent[which, slot] = table.recent[which, slot] * faded + rise[which, at]
        table.rose_at[which, slot] = when
        table.rose_by[which, slot] = rise[which, at]
    table.last[:, slots] = np.where(np.isnan(counts), before, counts)

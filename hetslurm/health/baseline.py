"""A device's own past: which benchmarks are new on the board, and what they are compared with. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_high

import numpy as np

from hetslurm.health.columns import Columns, Floats, Ints, ProbeTable

DAY_S = 86400.0
KEEP_S = 90 * DAY_S
YOUNG = 3
# Ages come with the jitter of the bus: nearer in time, only other numbers tell that a benchmark ran again.
SAME_S = 60.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One benchmark of one device: RATE metrics by name, at Unix seconds `at`."""

    device: str
    at: float
    values: Mapping[str, float]


def device_key(table: ProbeTable, slot: int, node: str) -> str | None:
    """Who a device is for life: its id, or its place where it has none; None until its facts are there."""
    if int(table.node[slot]) not in table.facts:
        return None
    name = table.facts_of(slot).get("id", "")
    return f"{table.probe}:{name}" if name else f"{table.probe}@{node}:{int(table.index[slot])}"


def baseline_of(history: Sequence[tuple[float, float]], now: float) -> float | None:
    """What (Unix seconds, value) of the past, oldest first, say that the device can do; None: nothing.

    The median of the last 90 days without the last one, so that a fault of today is not its own measure.
    With fewer than three such measurements, the median of the first three. Of two in the middle the
    higher: what a device has done it can do.
    """
    settled = [value for at, value in history if now - KEEP_S <= at < now - DAY_S]
    chosen = settled if len(settled) >= YOUNG else [value for _, value in history[:YOUNG]]
    return median_high(chosen) if chosen else None


class Known:
    """What is known of a probe's devices by slot: their key, newest benchmark and baselines."""

    def __init__(self, table: ProbeTable) -> None:
        self.rates = [table.metrics[place] for place in table.rates]
        self.born: Ints = np.zeros(0, np.int64)
        self.facts_version = -1
        self.keys: dict[int, str] = {}
        self.at: Floats = np.zeros(0)
        self.values: Floats = np.zeros((len(self.rates), 0))
        self.baseline: Floats = np.zeros((len(self.rates), 0))

    def follow(self, table: ProbeTable, names: Sequence[str]) -> list[int]:
        """Slots whose device is another than before, with new `keys`; the caller fills in what it knows."""
        self._fit(table.size)
        if self.facts_version == table.facts_version and np.array_equal(self.born, table.born):
            return []
        named_anew = table.on_node.facts_version[table.node] > self.facts_version
        changed = []
        for slot in np.flatnonzero((table.born > 0) & (named_anew | (self.born != table.born))).tolist():
            key = device_key(table, slot, names[int(table.node[slot])])
            if key is not None and self.keys.get(slot) != key:
                changed.append(slot)
                self.keys[slot] = key
        for slot in np.flatnonzero((table.born == 0) & (self.born > 0)).tolist():
            self.keys.pop(slot, None)
        self.born, self.facts_version = table.born.copy(), table.facts_version
        self.at[changed] = 0.0
        self.values[:, changed] = np.nan
        self.baseline[:, changed] = np.nan
        return changed

    def _fit(self, size: int) -> None:
        more = size - len(self.at)
        if more > 0:
            self.at = np.concatenate([self.at, np.zeros(more)])
            self.born = np.concatenate([self.born, np.zeros(more, np.int64)])
            unknown = np.full((len(self.rates), more), np.nan)
            self.values = np.concatenate([self.values, unknown], axis=1)
            self.baseline = np.concatenate([self.baseline, unknown], axis=1)

    def news(self, table: ProbeTable) -> dict[int, Measured]:
        """Benchmarks that ran since the last call, by slot."""
        if not table.size or not self.rates:
            return {}
        age = table.values[table.place["measured_age_s"]]
        values = table.values[list(table.rates)]
        with np.errstate(invalid="ignore"):
            later = np.where(age >= 0, table.on_node.sampled_at[table.node] - age, 0.0) - self.at
            differs = (np.isfinite(values) & (values > 0) & (values != self.values)).any(axis=0)
            is_new = table.present() & ((later > SAME_S) | ((later > 1.0) & differs))
        found = {}
        for slot in np.flatnonzero(is_new).tolist():
            if slot not in self.keys:
                continue
            self.at[slot] += later[slot]
            self.values[:, slot] = values[:, slot]
            numbers = {
                name: float(value)
                for name, value in zip(self.rates, values[:, slot], strict=True)
                if np.isfinite(value) and value > 0
            }
            if numbers:
                found[slot] = Measured(self.keys[slot], float(self.at[slot]), numbers)
        return found


def known_of(board: Columns) -> dict[str, Known]:
    """One for each probe that has benchmarks."""
    return {probe: Known(table) for probe, table in board.probes.items() if table.rates}

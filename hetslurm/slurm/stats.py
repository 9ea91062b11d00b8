"""Reader of the plugin's statistics page: counters and latency histograms, while slurmctld runs."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hetslurm.errors import SlurmUnavailable

_MAGIC = 0x3154415453544548
_VERSION = 1
_HEADER = struct.Struct("<QIIqIiIIIIII2048s")
_MAX_PAGE = 16 << 20


@dataclass(frozen=True)
class Histogram:
    """Counts in log-linear buckets of nanoseconds: 2**sub_bits equal steps to each doubling."""

    counts: tuple[int, ...]
    sub_bits: int

    @property
    def total(self) -> int:
        return sum(self.counts)

    def percentile_ns(self, percent: float) -> float | None:
        """The middle of the bucket that holds this percentile, within 1.6 %; None when all are empty."""
        total = self.total
        if total == 0:
            return None
        rank = max(1, -(-total * percent // 100))
        seen = 0
        for index, count in enumerate(self.counts):
            seen += count
            if seen >= rank:
                low, width = bucket_bounds(index, self.sub_bits)
                return low + (width - 1) / 2
        return None

    def since(self, earlier: Histogram) -> Histogram:
        """What was counted after `earlier` was read."""
        return Histogram(
            tuple(now - then for now, then in zip(self.counts, earlier.counts, strict=True)), self.sub_bits
        )


@dataclass(frozen=True)
class PluginStats:
    """What the plugin in a running slurmctld has done since it was loaded.

    `counters` by name (seen, placed, held, …); `snapshot` counts what each attempt to take the snapshot ended
    with (OK, ABSENT, …); `histograms` by phase (call, decision, take, parse, resolve, score, rewrite).
    """

    started_at_ns: int
    slurm_version: str
    pid: int
    counters: Mapping[str, int]
    snapshot: Mapping[str, int]
    histograms: Mapping[str, Histogram]


def bucket_bounds(index: int, sub_bits: int) -> tuple[int, int]:
    """Smallest value of a bucket, and how many values it holds, in ns."""
    steps = 1 << sub_bits
    if index < steps:
        return index, 1
    shift = (index >> sub_bits) - 1
    return (steps + (index & (steps - 1))) << shift, 1 << shift


def read_stats(path: Path) -> PluginStats:
    """Read the page behind the plugin's symlink. Raises SlurmUnavailable when there is none to read."""
    try:
        with path.open("rb") as file:
            page = file.read(_MAX_PAGE)
    except OSError as error:
        raise SlurmUnavailable(
            f"no statistics of the plugin at {path}: {error.strerror} (only root and SlurmUser may "
            "read them, and only while slurmctld runs)"
        ) from error
    return parse_stats(page, str(path))


def parse_stats(page: bytes, where: str) -> PluginStats:
    """The page's bytes as values; `where` is for messages."""
    if len(page) < _HEADER.size:
        raise SlurmUnavailable(f"{where}: too short for a statistics page")
    fields = _HEADER.unpack_from(page)
    magic, version, header_size, started_at_ns, slurm, pid = fields[:6]
    n_counters, n_statuses, n_phases, n_buckets, sub_bits, _reserved, names = fields[6:]
    if magic != _MAGIC or version != _VERSION:
        raise SlurmUnavailable(f"{where}: not a statistics page of this hetslurm version")
    rows = n_counters + n_statuses + n_phases * n_buckets
    if len(page) < header_size + 8 * rows or sub_bits > 16:
        raise SlurmUnavailable(f"{where}: shorter than it says")
    lists = [line.split() for line in names.split(b"\0", 1)[0].decode("ascii", "replace").split("\n")[:3]]
    if [len(one) for one in lists] != [n_counters, n_statuses, n_phases]:
        raise SlurmUnavailable(f"{where}: its names do not match its rows")
    values = struct.unpack_from(f"<{rows}Q", page, header_size)
    buckets = n_counters + n_statuses
    return PluginStats(
        started_at_ns=started_at_ns,
        slurm_version=f"{slurm >> 16}.{slurm >> 8 & 0xFF:02d}.{slurm & 0xFF}",
        pid=pid,
        counters=dict(zip(lists[0], values[:n_counters], strict=True)),
        snapshot=dict(zip(lists[1], values[n_counters:buckets], strict=True)),
        histograms={
            phase: Histogram(values[buckets + i * n_buckets : buckets + (i + 1) * n_buckets], sub_bits)
            for i, phase in enumerate(lists[2])
        },
    )

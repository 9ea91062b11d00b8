"""How fast devices are, relative to their own past."""

from __future__ import annotations

import numpy as np

from hetslurm.health.columns import Columns, Floats, Mask
from hetslurm.health.device_rules import BUSY
from hetslurm.health.judgement import KINDS
from hetslurm.health.rows import Rows
from hetslurm.telemetry import KIND_OF_PROBE

# Benchmarks scatter by a few percent: within this a device is as fast as ever.
NOISE = 0.05
SLOWEST, FASTEST = 0.05, 1.5


def judge_speed(board: Columns, rows_of: dict[str, Rows]) -> tuple[Floats, Mask]:
    """Speed of each node (by slot) and kind, and where it was measured.

    A device's speed is the mean of its benchmarks over their baselines, times its clock over its highest
    while it works slowed down; a node's the mean of its devices'.
    """
    speed = np.ones((board.nodes.size, len(KINDS)))
    measured = np.zeros((board.nodes.size, len(KINDS)), np.bool_)
    for probe in ("host", *KIND_OF_PROBE):
        _of_probe(rows_of[probe], KINDS.index(KIND_OF_PROBE.get(probe, "cpu")), speed, measured)
    return speed, measured


def _of_probe(rows: Rows, kind: int, speed: Floats, measured: Mask) -> None:
    table = rows.table
    device, known = _benchmarks(rows)
    if table.probe == "gpu":
        slowed = _slowed(rows)
        if slowed.any():
            clock = rows["sm_clock_mhz"] / np.where(
                rows["sm_clock_max_mhz"] > 0, rows["sm_clock_max_mhz"], np.nan
            )
            clock = np.where(slowed & (clock > 0), np.clip(clock, SLOWEST, 1.0), 1.0)
            device, known = device * clock, known | slowed
    if not known.any():
        return
    there = np.flatnonzero(table.present())
    nodes = table.node[there]
    size = len(speed)
    count = np.bincount(nodes, minlength=size)
    total = np.bincount(nodes, weights=device[there], minlength=size)
    some = np.bincount(nodes, weights=known[there], minlength=size) > 0
    speed[some, kind] = total[some] / count[some]
    measured[:, kind] |= some


def _benchmarks(rows: Rows) -> tuple[Floats, Mask]:
    ratio = rows.of_baseline()
    size = rows.table.size
    if ratio is None or not size:
        return np.ones(size), np.zeros(size, np.bool_)
    counts = np.isfinite(ratio).sum(axis=0)
    mean = np.nansum(np.clip(ratio, SLOWEST, FASTEST), axis=0) / np.maximum(counts, 1)
    steady = (counts == 0) | (np.abs(mean - 1.0) <= NOISE)
    return np.where(steady, 1.0, mean), counts > 0


def _slowed(rows: Rows) -> Mask:
    """Slowed down by more than its power limit while it works."""
    slowed: Mask = (
        (rows["throttle_thermal"] > 0) | (rows["throttle_hw"] > 0) | (rows["throttle_power_brake"] > 0)
    ) & (rows["utilization_ratio"] > BUSY)
    return slowed

"""Who has fallen silent, and whether it is they or the bus."""

from __future__ import annotations

import numpy as np

from hetslurm.health.columns import Columns, Mask
from hetslurm.health.memory import Memory
from hetslurm.site import HealthSite


def judge_silence(
    board: Columns, memory: Memory, site: HealthSite, now: float, awake: Mask
) -> tuple[Mask, Mask]:
    """Which nodes (by slot) are heard, and which are silent. `awake`: known, and not put to sleep by Slurm.

    Nodes have `silent_beats` of their beats, counted from when we began to listen at the earliest. When more
    than `silent_share` of those that were not silent before stop together, at least two, then the bus is
    suspected and they are neither heard nor silent. They stop within a beat of each other, so each has been
    quiet for one beat less by the time the first has used up its time.
    """
    nodes = board.nodes
    with np.errstate(invalid="ignore"):
        quiet_s = now - np.maximum(nodes.received_at, max(memory.started_at, memory.listening_since))
        quiet = awake & (quiet_s > site.silent_beats * nodes.beat_s)
        nearly = awake & (quiet_s > max(site.silent_beats - 1, site.silent_beats / 2) * nodes.beat_s)
        heard = awake & (now - nodes.received_at <= site.silent_beats * nodes.beat_s)
    stopped = nearly & ~memory.silent
    there = int((awake & ~memory.silent).sum())
    suspected = int(stopped.sum()) >= 2 and int(stopped.sum()) > site.silent_share * there
    if suspected:
        quiet &= memory.silent
    elif memory.bus_suspected:
        memory.listening_since = now
        quiet &= memory.silent
    memory.bus_suspected = suspected
    # A report is all that it takes to be heard again, and less does not do.
    memory.silent = (quiet | memory.silent) & awake & ~heard
    return heard, memory.silent

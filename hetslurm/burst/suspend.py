"""SuspendProgram: a node is idle or was given up, and its instance ends."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

from hetslurm.burst.ending import end_instances
from hetslurm.burst.power import Power
from hetslurm.clock import Clock

PATIENCE_S = 60.0


def suspend(
    power: Power, nodes: Sequence[str], *, patience_s: float = PATIENCE_S, before: float = inf
) -> frozenset[str]:
    """End the nodes' instances and pay them; the names of those that are paid. Safe to run twice and at once.

    A node without an instance was refused one, or is done: nothing to do. `before`: what was intended later
    (Unix seconds) is not meant. Slurm may have powered a node up again while this program was starting.
    """
    wanted = set(nodes)
    live = [i for i in power.book.instances() if i.node in wanted and i.intended_at <= before]
    if not live:
        return frozenset()
    paid = end_instances(power, live, "its node has nothing to do", patience_s=patience_s)
    left = sorted({instance.node for instance in live} - paid)
    power.log.info("burst suspend", nodes=len(nodes), ended=len(paid), left=" ".join(left[:10]) or "none")
    return paid


def process_began_at(clock: Clock) -> float:
    """When slurmctld started this process, Unix seconds; a shell that became it counts."""
    # After the name, which may hold anything; the 22nd field of proc(5)'s stat, in ticks since the boot.
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return clock.now() - age_s

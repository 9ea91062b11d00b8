"""SuspendProgram: a node is idle or was given up, and its instance ends."""

from __future__ import annotations

from collections.abc import Sequence

from hetslurm.burst.ending import end_instances
from hetslurm.burst.power import Power

PATIENCE_S = 60.0


def suspend(power: Power, nodes: Sequence[str], *, patience_s: float = PATIENCE_S) -> frozenset[str]:
    """End the nodes' instances and pay them; the names of those that are paid. Safe to run twice and at once.

    A node without an instance was refused one, or is done: nothing to do.
    """
    wanted = set(nodes)
    live = [instance for instance in power.book.instances() if instance.node in wanted]
    if not live:
        return frozenset()
    paid = end_instances(power, live, "its node has nothing to do", patience_s=patience_s)
    left = sorted({instance.node for instance in live} - paid)
    power.log.info("burst suspend", nodes=len(nodes), ended=len(paid), left=" ".join(left[:10]) or "none")
    return paid

"""Which instances their cloud takes away, as their own probes say on the board. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hetslurm.health.columns import Columns


@dataclass(frozen=True, slots=True)
class Notice:
    """What a node said of its instance at `said_at`: it is taken away at `at`. Unix seconds of our clock.

    A node's next instance has the same name: what was said before it was launched was said by another.
    """

    at: float
    said_at: float


def notices(board: Columns) -> dict[str, Notice]:
    """By node; nodes without a notice are not in it. A probe that fails later takes nothing back."""
    table = board.probes["instance"]
    interrupted = table.values[table.place["interrupted"]]
    in_s = table.values[table.place["interrupt_in_s"]]
    found = {}
    for slot in np.flatnonzero(table.present() & (interrupted > 0)).tolist():
        node = int(table.node[slot])
        said_at = float(table.on_node.sampled_at[node])
        left_s = float(in_s[slot])
        found[board.names[node]] = Notice(said_at + (left_s if np.isfinite(left_s) else 0.0), said_at)
    return found


def rebalances(board: Columns) -> frozenset[str]:
    """Nodes that the cloud has said it may soon take away: nothing new should start there."""
    table = board.probes["instance"]
    flagged = table.present() & (table.values[table.place["rebalance"]] > 0)
    return frozenset(board.names[int(table.node[slot])] for slot in np.flatnonzero(flagged).tolist())

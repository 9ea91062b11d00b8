"""Which instances their cloud takes away, as their own probes say on the board. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hetslurm.health.columns import Columns


def notices(board: Columns, since: Mapping[str, float] | None = None) -> dict[str, float]:
    """By node: when it will be taken away, Unix seconds of our clock; nodes without a notice are not in it.

    `since` has when each node's present instance was launched: what an earlier instance of that name said
    before is left out. A probe that fails later takes nothing back.
    """
    table = board.probes["instance"]
    interrupted = table.values[table.place["interrupted"]]
    in_s = table.values[table.place["interrupt_in_s"]]
    found = {}
    for slot in np.flatnonzero(table.present() & (interrupted > 0)).tolist():
        node = int(table.node[slot])
        sampled_at = float(table.on_node.sampled_at[node])
        name = board.names[node]
        if since is not None and sampled_at < since.get(name, 0.0):
            continue
        left_s = float(in_s[slot])
        found[name] = sampled_at + (left_s if np.isfinite(left_s) else 0.0)
    return found


def rebalances(board: Columns) -> frozenset[str]:
    """Nodes that the cloud has said it may soon take away: nothing new should start there."""
    table = board.probes["instance"]
    flagged = table.present() & (table.values[table.place["rebalance"]] > 0)
    return frozenset(board.names[int(table.node[slot])] for slot in np.flatnonzero(flagged).tolist())

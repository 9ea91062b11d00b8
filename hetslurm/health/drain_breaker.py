"""The circuit breaker: when many nodes fail at once, it is more likely a rule, a driver or the room. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from hetslurm.site import DrainSite

# Two nodes that fail together are no burst, however small the cluster: pool_share looks after those.
BURST_LEAST = 3


@dataclass(frozen=True, slots=True)
class Breaker:
    """Open since Unix seconds `open_since` (None: closed) for `nodes`, which all still fail.

    `looked_at`: when an admin last looked; what failed before that counts no more.
    """

    open_since: float | None = None
    nodes: frozenset[str] = frozenset()
    looked_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether nothing may be drained."""
        return self.open_since is not None


def burst_limit(total: int, site: DrainSite) -> float:
    """So many of a pool's `total` nodes may begin to fail within the window; one more opens the breaker."""
    return max(site.burst_share * total, BURST_LEAST - 1)


def judge_breaker(
    before: Breaker,
    failing: Mapping[str, float],
    groups: Collection[frozenset[str]],
    site: DrainSite,
    now: float,
) -> Breaker:
    """The breaker after a look at what fails. `failing` maps nodes to when they began (Unix seconds).

    It opens on a burst in any one of `groups`: the pools, and all nodes. Then it stays open although time
    passes: it closes when so many of the burst have recovered that the rest would not have opened it, or when
    an admin has looked.
    """
    counted = {node: since for node, since in failing.items() if since > before.looked_at}
    nodes = {node for node, since in counted.items() if since > now - site.burst_window_s}
    if before.is_open:
        nodes |= before.nodes & counted.keys()
    burst: set[str] = set()
    for group in groups if nodes else ():
        together = nodes & group
        if len(together) > burst_limit(len(group), site):
            burst |= together
    if not burst:
        return replace(before, open_since=None, nodes=frozenset())
    opened = now if before.open_since is None else before.open_since
    return replace(before, open_since=opened, nodes=frozenset(burst))

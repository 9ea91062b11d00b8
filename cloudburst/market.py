"""What can be had in the cloud now: for every pool a price and free nodes, or why not. Pure.

Fail closed: no price, no offer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.offerings import Offering, offerings
from hetslurm.cloudburst.policy import CloudPool, Policy
from hetslurm.cloudburst.provider.protocol import Quote
from hetslurm.cluster import Cluster, Node

# Flags of a node that Slurm is starting, stopping, or still uses.
_BUSY = frozenset({"POWERING_UP", "POWER_UP", "POWERING_DOWN", "POWER_DOWN", "COMPLETING", "PLANNED"})


@dataclass(frozen=True, slots=True)
class Offer:
    """A cloud pool with the offering that is tried first, and its nodes that nobody has."""

    pool: CloudPool
    offering: Offering
    free: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Market:
    """By partition: what is offered, or why nothing is. `no_offering`: no node would help either."""

    offers: dict[str, Offer] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    no_offering: frozenset[str] = frozenset()

    @property
    def why_closed(self) -> str:
        """Every closed pool and its reason."""
        return "; ".join(f"{partition}: {why}" for partition, why in sorted(self.closed.items()))


def open_market(
    policy: Policy,
    cluster: Cluster,
    quotes: Mapping[str, Sequence[Quote]],
    cooled: Sequence[Cooldown],
    taken: frozenset[str],
    now: float,
) -> Market:
    """`quotes` by partition; `taken` are nodes of open reservations and of live instances; `now` Unix s."""
    nodes = {node.name: node for node in cluster.nodes}
    partitions = {partition.name: partition for partition in cluster.partitions}
    offers: dict[str, Offer] = {}
    closed: dict[str, str] = {}
    none: set[str] = set()
    for pool in policy.pools:
        partition = partitions.get(pool.partition)
        if partition is None:
            closed[pool.partition] = "Slurm has no such partition"
            continue
        choice = offerings(
            pool, quotes.get(pool.partition, ()), cooled, cap_micro=pool.max_price_micro, now=now
        )
        if not choice.offerings:
            closed[pool.partition] = choice.why_none
            none.add(pool.partition)
            continue
        ours = [nodes[name] for name in partition.nodes if name in nodes]
        free = tuple(node.name for node in ours if is_free(node) and node.name not in taken)
        if partition.state != "UP":
            closed[pool.partition] = f"its partition is {partition.state}"
        elif not free:
            closed[pool.partition] = f"none of its {len(ours)} nodes is free"
        else:
            offers[pool.partition] = Offer(pool, choice.offerings[0], free)
    return Market(offers, closed, frozenset(none))


def is_free(node: Node) -> bool:
    """Powered down, and Slurm would power it up for a job."""
    return "POWERED_DOWN" in node.state and "IDLE" in node.state and node.is_usable and not node.state & _BUSY

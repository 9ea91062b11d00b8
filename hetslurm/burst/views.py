"""What the kernel scores a spill against: the pools of one on-premises partition, and what the cloud offers.

A view holds only pools that the job could be in: it sits in one on-premises partition and nobody but a spill
moves it. The cloud's pools are Slurm's own partitions of CLOUD nodes, cut down to the nodes that are free, at
the price that is asked now.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hetslurm.cloudburst.market import Market, Offer
from hetslurm.cloudburst.policy import Purchase
from hetslurm.cluster import Cluster
from hetslurm.estimate import Estimate, Source
from hetslurm.inventory import derive_pools
from hetslurm.native.kernel import View
from hetslurm.pool import NO_WAIT, Pool, Rates
from hetslurm.site import Site
from hetslurm.snapshot import build_slot

Backlog = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
# Runs are told apart by this much when it comes to the risk of an interruption.
RISK_STEP_S = 900.0
HOUR_S = 3600.0


def cloud_pools(market: Market, cluster: Cluster, site: Site) -> list[Pool]:
    """The pools of everything on offer: free nodes alone, at today's price, without a wait."""
    partitions = tuple(p for p in cluster.partitions if p.name in market.offers)
    nodes = {node.name: node for node in cluster.nodes}
    found = []
    for pool in derive_pools(replace(cluster, partitions=partitions), site):
        offer = market.offers[pool.partition]
        free = tuple(name for name in offer.free if name in pool.node_names)
        units = float(sum(nodes[name].units(pool.kind, pool.type) for name in free))
        if free:
            found.append(_as_offered(pool, offer, free, units))
    return found


def _as_offered(pool: Pool, offer: Offer, free: tuple[str, ...], units: float) -> Pool:
    return replace(
        pool,
        node_names=free,
        units=units,
        units_free=units,
        wait_s=NO_WAIT,
        wait_source=Source.MEASURED,
        startup_s=Estimate(offer.pool.boot_s, Source.DECLARED),
        price=Rates(node=float(offer.offering.price_micro)),
        price_source=Source.MEASURED,
    )


class Views:
    """Views of one look at the cluster, made when they are first needed."""

    def __init__(
        self,
        cluster: Cluster,
        site: Site,
        home: Sequence[Pool],
        cloud: Sequence[Pool],
        market: Market,
        generation: int = 1,
    ) -> None:
        """`generation` is that of the snapshot which the cluster made."""
        self.generation = generation
        self.cluster = cluster
        self.site = site
        self.home = home
        self.cloud = cloud
        self.market = market
        self._views: dict[tuple[str, bool, frozenset[str], int], View] = {}
        self._units: dict[str, float] = {}
        self._unit_s: dict[str, float] = {}

    def view(
        self, partition: str, *, cloud: bool, named: frozenset[str] = frozenset(), run_s: float = 0.0
    ) -> View:
        """The pools of an on-premises partition ("": none of them), with the cloud's for a run so long.

        `named` are the cloud partitions that count; empty: all.
        """
        step = math.ceil(min(run_s, 30 * 86400.0) / RISK_STEP_S) if cloud else 0
        key = (partition, cloud, named, step)
        if key not in self._views:
            pools = [pool for pool in self.home if pool.partition == partition]
            if cloud:
                mine = [pool for pool in self.cloud if not named or pool.partition in named]
                pools += [self._at_risk(pool, step * RISK_STEP_S) for pool in mine]
            self._views[key] = self._build(pools)
        return self._views[key]

    def backlog(self, view: View) -> Backlog:
        """What jobs before this one in the queue want of the view's pools."""
        return (
            np.array([self._units.get(name, 0.0) for name in view.pools]),
            np.array([self._unit_s.get(name, 0.0) for name in view.pools]),
        )

    def count(self, pool: str, units: float, run_s: float) -> None:
        """A job that stays is in the queue of the next."""
        self._units[pool] = self._units.get(pool, 0.0) + units
        self._unit_s[pool] = self._unit_s.get(pool, 0.0) + units * run_s

    def _at_risk(self, pool: Pool, run_s: float) -> Pool:
        """Spot: the score counts the runs that are expected to be lost."""
        offer = self.market.offers[pool.partition]
        if offer.offering.purchase is not Purchase.SPOT:
            return pool
        return replace(pool, risk=1.0 + offer.pool.interruptions_per_hour * run_s / HOUR_S)

    def _build(self, pools: Sequence[Pool]) -> View:
        """A spill is done by an administrator: that a cloud partition is RootOnly keeps nobody out."""
        cluster, offered = self.cluster, self.market.offers
        partitions = [
            replace(partition, root_only=False) if partition.name in offered else partition
            for partition in cluster.partitions
        ]
        return View(
            build_slot(
                pools,
                partitions,
                cluster.associations,
                cluster.uids,
                cluster.groups,
                self.site,
                generation=self.generation,
                written_at_ns=int(cluster.read_at * 1e9),
                cluster=cluster.name,
                enforces_associations=cluster.enforces_associations,
            )
        )

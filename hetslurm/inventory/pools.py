"""Pools: every partition's nodes, grouped by what they offer. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hetslurm.cluster import UNLIMITED, Cluster, Gres, Node, Partition
from hetslurm.estimate import Estimate
from hetslurm.inventory.facts import facts_of, with_facts
from hetslurm.inventory.names import name_pools
from hetslurm.native.layout import REASON_BITS
from hetslurm.pool import Pool
from hetslurm.site import Site

CPU = "cpu"
# Seconds to load a bitstream where nobody measured or declared it.
BITSTREAM_S = 4.0

# Nodes are alike when a job cannot tell them apart: GRES, cpus, memory, features.
_Shape = tuple[tuple[Gres, ...], int, int, frozenset[str]]


def derive_pools(cluster: Cluster, site: Site) -> list[Pool]:
    """All pools of the cluster, by partition in Slurm's order, without waits.

    Nodes with devices give one pool for every (GRES name, type), and one for their cpus where the site
    says that they take cpu jobs; nodes without give one for their cpus. `units` and `units_free` count
    nodes that are usable and fit only; `node_names` has all.
    """
    nodes = {node.name: node for node in cluster.nodes}
    pools = [
        pool
        for partition in cluster.partitions
        for pool in _pools_of(partition, [nodes[n] for n in partition.nodes if n in nodes], site)
    ]
    return name_pools(pools)


def _pools_of(partition: Partition, nodes: Sequence[Node], site: Site) -> Iterator[Pool]:
    shapes: dict[_Shape, list[Node]] = {}
    for node in nodes:
        devices = (g for g in node.gres if g.count > 0 and _is_device(g, partition.name, site))
        gres = tuple(sorted(devices, key=lambda g: (g.name, g.type)))
        shapes.setdefault((gres, node.cpus, node.mem_mb, node.features), []).append(node)
    for shape in sorted(shapes, key=_order_of_shapes):
        gres = shape[0]
        offers = [(g.name, g.type, g.count) for g in gres]
        if not gres or site.accelerator_nodes_take_cpu_jobs:
            offers.append((CPU, "", 0))
        for kind, type_, count in offers:
            facts = facts_of(site.pools, partition.name, kind, type_)
            if not facts.ignore:
                yield with_facts(_pool(partition, shapes[shape], kind, type_, count), facts)


def _is_device(gres: Gres, partition: str, site: Site) -> bool:
    return gres.name not in site.resource_gres and not site.is_dummy(partition, gres.name, gres.type)


def _order_of_shapes(shape: _Shape) -> tuple[list[tuple[str, str, int]], int, int, list[str]]:
    gres, cpus, mem_mb, features = shape
    return [(g.name, g.type, g.count) for g in gres], cpus, mem_mb, sorted(features)


def _pool(partition: Partition, nodes: Sequence[Node], kind: str, type_: str, devices: int) -> Pool:
    usable = [node for node in nodes if node.is_fit(kind)]
    one = nodes[0]
    return Pool(
        name="",
        partition=partition.name,
        kind=kind,
        type=type_,
        node_names=tuple(sorted(node.name for node in nodes)),
        cpus_per_node=one.cpus,
        devices_per_node=devices,
        mem_mb_per_node=one.mem_mb,
        features=one.features,
        bitstream_s=Estimate(BITSTREAM_S if kind == "fpga" else 0.0),
        max_time_min=partition.max_time_min,
        min_nodes=partition.min_nodes,
        max_nodes=partition.max_nodes,
        max_cpus_per_node=partition.max_cpus_per_node,
        max_mem_mb_per_node=_max_mem_mb(partition, one),
        units=float(sum(node.units(kind, type_) for node in usable)),
        units_free=float(sum(node.free_units(kind, type_) for node in usable)),
        reasons=_reasons(partition, nodes, usable, REASON_BITS),
    )


def _max_mem_mb(partition: Partition, node: Node) -> int:
    """The most that a job may ask of a node: MaxMemPerNode, or MaxMemPerCPU of all its cpus."""
    per_cpu = partition.max_mem_mb_per_cpu
    cpus = min(node.cpus, partition.max_cpus_per_node)
    return min(partition.max_mem_mb_per_node, UNLIMITED if per_cpu == UNLIMITED else per_cpu * cpus)


def _reasons(
    partition: Partition, nodes: Sequence[Node], usable: Sequence[Node], bits: Mapping[str, int]
) -> int:
    reasons = 0
    if partition.state == "DOWN":
        reasons |= bits["PARTITION_DOWN"]
    if not usable:
        reasons |= bits["HEALTH" if any(node.is_usable for node in nodes) else "NO_NODE_UP"]
    return reasons

"""Pools' names: as short as they can be while telling them apart, the same for the same cluster. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from hetslurm.pool import Pool


def name_pools(pools: Sequence[Pool]) -> list[Pool]:
    """Each pool with its name, in the same order.

    The partition's own name where it has one pool; else `partition/kind[-type]`, with `-cCPUS-mMEMG` and
    then features only while that leaves two alike; a number in the end, by node names.
    """
    longer: list[Callable[[Pool], str]] = [_by_partition, _by_device, _by_shape, _by_features]
    names = [longer[0](pool) for pool in pools]
    for render in longer[1:]:
        count = Counter(names)
        names = [name if count[name] == 1 else render(pool) for name, pool in zip(names, pools, strict=True)]
    count = Counter(names)
    order: dict[str, list[int]] = {}
    for n in sorted(range(len(pools)), key=lambda n: pools[n].node_names):
        order.setdefault(names[n], []).append(n)
    for name, alike in order.items():
        if count[name] > 1:
            for number, n in enumerate(alike, start=1):
                names[n] = f"{name}-{number}"
    return [replace(pool, name=name) for name, pool in zip(names, pools, strict=True)]


def _by_partition(pool: Pool) -> str:
    return pool.partition


def _by_device(pool: Pool) -> str:
    return f"{pool.partition}/{pool.kind}" + (f"-{pool.type}" if pool.type else "")


def _by_shape(pool: Pool) -> str:
    devices = f"-x{pool.devices_per_node}" if pool.devices_per_node > 1 else ""
    return f"{_by_device(pool)}{devices}-c{pool.cpus_per_node}-m{round(pool.mem_mb_per_node / 1024)}G"


def _by_features(pool: Pool) -> str:
    features = "-".join(sorted(pool.features))
    return _by_shape(pool) + (f"-{features}" if features else "")

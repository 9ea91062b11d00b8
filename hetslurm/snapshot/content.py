"""From pools, partitions, associations and the site's settings to the bytes of one snapshot slot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetslurm.cluster import Association, Partition
from hetslurm.estimate import RunEstimate
from hetslurm.native.layout import CONSTANTS, FOREVER, checksum
from hetslurm.pool import Pool
from hetslurm.site import DataSite, Site
from hetslurm.slot import PRESET_NAMES, Tables, header_of
from hetslurm.snapshot.access import association_table, partition_table
from hetslurm.snapshot.estimates import estimate_table
from hetslurm.snapshot.layout import pack
from hetslurm.snapshot.names import Names, Ranges, Strings
from hetslurm.snapshot.numbers import numbers

SECONDS_PER_HOUR = 3600.0
BYTES_PER_GB = 1e9
_INT32_MAX = 2**31 - 1


def _counts(values: Iterable[int]) -> NDArray[np.int32]:
    return np.array([min(max(0, int(value)), _INT32_MAX) for value in values], dtype=np.int32)


def order_pools(pools: Sequence[Pool], partitions: Sequence[Partition], names: Names) -> list[Pool]:
    """Pools in the snapshot's order: by kind and type, then by the partition's tier (high first), then name.

    The order decides between placements that score the same. Pools of unknown partitions are left out.
    """
    tier = {partition.name: partition.priority_tier for partition in partitions}
    return sorted(
        (pool for pool in pools if pool.partition in tier),
        key=lambda pool: (names.hash(pool.kind), names.hash(pool.type), -tier[pool.partition], pool.name),
    )


def _pool_table(
    pools: Sequence[Pool], part_of: Mapping[str, int], names: Names, strings: Strings, ranges: Ranges
) -> dict[str, NDArray[Any]]:
    features = [ranges.add(names.hashes(pool.features)) for pool in pools]
    nodes = [ranges.add(names.hashes(pool.node_names)) for pool in pools]
    table: dict[str, Any] = {
        "kind": [names.hash(pool.kind) for pool in pools],
        "type": [names.hash(pool.type) for pool in pools],
        "name": [strings.add(pool.name) for pool in pools],
        "kind_name": [strings.add(pool.kind) for pool in pools],
        "type_name": [strings.add(pool.type) for pool in pools],
        "part": [part_of[pool.partition] for pool in pools],
        "reasons": [pool.reasons for pool in pools],
        "nodes": _counts(len(pool.node_names) for pool in pools),
        "cpus_per_node": _counts(pool.cpus_per_node for pool in pools),
        "devices_per_node": _counts(pool.devices_per_node for pool in pools),
        "mem_mb_per_node": _counts(pool.mem_mb_per_node for pool in pools),
        "limit_min": _counts(pool.max_time_min for pool in pools),
        "min_nodes": _counts(pool.min_nodes for pool in pools),
        "max_nodes": _counts(pool.max_nodes for pool in pools),
        "max_cpus_per_node": _counts(pool.max_cpus_per_node for pool in pools),
        "max_mem_mb_per_node": _counts(pool.max_mem_mb_per_node for pool in pools),
        "feature_first": [first for first, _ in features],
        "feature_count": [count for _, count in features],
        "node_first": [first for first, _ in nodes],
        "node_count": [count for _, count in nodes],
        "units": numbers(pool.units for pool in pools),
        "units_free": numbers(pool.units_free for pool in pools),
        "wait_s": numbers(wait for pool in pools for wait in pool.wait_s),
        "startup_s": numbers(pool.startup_s.value for pool in pools),
        "bitstream": [names.hash(pool.bitstream) if pool.bitstream else 0 for pool in pools],
        "bitstream_id": [names.hash(pool.bitstream_id) if pool.bitstream_id else 0 for pool in pools],
        "bitstream_s": numbers(pool.bitstream_s.value for pool in pools),
        "speed": np.maximum(numbers(pool.speed.value for pool in pools), 1e-9),
        "shadow": numbers(pool.shadow.value for pool in pools),
        "health": np.minimum(numbers(pool.health.value for pool in pools), 1.0),
        "risk": np.maximum(numbers(pool.risk for pool in pools), 1.0),
        "wait_source": [pool.wait_source for pool in pools],
        "startup_source": [pool.startup_s.source for pool in pools],
        "bitstream_source": [pool.bitstream_s.source for pool in pools],
        "speed_source": [pool.speed.source for pool in pools],
        "price_source": [pool.price_source for pool in pools],
        "watt_source": [pool.watts_source for pool in pools],
        "shadow_source": [pool.shadow.source for pool in pools],
        "health_source": [pool.health.source for pool in pools],
    }
    for part in ("cpu", "device", "node"):
        table[f"price_{part}"] = numbers(getattr(pool.price, part) / SECONDS_PER_HOUR for pool in pools)
        table[f"watt_{part}"] = numbers(getattr(pool.watts, part) for pool in pools)
    return table


def _class_table(kinds: Sequence[int], types: Sequence[int]) -> dict[str, Any]:
    """Runs of pools with one kind and type."""
    first = [
        row
        for row in range(len(kinds))
        if row == 0 or (kinds[row], types[row]) != (kinds[row - 1], types[row - 1])
    ]
    return {
        "kind": [kinds[row] for row in first],
        "type": [types[row] for row in first],
        "first": first,
        "count": np.diff([*first, len(kinds)]) if first else [],
    }


def _speed_to(site: DataSite, partition: str) -> float:
    """Bytes per second from a data site to a partition; 0 where the data must not go, FOREVER if unknown."""
    if site.stays and partition not in site.stays:
        return 0.0
    gb_per_s = site.gb_per_s.get(partition, site.gb_per_s.get("*"))
    return FOREVER if gb_per_s is None else gb_per_s * BYTES_PER_GB


def _egress_to(site: DataSite, partition: str) -> float:
    return site.egress_per_gb.get(partition, site.egress_per_gb.get("*", 0.0)) / BYTES_PER_GB


def _write_header(header: Any, site: Site, partitions: Sequence[Partition]) -> None:
    weights = [site.presets[name] for name in PRESET_NAMES]
    header["preset"] = numbers(x for w in weights for x in (w.time, w.cost, w.energy, w.scarcity))
    header["max_age_ns"] = int(min(site.snapshot_max_age_s, FOREVER / 1e9) * 1e9)
    header["default_objective"] = CONSTANTS[f"PRESET_{site.default_objective.upper()}"]
    header["default_part"] = next(
        (row for row, partition in enumerate(partitions) if partition.is_default), CONSTANTS["NO_PARTITION"]
    )
    header["currency"] = site.currency.encode()[:15]
    if site.order.mode == "short-first":
        header["order_points"] = min(max(0, site.order.points), CONSTANTS["MAX_ORDER_POINTS"])
        header["order_short_s"], header["order_long_s"] = numbers(
            (site.order.shortest_s, site.order.longest_s)
        )


def build_slot(
    pools: Sequence[Pool],
    partitions: Sequence[Partition],
    associations: Iterable[Association],
    uids: Mapping[str, int],
    groups: Mapping[str, frozenset[int]],
    site: Site,
    estimates: Iterable[RunEstimate] = (),
    *,
    generation: int,
    written_at_ns: int,
    read_at_ns: int | None = None,
    cluster: str = "",
    enforces_associations: bool = False,
) -> NDArray[np.uint8]:
    """The bytes of one slot, sealed with its checksum.

    `pools` come in any order (see `order_pools`); `uids` maps users to uids (other users that have estimates
    are looked up) and `groups` a group's name to its members' uids. Times are Unix nanoseconds: `read_at_ns`
    is when reading Slurm began (default: `written_at_ns`).
    """
    names, strings, ranges = Names(), Strings(), Ranges()
    part_of = {partition.name: row for row, partition in enumerate(partitions)}
    rows = order_pools(pools, partitions, names)
    pool_table = _pool_table(rows, part_of, names, strings, ranges)
    tables: Tables = {
        "pool": pool_table,
        "cls": _class_table(list(pool_table["kind"]), list(pool_table["type"])),
        "part": partition_table(partitions, groups, names, strings, ranges),
        "assoc": association_table(associations, uids, part_of, names),
        "est": estimate_table(estimates, uids),
        "site": {"prefix": np.array([strings.add(data.prefix) for data in site.data], dtype=np.uint32)},
        "link": {
            "bytes_per_s": numbers(_speed_to(data, pool.partition) for data in site.data for pool in rows),
            "egress": numbers(_egress_to(data, pool.partition) for data in site.data for pool in rows),
        },
        "ids": {"id": ranges.column()},
        "str": {"byte": strings.column()},
    }
    slot = pack(tables, {table: len(next(iter(columns.values()))) for table, columns in tables.items()})
    header = header_of(slot)
    _write_header(header, site, partitions)
    header["cluster"] = cluster.encode()[:63]
    header["generation"] = generation
    header["written_at_ns"] = written_at_ns
    header["read_at_ns"] = written_at_ns if read_at_ns is None else read_at_ns
    if enforces_associations:
        header["flags"] |= CONSTANTS["SLOT_ASSOCIATIONS"]
    if site.on_absent == "reject":
        header["flags"] |= CONSTANTS["SLOT_REJECT_ABSENT"]
    header["checksum"] = checksum(slot[CONSTANTS["SUM_START"] :])
    return slot

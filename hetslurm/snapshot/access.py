"""Who may use which partition: the snapshot's tables of partitions and associations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hetslurm.cluster import Association, Partition
from hetslurm.native.layout import CONSTANTS
from hetslurm.snapshot.names import Names, Ranges, Strings

ANY_PARTITION = CONSTANTS["NO_PARTITION"]


def partition_flags(partition: Partition) -> int:
    """HET_PART_* bits. Slurm lets an allow list win over a deny list of the same kind."""
    holds = {
        "ROOT_ONLY": partition.root_only,
        "NO_ROOT": partition.disable_root_jobs,
        "REQ_RESV": partition.req_resv,
        "ALLOW_ACCOUNT": partition.allow_accounts is not None,
        "DENY_ACCOUNT": partition.allow_accounts is None and bool(partition.deny_accounts),
        "ALLOW_QOS": partition.allow_qos is not None,
        "DENY_QOS": partition.allow_qos is None and bool(partition.deny_qos),
        "ALLOW_UID": partition.allow_groups is not None,
        "ALLOW_HOST": partition.alloc_nodes is not None,
        "NO_SUBMIT": partition.state in ("DRAIN", "INACTIVE"),
        "DOWN": partition.state == "DOWN",
    }
    return sum(CONSTANTS[f"PART_{name}"] for name, held in holds.items() if held)


def _lower(names: frozenset[str] | None, otherwise: frozenset[str] = frozenset()) -> list[str]:
    """slurmctld lowers accounts and QOS, in its configuration and in jobs."""
    return [name.lower() for name in (otherwise if names is None else names)]


def partition_table(
    partitions: Sequence[Partition],
    groups: Mapping[str, frozenset[int]],
    names: Names,
    strings: Strings,
    ranges: Ranges,
) -> dict[str, Any]:
    """One row a partition, in the order given."""
    table: dict[str, Any] = {
        "hash": [names.hash(partition.name) for partition in partitions],
        "name": [strings.add(partition.name) for partition in partitions],
        "flags": [partition_flags(partition) for partition in partitions],
    }
    lists: dict[str, list[tuple[int, ...]]] = {
        "account": [names.hashes(_lower(p.allow_accounts, p.deny_accounts)) for p in partitions],
        "qos": [names.hashes(_lower(p.allow_qos, p.deny_qos)) for p in partitions],
        "uid": [
            tuple(sorted({uid for group in p.allow_groups or () for uid in groups.get(group, ())}))
            for p in partitions
        ],
        "host": [names.hashes(p.alloc_nodes or ()) for p in partitions],
    }
    for name, rows in lists.items():
        places = [ranges.add(row) for row in rows]
        table[f"{name}_first"] = [first for first, _ in places]
        table[f"{name}_count"] = [count for _, count in places]
    return table


def association_table(
    associations: Iterable[Association], uids: Mapping[str, int], part_of: Mapping[str, int], names: Names
) -> dict[str, Any]:
    """Sorted by (uid, account, partition). Users without a uid and partitions that are gone are left out."""
    rows = sorted(
        (
            uids[a.user],
            names.hash(a.account.lower()),
            part_of[a.partition] if a.partition else ANY_PARTITION,
            names.hash(a.default_qos.lower()),
            int(a.is_default),
        )
        for a in associations
        if a.user in uids and (not a.partition or a.partition in part_of)
    )
    return {
        "uid": [row[0] for row in rows],
        "account": [row[1] for row in rows],
        "part": [row[2] for row in rows],
        "default_qos": [row[3] for row in rows],
        "is_default": [row[4] for row in rows],
    }

"""`scontrol show partition -o` and `scontrol show config` as values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hetslurm.cluster import UNLIMITED, Partition, PriorityRules
from hetslurm.errors import SlurmError
from hetslurm.slurm.durations import parse_minutes, parse_seconds
from hetslurm.slurm.hostlist import expand_hostlist
from hetslurm.slurm.version import SlurmVersion, parse_version

_FIELD = re.compile(r"(?:^| )([A-Za-z]+)=(\S*)")
_DATABASE = "accounting_storage/slurmdbd"
_SETTING = re.compile(r"^(\w+) *= (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Settings:
    """What matters of slurm.conf. `max_mem_mb_per_*` hold where a partition sets neither."""

    cluster: str
    version: SlurmVersion
    slurm_user: str
    has_database: bool
    enforces_associations: bool
    max_mem_mb_per_node: int = UNLIMITED
    max_mem_mb_per_cpu: int = UNLIMITED
    priority: PriorityRules = PriorityRules()


def parse_settings(text: str) -> Settings:
    """`scontrol show config`."""
    found = {key: value.strip() for key, value in _SETTING.findall(text)}
    try:
        enforce = found.get("AccountingStorageEnforce", "none").lower().split(",")
        return Settings(
            cluster=found["ClusterName"],
            version=parse_version(found["SLURM_VERSION"]),
            slurm_user=found["SlurmUser"].partition("(")[0],
            has_database=found.get("AccountingStorageType", "") == _DATABASE,
            enforces_associations="associations" in enforce,
            max_mem_mb_per_node=_number(found.get("MaxMemPerNode")),
            max_mem_mb_per_cpu=_number(found.get("MaxMemPerCPU")),
            priority=_priority(found),
        )
    except KeyError as missing:
        raise SlurmError(f"scontrol show config has no {missing}") from None


def _priority(found: dict[str, str]) -> PriorityRules:
    age = parse_seconds(found.get("PriorityMaxAge", ""))
    return PriorityRules(
        found.get("PriorityType", "priority/basic"),
        _number(found.get("PriorityWeightAge", "0")),
        PriorityRules().max_age_s if age is None else age,
        found.get("AccountingStorageType", "") == _DATABASE,
    )


def parse_partitions(text: str, settings: Settings) -> Iterator[Partition]:
    """Partitions in Slurm's order."""
    for line in text.splitlines():
        fields = dict(_FIELD.findall(line))
        if "PartitionName" not in fields:
            continue
        own_memory = any(fields.get(k, "UNLIMITED") != "UNLIMITED" for k in ("MaxMemPerNode", "MaxMemPerCPU"))
        max_time = parse_minutes(fields.get("MaxTime", "UNLIMITED"))
        yield Partition(
            name=fields["PartitionName"],
            nodes=expand_hostlist(fields.get("Nodes", "")),
            state=fields.get("State", "UP").upper(),
            is_default=_yes(fields, "Default"),
            max_time_min=UNLIMITED if max_time is None else max_time,
            default_time_min=parse_minutes(fields.get("DefaultTime", "NONE")),
            min_nodes=int(fields.get("MinNodes", 0)),
            max_nodes=_number(fields.get("MaxNodes")),
            max_cpus_per_node=_number(fields.get("MaxCPUsPerNode")),
            max_mem_mb_per_node=_number(fields.get("MaxMemPerNode"))
            if own_memory
            else settings.max_mem_mb_per_node,
            max_mem_mb_per_cpu=_number(fields.get("MaxMemPerCPU"))
            if own_memory
            else settings.max_mem_mb_per_cpu,
            allow_accounts=_allowed(fields.get("AllowAccounts")),
            deny_accounts=_denied(fields.get("DenyAccounts")),
            allow_qos=_allowed(fields.get("AllowQos")),
            deny_qos=_denied(fields.get("DenyQos")),
            allow_groups=_allowed(fields.get("AllowGroups")),
            alloc_nodes=_hosts(fields.get("AllocNodes")),
            root_only=_yes(fields, "RootOnly"),
            disable_root_jobs=_yes(fields, "DisableRootJobs"),
            req_resv=_yes(fields, "ReqResv"),
            priority_tier=int(fields.get("PriorityTier", 1)),
        )


def _yes(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "NO") == "YES"


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else UNLIMITED


def _allowed(text: str | None) -> frozenset[str] | None:
    return None if text in {None, "", "ALL", "(null)"} else frozenset(str(text).split(","))


def _denied(text: str | None) -> frozenset[str]:
    return _allowed(text) or frozenset()


def _hosts(text: str | None) -> frozenset[str] | None:
    return None if text in {None, "", "ALL", "(null)"} else frozenset(expand_hostlist(str(text)))

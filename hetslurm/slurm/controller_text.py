"""What slurmctld says of itself: `sdiag`, `sprio` and `scontrol show config`, as values. Pure."""

from __future__ import annotations

import re

from hetslurm.errors import SlurmError

_UPDATES = re.compile(r"^\s*REQUEST_UPDATE_NODE\s+\([^)]*\)\s+count:(\d+)", re.MULTILINE)
_TABLE = "Remote Procedure Call statistics by message type"
_STARTED = re.compile(r"^BOOT_TIME\s*=\s*(\d+)\s*$", re.MULTILINE)


def parse_node_updates(text: str) -> int:
    """The count of REQUEST_UPDATE_NODE in `sdiag`; 0 where the table has no such line yet."""
    if _TABLE not in text:
        raise SlurmError("sdiag shows no statistics by message type")
    found = _UPDATES.search(text)
    return int(found[1]) if found else 0


def parse_site_factors(text: str) -> dict[int, int]:
    """`sprio -h -o "%i %S"` by job id. A job of several partitions has a line for each, all the same."""
    factors = {}
    for line in text.splitlines():
        job, _, factor = line.partition(" ")
        if job.isdigit() and factor.strip().lstrip("-").isdigit():
            factors[int(job)] = int(factor)
    return factors


def parse_started_at(text: str) -> float:
    """BOOT_TIME of `scontrol show config` under SLURM_TIME_FORMAT=%s: slurmctld's own start, Unix seconds."""
    found = _STARTED.search(text)
    if found is None:
        raise SlurmError("scontrol show config has no BOOT_TIME that can be read")
    return float(found[1])

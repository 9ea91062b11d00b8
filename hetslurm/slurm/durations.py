"""Slurm's words for spans of time and instants, as numbers. Pure."""

from __future__ import annotations

import re

from hetslurm.cluster import UNLIMITED
from hetslurm.errors import SlurmError

_SPAN = re.compile(r"(?:(\d+)-)?(?:(?:(\d+):)?(\d+):)?(\d+)")


def parse_minutes(text: str) -> int | None:
    """`1-00:00:00`, `10:00` or `UNLIMITED` as minutes, rounded up; None for `NONE`, `N/A`, `INVALID`."""
    if text in {"UNLIMITED", "INFINITE"}:
        return UNLIMITED
    if text in {"", "NONE", "N/A", "INVALID", "NOT_SET", "Partition_Limit"}:
        return None
    found = _SPAN.fullmatch(text)
    if not found:
        raise SlurmError(f"not a time limit of Slurm's: {text[:40]!r}")
    days, hours, minutes, seconds = (int(g or 0) for g in found.groups())
    return min(days * 1440 + hours * 60 + minutes + (seconds > 0), UNLIMITED)


def parse_instant(text: str) -> float | None:
    """Unix seconds under SLURM_TIME_FORMAT=%s; None where Slurm says nothing."""
    return float(text) if text.isdigit() and text != "0" else None

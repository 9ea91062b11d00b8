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
    seconds = parse_seconds(text)
    if seconds is None:
        raise SlurmError(f"not a time limit of Slurm's: {text[:40]!r}")
    return min(-(-seconds // 60), UNLIMITED)


def parse_seconds(text: str) -> int | None:
    """`7-00:00:00` as seconds; None for what is no such span."""
    found = _SPAN.fullmatch(text)
    if not found:
        return None
    days, hours, minutes, seconds = (int(g or 0) for g in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def parse_instant(text: str) -> float | None:
    """Unix seconds under SLURM_TIME_FORMAT=%s; None where Slurm says nothing."""
    return float(text) if text.isdigit() and text != "0" else None

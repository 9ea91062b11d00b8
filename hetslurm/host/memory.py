"""Memory, swap, and what the kernel killed for want of it: /proc/meminfo and /proc/vmstat."""

from __future__ import annotations

from hetslurm.host.kernelfs import number, read_text
from hetslurm.telemetry import UNKNOWN

KIB_PER_MIB = 1024


def parse_meminfo(text: str) -> dict[str, float]:
    """mem_total_mb, mem_available_mb, swap_used_ratio. A machine without swap uses none of it: 0."""
    swap = _field(text, "SwapTotal:")
    free = _field(text, "SwapFree:")
    # NaN compares false, so that an unknown total is not taken for no swap.
    used = 0.0 if swap == 0 else (swap - free) / swap
    return {
        "mem_total_mb": _field(text, "MemTotal:") / KIB_PER_MIB,
        "mem_available_mb": _field(text, "MemAvailable:") / KIB_PER_MIB,
        "swap_used_ratio": used,
    }


def parse_oom_kills(vmstat: str) -> float:
    """Processes killed since boot, also those of a job beyond its own limit; NaN before Linux 4.13."""
    return _field(vmstat, "oom_kill ")


def read_memory(base: str) -> dict[str, float]:
    """All of the above; what is unknown is left out."""
    values: dict[str, float] = {}
    if (meminfo := read_text(f"{base}/proc/meminfo")) is not None:
        values.update(parse_meminfo(meminfo))
    if (vmstat := read_text(f"{base}/proc/vmstat")) is not None:
        values["oom_kills"] = parse_oom_kills(vmstat)
    return values


def _field(text: str, name: str) -> float:
    """The number after `name` at the start of a line, in the kernel's own unit (KiB in meminfo)."""
    start = 0 if text.startswith(name) else text.find("\n" + name) + 1
    if start == 0 and not text.startswith(name):
        return UNKNOWN
    end = text.find("\n", start)
    words = text[start + len(name) : end if end >= 0 else len(text)].split(None, 1)
    return number(words[0]) if words else UNKNOWN

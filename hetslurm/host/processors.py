"""Load, cpus online, time since boot."""

from __future__ import annotations

from hetslurm.host.kernelfs import number, read_text
from hetslurm.telemetry import UNKNOWN


def parse_first(text: str) -> float:
    """The first number of a line of numbers (/proc/loadavg, /proc/uptime)."""
    words = text.split(None, 1)
    return number(words[0]) if words else UNKNOWN


def parse_cpu_list(text: str) -> tuple[int, ...] | None:
    """The cpus of a list such as "0-3,8"; None when it is no such list."""
    cpus: list[int] = []
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            return None
        cpus.extend(range(int(first), int(last if dash else first) + 1))
    return tuple(cpus)


def read_processors(base: str) -> dict[str, float]:
    """load1, cpus, uptime_s; what is unknown is left out."""
    values: dict[str, float] = {}
    if (loadavg := read_text(f"{base}/proc/loadavg", 128)) is not None:
        values["load1"] = parse_first(loadavg)
    if (uptime := read_text(f"{base}/proc/uptime", 128)) is not None:
        values["uptime_s"] = parse_first(uptime)
    online = read_text(f"{base}/sys/devices/system/cpu/online", 4096)
    if online is not None and (cpus := parse_cpu_list(online)):
        values["cpus"] = float(len(cpus))
    return values

"""What the agent itself takes of its node, children included."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds since the start, of ended children, too; memory in bytes, shared pages divided."""

    cpu_s: float
    memory_bytes: int


def read_usage(pids: Iterable[int]) -> Usage:
    """The sum over these processes; those that are gone count nothing."""
    ticks, kib = 0, 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            # utime, stime, cutime, cstime, behind a name that may hold anything.
            ticks += sum(int(word) for word in stat.rpartition(")")[2].split()[11:15])
            kib += _pss_kib(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"))
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), kib * 1024)


def _pss_kib(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0

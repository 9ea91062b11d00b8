"""Pressure stall information: /proc/pressure (kernel documentation, accounting/psi)."""

from __future__ import annotations

from hetslurm.host.kernelfs import number, read_text
from hetslurm.telemetry import UNKNOWN

# Metric, file, line: "some" counts time in which any task waited, "full" in which all did.
STALLS = (
    ("psi_cpu_some", "cpu", "some"),
    ("psi_memory_full", "memory", "full"),
    ("psi_io_full", "io", "full"),
)


def parse_pressure(text: str, line: str) -> float:
    """avg10 of the line that starts with `line`, in percent; NaN when it is not there."""
    for row in text.splitlines():
        words = row.split()
        if words and words[0] == line:
            for word in words[1:]:
                if word.startswith("avg10="):
                    return number(word[6:])
    return UNKNOWN


def read_pressure(base: str) -> dict[str, float]:
    """The three shares; none of them where the kernel keeps no such account (psi=0, or before Linux 4.20)."""
    values: dict[str, float] = {}
    for metric, file, line in STALLS:
        if (text := read_text(f"{base}/proc/pressure/{file}")) is not None:
            values[metric] = parse_pressure(text, line)
    return values

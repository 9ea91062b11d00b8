"""Small files of proc and sys. What cannot be read, or says no number, is unknown: None or NaN, never 0."""

from __future__ import annotations

import math
import os
from pathlib import Path

from hetslurm.telemetry import UNKNOWN

# /proc/cpuinfo of a large machine is longer: only its first processor is of interest.
MAX_BYTES = 262144


def base_of(root: Path) -> str:
    """`root` as a prefix of "/proc/…" and "/sys/…": joining paths would cost more than reading them."""
    return str(root).rstrip("/")


def read_text(path: str, limit: int = MAX_BYTES) -> str | None:
    """The first `limit` bytes of a file; None when it cannot be read. Other than UTF-8: surrogates."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        data = os.read(fd, limit)
        # A proc file may come in pieces, each as long as the kernel found handy.
        while 0 < len(data) < limit and (more := os.read(fd, limit - len(data))):
            data += more
    except OSError:
        return None
    finally:
        os.close(fd)
    return data.decode("utf-8", "surrogateescape")


def number(text: str | None) -> float:
    """A decimal number, spaces around it allowed; NaN for anything else."""
    if text is None:
        return UNKNOWN
    try:
        value = float(text)
    except ValueError:
        return UNKNOWN
    return value if math.isfinite(value) else UNKNOWN


def read_number(path: str) -> float:
    """The number that a file holds; NaN when there is none."""
    return number(read_text(path, 64))


def entries(path: str) -> list[str]:
    """The names in a folder, sorted; none when there is no such folder."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def printable(text: str, limit: int = 200) -> str:
    """`text` as a fact can carry it: one line of valid UTF-8 without control characters."""
    cut = text[:limit].encode("utf-8", "replace").decode("utf-8")
    return "".join(letter if letter.isprintable() else "?" for letter in cut)

"""Slurm's node lists: `cpu[1-2],rack[01-02]n[1-3]` to names. Pure and bounded."""

from __future__ import annotations

import re
from functools import lru_cache

from hetslurm.errors import SlurmError

MAX_NAMES = 1 << 17
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


@lru_cache(maxsize=4096)
def expand_hostlist(text: str) -> tuple[str, ...]:
    """The names in `text`, in its order; `(null)`, `None` and blank are none.

    Raises SlurmError for what Slurm would not write, or more than `MAX_NAMES` names.
    """
    if text.strip() in {"", "(null)", "None", "N/A"}:
        return ()
    names: list[str] = []
    for item in _split(text):
        names.extend(_expand_item(item, MAX_NAMES - len(names)))
    return tuple(names)


def _split(text: str) -> list[str]:
    """Parts between the commas that are outside brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c == "[":
            depth += 1
        elif c == "]":
            depth -= 1
        elif c == "," and not depth:
            parts.append(text[start:i])
            start = i + 1
        if depth not in {0, 1}:
            raise SlurmError(f"a node list with brackets that do not match: {text[:200]!r}")
    if depth:
        raise SlurmError(f"a node list that was cut: {text[:200]!r}")
    parts.append(text[start:])
    return [part for part in (p.strip() for p in parts) if part]


def _expand_item(item: str, room: int) -> list[str]:
    """One `prefix[ranges]suffix…`, every bracket from left to right."""
    names = [""]
    for n, piece in enumerate(re.split(r"\[([^\]]*)\]", item)):
        ends = _expand_ranges(piece, room) if n % 2 else [piece]
        if len(names) * len(ends) > room:
            raise SlurmError(f"a node list of more than {MAX_NAMES} names: {item[:200]!r}")
        names = [name + end for name in names for end in ends]
    return names


def _expand_ranges(text: str, room: int) -> list[str]:
    """`01-03,7` as ["01", "02", "03", "7"]; the width of the low end is kept."""
    ends: list[str] = []
    for part in text.split(","):
        found = _RANGE.fullmatch(part)
        if not found:
            raise SlurmError(f"not a range of node numbers: {part[:200]!r}")
        low, width = int(found[1]), len(found[1])
        high = int(found[2]) if found[2] else low
        if high < low or high - low >= room - len(ends):
            raise SlurmError(f"a range of node numbers that is empty or too long: {part[:200]!r}")
        ends.extend(f"{i:0{width}d}" for i in range(low, high + 1))
    return ends

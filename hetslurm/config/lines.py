"""Which line of a TOML text each key is on: tomllib does not say, and people want to know.

A best effort for messages alone: a key it cannot place simply has no line.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\s*(\[\[?)\s*(.+?)\s*(\]\]?)\s*(?:#.*)?$")
_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_KEY = re.compile(rf"^\s*({_WORD}(?:\s*\.\s*{_WORD})*)\s*=")
_PART = re.compile(_WORD)


def key_lines(text: str) -> dict[str, int]:
    """Key paths (`controller.cycle_s`, `pool[2].speed`, entries counted from 1) to 1-based lines."""
    lines: dict[str, int] = {}
    entries: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header:
            name = _join("", header[2])
            if header[1] == "[[":
                entries[name] = entries.get(name, 0) + 1
                table = f"{name}[{entries[name]}]"
            else:
                table = _inside_entries(name, entries)
            lines.setdefault(table, number)
            continue
        key = _KEY.match(line)
        if key:
            lines.setdefault(_join(table, key[1]), number)
    return lines


def _join(table: str, key: str) -> str:
    parts = [part.strip("\"'") for part in _PART.findall(key)]
    return ".".join([table, *parts] if table else parts)


def _inside_entries(name: str, entries: dict[str, int]) -> str:
    """`[pool.watts]` after two `[[pool]]` belongs to `pool[2]`."""
    parts = name.split(".")
    path = ""
    for part in parts:
        path = f"{path}.{part}" if path else part
        if path in entries and path != name:
            path = f"{path}[{entries[path]}]"
    return path

"""XRT's JSON, where every number is text and what is not there is "", "N/A" or 0. Pure.

XRT writes it with Boost's property trees: no numbers, no booleans, and an empty list is an empty text. Newer
releases and other writers may use the real types, so both are read. Nothing here raises, whatever is in it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

TEXT_MAX = 1 << 20  # sixteen cards' worth of sensors are a tenth of that
FACT_MAX = 128
_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,16}")


def parse(text: str) -> object:
    """The tree, or None where the text is no JSON, or too much of it."""
    if len(text) > TEXT_MAX:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def find(tree: object, *path: str) -> object:
    """What is at a path of keys; None where the path ends early."""
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def items(tree: object, *path: str) -> list[object]:
    """The list at a path; empty for anything else."""
    found = find(tree, *path)
    return found if isinstance(found, list) else []


def number(found: object) -> float | None:
    """A number that is not negative, from text (decimal or 0x…) or a number; else None."""
    if isinstance(found, bool):
        return None
    if isinstance(found, int | float):
        try:
            value = float(found)
        except OverflowError:
            return None
        return value if math.isfinite(value) and value >= 0 else None
    if not isinstance(found, str):
        return None
    text = found.strip()
    if _HEX.fullmatch(text):
        return float(int(text, 16))
    return float(text) if _DECIMAL.fullmatch(text) else None


def positive(found: object) -> float | None:
    """The same, where 0 is XRT's word for "no idea"."""
    return number(found) or None


def is_true(found: object) -> bool:
    """Whether it says true; anything unclear does not."""
    return found is True or (isinstance(found, str) and found.strip().lower() in {"true", "1"})


def word(found: object) -> str:
    """A printable text of at most FACT_MAX characters; "" for what is none, or says that nobody knows."""
    if not isinstance(found, str):
        return ""
    text = "".join(letter for letter in found[:FACT_MAX] if letter.isascii() and letter.isprintable()).strip()
    return "" if text.lower() in {"n/a", "na", "none", "unknown"} else text

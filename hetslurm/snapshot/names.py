"""The two heaps of a slot that columns point into: strings, and sorted ranges of ids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hetslurm.native.layout import name_hash


class Names:
    """Hashes of names, each computed once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def hash(self, name: str) -> int:
        """The name's 64-bit hash; 0 for the empty one."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = name_hash(name)
        return known

    def hashes(self, names: Iterable[str]) -> tuple[int, ...]:
        """The names' hashes, sorted, each once."""
        return tuple(sorted({self.hash(name) for name in names}))


class Strings:
    """NUL-terminated strings in one run of bytes, each stored once; the empty one is at 0."""

    def __init__(self) -> None:
        self._bytes = bytearray(b"\0")
        self._at: dict[str, int] = {"": 0}

    def add(self, text: str) -> int:
        """The string's offset."""
        at = self._at.get(text)
        if at is None:
            at = self._at[text] = len(self._bytes)
            self._bytes += text.encode("utf-8", "surrogateescape").replace(b"\0", b"") + b"\0"
        return at

    def column(self) -> NDArray[np.bytes_]:
        """All of it, a byte an element."""
        return np.frombuffer(bytes(self._bytes), dtype="S1")


class Ranges:
    """Sorted ranges of ids; equal ones are stored once, so that partitions over the same nodes share."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._at: dict[tuple[int, ...], int] = {(): 0}

    def add(self, ids: tuple[int, ...]) -> tuple[int, int]:
        """(first, count) of these sorted ids."""
        at = self._at.get(ids)
        if at is None:
            at = self._at[ids] = len(self._ids)
            self._ids.extend(ids)
        return at, len(ids)

    def column(self) -> NDArray[np.uint64]:
        """All ids."""
        return np.array(self._ids, dtype=np.uint64)

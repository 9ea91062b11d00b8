"""A slot's columns as NumPy arrays: what the twin reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hetslurm.slot import header_of, unpack


@dataclass(frozen=True, slots=True)
class Tables:
    """`columns[table][name]`: (rows,), or (rows, n) where a row has n values. `head`: the slot's header."""

    columns: dict[str, dict[str, npt.NDArray[Any]]]
    head: Any

    def rows(self, table: str) -> int:
        """How many rows a table has."""
        return len(next(iter(self.columns[table].values())))


def tables_of(slot: bytes) -> Tables:
    """The columns of a checked slot (`View.slot`); arrays over its bytes."""
    content = np.frombuffer(slot, dtype=np.uint8)
    return Tables(unpack(content), header_of(content))

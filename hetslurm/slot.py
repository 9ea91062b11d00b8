"""A snapshot slot as NumPy arrays, by the one declaration of its layout in C (`snapshot_layout.h`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetslurm.native.layout import CONSTANTS, layout_fields, slot_fields
from hetslurm.site import PRESETS


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `index` is its place in the slot's offsets, `per_row` how many values a row has."""

    table: str
    name: str
    dtype: np.dtype[Any]
    per_row: int
    index: int
    table_index: int


COLUMNS: tuple[Column, ...] = tuple(
    Column(table, name, np.dtype(kind), per_row, index, table_index)
    for index, (table, name, kind, per_row, table_index) in enumerate(layout_fields())
)

# The weights' presets, in the order of the header's `preset` and `default_objective`.
PRESET_NAMES = tuple(sorted(PRESETS, key=lambda name: CONSTANTS[f"PRESET_{name.upper()}"]))

Tables = dict[str, dict[str, NDArray[Any]]]


def header_dtype(fields: tuple[tuple[str, str, int, int], ...], size: int) -> np.dtype[Any]:
    """The dtype of a header of `size` bytes from its declared fields."""
    return np.dtype(
        {
            "names": [name for name, _, _, _ in fields],
            "formats": [(kind, (count,)) if count > 1 else kind for _, kind, _, count in fields],
            "offsets": [offset for _, _, offset, _ in fields],
            "itemsize": size,
        }
    )


SLOT = header_dtype(slot_fields(), CONSTANTS["SLOT_BYTES"])


def header_of(slot: NDArray[np.uint8]) -> Any:
    """The slot's header, as a record that shares its memory."""
    return slot[: SLOT.itemsize].view(SLOT)[0]


def unpack(slot: NDArray[np.uint8]) -> Tables:
    """Every column of a checked slot by table and name, sharing its memory; `per_row` > 1 has two axes."""
    header = header_of(slot)
    tables: Tables = {}
    for column in COLUMNS:
        start = int(header["offset"][column.index])
        rows = int(header["rows"][column.table_index])
        values = slot[start : start + rows * column.per_row * column.dtype.itemsize].view(column.dtype)
        if column.per_row > 1:
            values = values.reshape(column.per_row, rows).T
        tables.setdefault(column.table, {})[column.name] = values
    return tables

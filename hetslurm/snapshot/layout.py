"""Making a slot and the file around it, in the layout that `snapshot_layout.h` declares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hetslurm.native.layout import CONSTANTS, file_fields
from hetslurm.slot import COLUMNS, SLOT, Tables, header_dtype

FILE = header_dtype(file_fields(), CONSTANTS["FILE_BYTES"])
ALIGN = CONSTANTS["ALIGN"]


def aligned(size: int) -> NDArray[np.uint8]:
    """`size` zeroed bytes at an address that ALIGN divides."""
    room = np.zeros(size + ALIGN, dtype=np.uint8)
    start = -room.ctypes.data % ALIGN
    return room[start : start + size]


def pack(tables: Tables, rows: dict[str, int]) -> NDArray[np.uint8]:
    """A slot that holds these columns. Its header has `used`, `rows` and `offset`, and zeroes else.

    `tables[table][column]` has `rows[table]` values, or as many rows of `per_row` values (stored column
    by column).
    """
    places: list[tuple[int, int]] = []
    end = SLOT.itemsize
    for column in COLUMNS:
        start = -(-end // ALIGN) * ALIGN
        end = start + rows[column.table] * column.per_row * column.dtype.itemsize
        places.append((start, end))
    slot = aligned(end)
    header = slot[: SLOT.itemsize].view(SLOT)[0]
    header["used"] = end
    for column, (start, stop) in zip(COLUMNS, places, strict=True):
        header["rows"][column.table_index] = rows[column.table]
        header["offset"][column.index] = start
        values = np.ascontiguousarray(tables[column.table][column.name], dtype=column.dtype)
        if column.per_row > 1:
            values = np.ascontiguousarray(values.reshape(-1, column.per_row).T)
        slot[start:stop] = values.reshape(-1).view(np.uint8)
    return slot

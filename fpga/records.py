"""Errors that the driver records of a card: the file `xocl_errors` of its sysfs folder. Pure.

Source: struct xcl_errors and xclErrorLast in XRT's xclerr_int.h, xrtErrorCode in xrt_error_code.h. The driver
keeps the newest 32; who wants to count has to remember.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_COUNT = struct.Struct("=i4x")
_RECORD = struct.Struct("=QQI4x")
CAPACITY = 32
FILE_BYTES = _COUNT.size + CAPACITY * _RECORD.size

_NUMBERS = (
    "", "firewall trip", "temperature high", "AIE saturation", "AIE floating point", "AIE stream",
    "AIE access", "AIE bus", "AIE instruction", "AIE ECC", "AIE lock", "AIE DMA", "AIE memory parity",
    "compute unit", "execution",
)  # fmt: skip
_SEVERITIES = ("", "emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """One error: its code (see xrt_error_code.h), the driver's time, the process it is blamed on or 0."""

    code: int
    time: int
    pid: int

    @property
    def text(self) -> str:
        """What it means, for an admin's eyes."""
        number = self.code & 0xFFFF
        severity = self.code >> 24 & 0xF
        name = _NUMBERS[number] if 0 < number < len(_NUMBERS) else f"error {number}"
        return f"{name} ({_SEVERITIES[severity]})" if 0 < severity < len(_SEVERITIES) else name


def parse_records(raw: bytes) -> tuple[ErrorRecord, ...] | None:
    """The records, oldest first; None for anything else (the driver may write a sentence instead)."""
    if len(raw) != FILE_BYTES:
        return None
    (count,) = _COUNT.unpack_from(raw)
    if not 0 <= count <= CAPACITY:
        return None
    return tuple(
        ErrorRecord(*_RECORD.unpack_from(raw, _COUNT.size + index * _RECORD.size)) for index in range(count)
    )


class Tally:
    """Counts the errors of one card past the 32 that the driver keeps."""

    def __init__(self) -> None:
        self._last: tuple[ErrorRecord, ...] = ()
        self.total = 0

    def add(self, records: tuple[ErrorRecord, ...]) -> int:
        """How many there have been, with these as the newest that the driver knows."""
        self.total += len(records) - _overlap(self._last, records)
        self._last = records
        return self.total


def _overlap(before: tuple[ErrorRecord, ...], now: tuple[ErrorRecord, ...]) -> int:
    """How many of `now`'s first records are `before`'s last ones."""
    sizes = range(min(len(before), len(now)), 0, -1)
    return next((size for size in sizes if before[-size:] == now[:size]), 0)

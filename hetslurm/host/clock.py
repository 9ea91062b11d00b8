"""Whether anything disciplines the kernel's clock: adjtimex(2), which asks and changes nothing."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

STA_UNSYNC = 0x0040
STA_CLOCKERR = 0x1000
STA_NANO = 0x2000

# status and offset of the clock; None when the kernel does not say.
ReadClock = Callable[[], tuple[int, int] | None]


class _Timex(ctypes.Structure):
    """struct timex of <sys/timex.h>."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", ctypes.c_long * 2),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )


def clock_values(status: int, offset: int) -> dict[str, float]:
    """clock_synced, and clock_offset_s where the clock is disciplined: otherwise the offset says nothing."""
    if status & (STA_UNSYNC | STA_CLOCKERR):
        return {"clock_synced": 0.0}
    return {"clock_synced": 1.0, "clock_offset_s": offset / (1e9 if status & STA_NANO else 1e6)}


def read_kernel_clock() -> tuple[int, int] | None:
    """(status, offset) of the running kernel."""
    try:
        ask = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    timex = _Timex()
    if ask(ctypes.byref(timex)) < 0:
        return None
    return int(timex.status), int(timex.offset)


def read_clock(read: ReadClock = read_kernel_clock) -> dict[str, float]:
    """The values of the clock; none when nobody knows."""
    clock = read()
    return {} if clock is None else clock_values(*clock)

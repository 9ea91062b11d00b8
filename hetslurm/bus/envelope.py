"""What a relay sends: the public key that it authenticated, and the report as it came.

0x52 ("R")   version   public key in Z85, 40 bytes   report (hetslurm.bus.wire)
"""

from __future__ import annotations

VERSION = 1
_KEY_BYTES = 40
_PREFIX = bytes((0x52, VERSION))
EXTRA_BYTES = len(_PREFIX) + _KEY_BYTES


def wrap(public: str, report: bytes) -> bytes:
    """The envelope of one report."""
    return b"".join((_PREFIX, public.encode("ascii"), report))


def unwrap(data: bytes) -> tuple[str, bytes] | None:
    """Key and report, both unchecked; None: no envelope."""
    if not data.startswith(_PREFIX) or len(data) < EXTRA_BYTES:
        return None
    return data[len(_PREFIX) : EXTRA_BYTES].decode("latin-1"), data[EXTRA_BYTES:]

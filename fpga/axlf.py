"""The header of an xclbin file: which bitstream it is, and for which platform. Pure.

Source: struct axlf and struct axlf_header in XRT's xclbin.h. Numbers are little-endian; the UUID is sixteen
bytes in the order in which it is written.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

# magic, signature length, reserved, key block, unique id, total length; then times, versions, modes and the
# shell's ids up to the platform's name, and the UUID. Sections follow later, which nobody needs here.
_HEADER = struct.Struct("<8s i 28x 256x Q Q 40x 64s 16s")
HEADER_BYTES = _HEADER.size
_MAGIC = b"xclbin2\0"


@dataclass(frozen=True, slots=True)
class Bitstream:
    """What an xclbin says of itself. `uuid` is lower case with dashes, as XRT writes it."""

    uuid: str
    platform: str


def parse_axlf(head: bytes, file_bytes: int) -> Bitstream | None:
    """The bitstream of a file of `file_bytes` that starts with `head`; None where it is no whole xclbin."""
    if len(head) < HEADER_BYTES:
        return None
    magic, _, _, length, platform, raw_uuid = _HEADER.unpack_from(head)
    if magic != _MAGIC or not HEADER_BYTES <= length <= file_bytes or not any(raw_uuid):
        return None
    return Bitstream(str(UUID(bytes=raw_uuid)), platform.split(b"\0")[0].decode("ascii", "replace"))

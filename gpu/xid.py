"""XIDs, the driver's error numbers: which say that the hardware is broken, and which a program can cause.

Source: NVIDIA, "Analyzing Xid Errors with the Xid Catalog" (docs.nvidia.com/deploy/xid-errors), numbers that
apply to A100 or newer. Hard is what its table answers with a GPU reset, a node restart, a look at cables, or
the contact of support for memory, links, power or the bus. Soft is what it answers with a restart of the
application or ignores. Where a program's own fault can raise a number that is answered with a reset (109), it
is soft. NVLink 5's 144 to 150 are answered by a sub-code that NVML's event does not carry: soft here, since
the fatal ones raise 48 as well. A number that is not in the table is soft: it is shown, and drains nothing.
"""

from __future__ import annotations

HARD: dict[int, str] = {
    46: "GPU stopped processing, needs a reset",
    48: "double-bit ECC error",
    54: "auxiliary power is not connected",
    62: "internal micro-controller halted",
    64: "row remap or page retirement failed",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    95: "uncontained memory error",
    110: "security fault",
    119: "GSP firmware did not answer",
    120: "GSP firmware error",
    136: "link training failed",
    140: "ECC error that could not be recovered",
    143: "GPU could not be initialized",
    157: "resource retirement failed",
    158: "fatal timeout",
    167: "PCIe fatal timeout",
    169: "security micro-controller halted",
    171: "uncorrectable error in DRAM",
    172: "uncorrectable error in SRAM",
}

SOFT: dict[int, str] = {
    8: "GPU stopped processing, channel restarted",
    11: "invalid or corrupted push buffer",
    13: "graphics engine exception",
    31: "memory page fault",
    32: "invalid or corrupted push buffer stream",
    37: "driver firmware error",
    38: "driver firmware watchdog",
    39: "copy engine exception",
    40: "copy engine exception",
    41: "copy engine exception",
    43: "program stopped after its own fault",
    44: "fault during a context switch",
    45: "channels removed after a program ended",
    63: "row remapped or page retired",
    66: "illegal access by the driver",
    67: "illegal access by the driver",
    68: "video decoder exception",
    69: "graphics engine class error",
    80: "corrupted data sent to the GPU",
    92: "many single-bit ECC errors",
    93: "InfoROM wear limit",
    94: "contained memory error",
    109: "context switch timed out",
    121: "corrected errors on the link to the CPU",
    137: "NVLink access without privilege",
    141: "CUDA fast path error",
    144: "NVLink 5: SAW error",
    145: "NVLink 5: RLW error",
    146: "NVLink 5: TLW error",
    147: "NVLink 5: TREX error",
    148: "NVLink 5: NVLPW error",
    149: "NVLink 5: NETIR error",
    150: "NVLink 5: MSE error",
    151: "key rotation error",
    154: "recovery action changed",
    155: "NVLink taken down by software",
    156: "resource retired",
    159: "CHI error that is not of data",
    160: "channel retired",
    161: "channel retirement failed",
}


def is_hard(xid: int) -> bool:
    """Whether this number says that the device, its memory or its links are broken."""
    return xid in HARD


def word(xid: int) -> str:
    """The number with what it means, for an admin's eyes."""
    return f"{xid} {HARD.get(xid) or SOFT.get(xid) or 'not in the table'}"

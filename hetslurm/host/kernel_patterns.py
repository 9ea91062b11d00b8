"""Which lines of the kernel's log say that a node is sick.

Patterns match from the start of a line, and lines that begin with the name of a process are left out: its
owner chose that name, and no user shall make a node look broken. What has a counter of its own is not counted
here: memory errors (EDAC), throttling, OOM kills, NVIDIA's Xids, lost carriers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Where the idea comes from: what node-problem-detector or NHC look at, or what the kernel's source prints.
NPD = "node-problem-detector"
NHC = "NHC"
KERNEL = "kernel source"


class Pattern(NamedTuple):
    """One kind of line."""

    regex: str
    says: str
    source: str


ERRORS = (
    Pattern(r"EXT[234]-fs error \(device ", "ext4 found its metadata damaged", NPD),
    Pattern(r"(?:EXT[234]-fs|FAT-fs) \([^)]{1,64}\): (?:Remounting f|F)ilesystem (?:has been set )?read-only",
            "a file system stopped writing", NPD),
    Pattern(r"XFS \([^)]{1,64}\): .*(?:[Cc]orruption|I/O error|[Ss]hutting down filesystem)",
            "XFS found its metadata damaged, or shut itself down", NPD),
    Pattern(r"BTRFS (?:error|critical) \(device ", "Btrfs found damage", KERNEL),
    Pattern(r"Buffer I/O error on dev(?:ice)? (?!fd\d|sr\d|loop|zram)", "a disk did not read or write", NPD),
    Pattern(r"(?:blk_update_request: )?(?:I/O|critical medium) error, dev (?!fd\d|sr\d|loop|zram)",
            "a disk did not read or write", NPD),
    Pattern(r"sd [\d:]+: \[sd[a-z]+\] .*Sense Key : (?:Medium|Hardware) Error",
            "a disk reports a defect", KERNEL),
    Pattern(r"ata\d+(?:\.\d+)?: disabled?\b", "a disk was given up", KERNEL),
    Pattern(r"md/raid[^:]{0,16}:md\w+: Disk failure on ", "a disk of a RAID failed", KERNEL),
    Pattern(r"nvme nvme\d+: (?:Device not ready; aborting|Removing after probe|Disabling device)",
            "an NVMe disk was given up", KERNEL),
    Pattern(r"mce: \[Hardware Error\]: CPU \d+: Machine Check Exception", "a fatal machine check", NHC),
    Pattern(r"mce: Uncorrected hardware memory error", "memory that a program read was lost", NHC),
    Pattern(r"(?:\{\d+\})?\[Hardware Error\]: event severity: (?:fatal|recoverable)",
            "firmware reports an error that was not corrected", KERNEL),
    Pattern(r"\[Hardware Error\]: (?:Uncorrected|Deferred) ?(?:error|,)",
            "an error that was not corrected", KERNEL),
    Pattern(r"Memory failure: 0x[0-9a-f]+: ", "a page of memory was lost", KERNEL),
    Pattern(r"BUG: (?!soft lockup|workqueue lockup)", "the kernel failed", NPD),
    Pattern(r"kernel BUG at ", "the kernel failed", NPD),
    Pattern(r"(?:Oops|Internal error|divide error|invalid opcode|general protection fault)\b.*\[#\d+\]",
            "the kernel failed", NPD),
    Pattern(r"(?:NMI )?watchdog: Watchdog detected hard LOCKUP", "a cpu stopped", NPD),
    Pattern(r"[\w-]+ [0-9a-f]{4}:[0-9a-f:.]+: PCIe Bus Error: severity=Uncorrect",
            "PCIe reports an error that was not corrected", KERNEL),
    Pattern(r"mlx[45]_core [0-9a-f:.]+: .*(?:device's health compromised|severity\([0-3]\))",
            "a network card reports that it is broken", KERNEL),
)  # fmt: skip

WARNINGS = (
    Pattern(r"INFO: task .{1,64} blocked for more than \d+ seconds",
            "a process waits for a disk or server", NPD),
    Pattern(r"(?:(?:NMI )?watchdog: )?BUG: (?:soft|workqueue) lockup", "a cpu was stuck for long", NPD),
    Pattern(r"rcu: INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stall",
            "a cpu was stuck for long", KERNEL),
    Pattern(r"unregister_netdevice: waiting for ", "a network interface does not go away", NPD),
    Pattern(r"(?:\w+ [0-9a-f:.]+:? )?(?:\w+: )?NETDEV WATCHDOG: ", "a network card did not send", KERNEL),
    Pattern(r"EXT[234]-fs warning \(device ", "ext4 noticed something odd", NPD),
    Pattern(r"nfs: server \S{1,255} (?:not responding|timed out)", "an NFS server does not answer", NHC),
    Pattern(r"Lustre(?:Error)?: .*(?:was evicted by|was lost; in progress operations)",
            "a Lustre server does not answer", NHC),
    Pattern(r"nvme nvme\d+: (?:I/O (?:tag )?\d+ .*timeout|controller is down; will reset)",
            "an NVMe disk answered late", KERNEL),
    Pattern(r"ata\d+(?:\.\d+)?: failed command: ", "a disk command was retried", KERNEL),
    Pattern(r"device-mapper: multipath: .*Failing path", "a path to a disk was lost", KERNEL),
    Pattern(r"mce: \[Hardware Error\]: Machine check events logged", "a machine check was corrected", NHC),
    Pattern(r"(?:\{\d+\})?\[Hardware Error\]: (?:event severity: corrected|Corrected error)",
            "an error was corrected", KERNEL),
    Pattern(r"[\w-]+ [0-9a-f]{4}:[0-9a-f:.]+: PCIe Bus Error: severity=Correct",
            "PCIe corrected an error", KERNEL),
)  # fmt: skip

_OF_PROCESS = re.compile(r".{1,15}(?:\[\d+\]:? | ?\(\d+\): |: page allocation)")
_ERROR = re.compile("|".join(f"(?:{pattern.regex})" for pattern in ERRORS))
_WARNING = re.compile("|".join(f"(?:{pattern.regex})" for pattern in WARNINGS))


def classify(line: str) -> str:
    """ "error", "warning", or "" for a line of the kernel's, without its time."""
    if _ERROR.match(line):
        kind = "error"
    elif _WARNING.match(line):
        kind = "warning"
    else:
        return ""
    return "" if _OF_PROCESS.match(line) else kind

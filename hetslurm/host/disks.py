"""File systems on the node's own disks: how full they are, and which the kernel turned read-only.

No network file system is ever touched: neither its own mount, nor a local one that is reached through it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence

from hetslurm.host.fullness import Space, used_ratio
from hetslurm.host.kernelfs import printable, read_text
from hetslurm.host.mountinfo import Mount, mounts_on_way, parse_fstab, parse_mountinfo
from hetslurm.telemetry import UNKNOWN

# File systems that live on a disk and can be written to.
DISK_TYPES = frozenset({
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "msdos", "nilfs2", "ntfs3",
    "reiserfs", "vfat", "xfs", "zfs",
})  # fmt: skip
# Others that a path to a disk may lead through without leaving the node.
OTHER_LOCAL_TYPES = frozenset({
    "bpf", "cgroup", "cgroup2", "configfs", "cramfs", "debugfs", "devpts", "devtmpfs", "efivarfs", "erofs",
    "fusectl", "hugetlbfs", "iso9660", "mqueue", "overlay", "proc", "pstore", "ramfs", "rootfs", "securityfs",
    "squashfs", "sysfs", "tmpfs", "tracefs", "udf",
})  # fmt: skip
LOCAL_TYPES = DISK_TYPES | OTHER_LOCAL_TYPES
# A node without disks has these in memory, and is as broken as any other when they are full.
MEMORY_TYPES = frozenset({"overlay", "tmpfs"})
SYSTEM_POINTS = frozenset({"/", "/run", "/tmp", "/var", "/var/tmp"})  # noqa: S108

StatFileSystem = Callable[[str], Space]


def local_disks(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """The mounts whose fullness matters, one for each file system, that a path really leads to."""
    seen: set[str] = set()
    disks = []
    for mount in mounts:
        in_memory = mount.type in MEMORY_TYPES and mount.point in SYSTEM_POINTS
        if not (mount.type in DISK_TYPES or in_memory) or mount.device in seen:
            continue
        way = mounts_on_way(mounts, mount.point)
        if way and way[-1] == mount and all(passed.type in LOCAL_TYPES for passed in way):
            seen.add(mount.device)
            disks.append(mount)
    return tuple(disks)


def read_only_disks(mounts: Sequence[Mount], configured: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """Mount points of disks that nobody wanted read-only, one for each file system.

    `configured` are the options of fstab: a disk that it wants writable and that is not counts, too, such as
    a root that the boot left read-only. Where any mount of the file system says read-only itself, an admin
    asked for that.
    """
    by_device: dict[str, list[Mount]] = {}
    for mount in mounts:
        if mount.type in DISK_TYPES and mount.is_read_only:
            by_device.setdefault(mount.device, []).append(mount)
    turned = []
    for same in by_device.values():
        unwanted = any("ro" not in configured.get(mount.point, {"ro"}) for mount in same)
        by_kernel = any(mount.is_broken for mount in same) or all(
            mount.was_turned_read_only for mount in same
        )
        if unwanted or by_kernel:
            turned.append(same[0].point)
    return tuple(turned)


class Disks:
    """Reads the table of mounts anew at each sample, parses it only when it changed."""

    def __init__(self, base: str, stat: StatFileSystem = os.statvfs) -> None:
        self._base = base
        self._stat = stat
        self._text = ""
        self._mounts: tuple[Mount, ...] = ()
        self._disks: tuple[Mount, ...] = ()
        self._may_be_broken = False

    def read(self) -> tuple[dict[str, float], dict[str, str]]:
        """disk_used_ratio and read_only_disks; facts "fullest_disk" and "read_only" name them."""
        text = read_text(f"{self._base}/proc/self/mountinfo", 1 << 22)
        if not text:
            return {}, {}
        if text != self._text:
            self._text = text
            self._mounts = parse_mountinfo(text)
            self._disks = local_disks(self._mounts)
            self._may_be_broken = any(
                mount.type in DISK_TYPES and mount.is_read_only for mount in self._mounts
            )
        values: dict[str, float] = {}
        facts: dict[str, str] = {}
        used, fullest = self._fullest()
        if fullest:
            values["disk_used_ratio"] = used
            facts["fullest_disk"] = printable(fullest)
        turned: tuple[str, ...] = ()
        if self._may_be_broken:
            turned = read_only_disks(self._mounts, parse_fstab(read_text(f"{self._base}/etc/fstab") or ""))
        values["read_only_disks"] = float(len(turned))
        if turned:
            facts["read_only"] = printable(" ".join(turned))
        return values, facts

    def _fullest(self) -> tuple[float, str]:
        used, fullest = UNKNOWN, ""
        for disk in self._disks:
            if disk.is_read_only:
                continue  # it gets no fuller, and images are full by design
            try:
                ratio = used_ratio(self._stat(self._base + disk.point))
            except OSError:
                continue
            if not math.isnan(ratio) and (not fullest or ratio > used):
                used, fullest = ratio, disk.point
        return used, fullest

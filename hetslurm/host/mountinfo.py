"""The mount table: /proc/self/mountinfo (proc(5)), and which mount a path leads to, without touching any."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# ext4 writes "emergency_ro" and "shutdown" instead of "ro" from Linux 6.15 on.
BROKEN_OPTIONS = frozenset({"emergency_ro", "shutdown"})

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the table. `options` belong to this mount, `super_options` to the file system behind it."""

    id: int
    parent: int
    device: str
    point: str
    options: frozenset[str]
    type: str
    source: str
    super_options: frozenset[str]

    @property
    def is_broken(self) -> bool:
        """The file system stopped writing because it found itself damaged."""
        return bool(self.super_options & BROKEN_OPTIONS)

    @property
    def is_read_only(self) -> bool:
        """Nothing can be written to the file system, through whichever mount."""
        return "ro" in self.super_options or self.is_broken

    @property
    def was_turned_read_only(self) -> bool:
        """The file system is read-only and this mount is not: the kernel did that, no admin."""
        return self.is_broken or ("ro" in self.super_options and "ro" not in self.options)


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """The mounts of the table, in its order. A line that is none is left out."""
    return tuple(mount for line in text.split("\n") if (mount := _parse_line(line)) is not None)


def parse_fstab(text: str) -> dict[str, frozenset[str]]:
    """Options by mount point, as the admin wrote them in fstab(5)."""
    points: dict[str, frozenset[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4 and not words[0].startswith("#"):
            points[_unescape(words[1])] = frozenset(words[3].split(","))
    return points


def mounts_on_way(mounts: Sequence[Mount], path: str) -> tuple[Mount, ...]:
    """The mounts that a lookup of `path` (absolute, normal, no links) enters, in order, to where it ends.

    A mount hides those below its point that it did not carry itself, which the table shows by parents.
    """
    known = {mount.id for mount in mounts}
    way: list[Mount] = []
    while True:
        inside = way[-1] if way else None
        doors = [
            mount
            for mount in mounts
            if (
                mount.parent == inside.id if inside else mount.parent not in known or mount.parent == mount.id
            )
            and mount not in way
            and _leads_to(mount.point, path)
        ]
        if not doors:
            return tuple(way)
        way.append(min(doors, key=lambda mount: len(mount.point)))


def _leads_to(point: str, path: str) -> bool:
    return point in ("/", path) or path.startswith(point + "/")


def _parse_line(line: str) -> Mount | None:
    # Optional fields end at a lone hyphen: 36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/sda1 rw
    words = line.split(" ")
    try:
        dash = words.index("-", 6)
        return Mount(
            id=int(words[0]),
            parent=int(words[1]),
            device=words[2],
            point=_unescape(words[4]),
            options=frozenset(words[5].split(",")),
            type=words[dash + 1],
            source=_unescape(words[dash + 2]),
            super_options=frozenset(words[dash + 3].split(",")),
        )
    except (ValueError, IndexError):
        return None


def _unescape(text: str) -> str:
    """Space, tab, newline and backslash are written as octal numbers of bytes."""
    if "\\" not in text:
        return text
    return _OCTAL.sub(lambda match: chr(int(match[1], 8) & 0xFF), text)

"""How full a file system is."""

from __future__ import annotations

from typing import Protocol

from hetslurm.telemetry import UNKNOWN


class Space(Protocol):
    """What statvfs(3) answers, as far as it matters here."""

    @property
    def f_blocks(self) -> int: ...
    @property
    def f_bfree(self) -> int: ...
    @property
    def f_bavail(self) -> int: ...
    @property
    def f_files(self) -> int: ...
    @property
    def f_ffree(self) -> int: ...


def used_ratio(space: Space) -> float:
    """Blocks or inodes in use, the fuller of the two, in [0, 1]; NaN where neither is counted.

    Blocks as df(1) counts them: what only root may use is no space. File systems that make inodes as they
    need them say 0, or a number that cannot be; only their blocks count.
    """
    ratios = []
    used = space.f_blocks - space.f_bfree
    if space.f_blocks > 0 and used >= 0 and space.f_bavail >= 0 and used + space.f_bavail > 0:
        ratios.append(used / (used + space.f_bavail))
    if 0 <= space.f_ffree <= space.f_files and space.f_files > 0:
        ratios.append((space.f_files - space.f_ffree) / space.f_files)
    return max(ratios, default=UNKNOWN)

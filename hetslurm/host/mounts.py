"""The "mount" probe: a row for each mount that the admin says must be there."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from hetslurm.host.fullness import used_ratio
from hetslurm.host.kernelfs import base_of, printable, read_text
from hetslurm.host.mount_check import Answer, Clock, MountChecks, StatFileSystem
from hetslurm.host.mountinfo import Mount, mounts_on_way, parse_fstab, parse_mountinfo
from hetslurm.site import AgentSite
from hetslurm.telemetry import UNKNOWN, ProbeState, Row, Sample

# Of the probe's deadline, what all checks together may take before the rest counts as hung.
PATIENCE_SHARE = 0.4
# The agent may not ask: that says nothing about the mount.
FORBIDDEN = (PermissionError,)


def mount_at(mounts: tuple[Mount, ...], path: str) -> Mount | None:
    """The mount that a lookup of `path` ends in, if it is mounted at that very path."""
    way = mounts_on_way(mounts, path)
    return way[-1] if way and way[-1].point == path else None


def judge_read_only(mount: Mount, configured: Mapping[str, frozenset[str]]) -> float:
    """1 when the file system is read-only and neither the way it was mounted nor fstab asks for that.

    A mount that alone is read-only does not count: a systemd unit can make all mounts so for its own process.
    """
    wanted_writable = "ro" not in configured.get(mount.point, {"ro"})
    return float(mount.was_turned_read_only or (mount.is_read_only and wanted_writable))


def judge_answer(answer: Answer) -> dict[str, float]:
    """alive, used_ratio, answer_s."""
    if answer.space is not None:
        return {"alive": 1.0, "used_ratio": used_ratio(answer.space), "answer_s": answer.seconds}
    if isinstance(answer.error, FORBIDDEN):
        return {"answer_s": answer.seconds}
    return {"alive": 0.0, "answer_s": answer.seconds}


class MountProbe:
    """A mount that is not there is not asked: what lies beneath would answer for it."""

    name = "mount"

    def __init__(
        self,
        agent: AgentSite,
        root: Path,
        *,
        stat: StatFileSystem = os.statvfs,
        clock: Clock = time.monotonic,
    ) -> None:
        self._base = base_of(root)
        # Not resolved: a link on a hung file system would hang whoever follows it.
        self._paths = sorted({os.path.normpath(path) for path in agent.mounts})
        self.patience_s = agent.deadline_s * PATIENCE_SHARE
        self._checks = MountChecks(clock, stat)

    def sample(self) -> Sample:
        """One row a mount, in the order of their paths."""
        if not self._paths:
            return Sample(self.name, ProbeState.ABSENT, message="no mounts are configured")
        mounts = self._read_mounts()
        if mounts is None:
            return Sample(self.name, ProbeState.FAILED, message="the table of mounts cannot be read")
        found = {path: mount for path in self._paths if (mount := mount_at(mounts, path)) is not None}
        answers = self._checks.ask({path: self._base + path for path in found}, self.patience_s)
        if any(mount.type == "autofs" for mount in found.values()):
            # The question itself has made the automounter mount what belongs there.
            mounts = self._read_mounts() or mounts
            found = {path: mount for path in found if (mount := mount_at(mounts, path)) is not None}
        configured = parse_fstab(read_text(f"{self._base}/etc/fstab") or "")
        rows = tuple(_row(path, found.get(path), answers.get(path), configured) for path in self._paths)
        return Sample(self.name, ProbeState.OK, rows)

    def measure(self) -> Sample:
        """Nothing of a mount is measured by work: it would be everybody's file system that works."""
        return Sample(self.name, ProbeState.OK)

    def close(self) -> None:
        """A hung check cannot be ended; its thread ends with the process."""

    def _read_mounts(self) -> tuple[Mount, ...] | None:
        text = read_text(f"{self._base}/proc/self/mountinfo", 1 << 22)
        return parse_mountinfo(text) if text else None


def _row(
    path: str, mount: Mount | None, answer: Answer | None, configured: Mapping[str, frozenset[str]]
) -> Row:
    facts = {"id": path}
    if mount is None or answer is None:
        return Row({"mounted": 0.0}, facts)
    facts |= {"type": printable(mount.type), "source": printable(mount.source)}
    values = judge_answer(answer)
    if mount.type == "autofs":
        # Nothing came of it, or nobody can tell yet.
        values = {"mounted": UNKNOWN if answer.hangs else 0.0, **values, "used_ratio": UNKNOWN}
    else:
        values |= {"mounted": 1.0, "read_only": judge_read_only(mount, configured)}
    if answer.error is not None:
        facts["error"] = printable(answer.error.strerror or str(answer.error))
    return Row(values, facts)

"""Every process of an instance: found through its parents, its environment, or what was written down.

A process is known by pid and start time, so that a later one with the same pid is never taken for it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MARKER = "HETSLURM_INSTANCE"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
# (pid, start time in ticks since the machine's boot)
Member = tuple[int, int]


def adopt_orphans() -> None:
    """Descendants whose parents end become children of this process: none of them gets away."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Be killed when the parent is."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def member(pid: int) -> Member | None:
    """A process that runs (a zombie does not)."""
    found = _stat(pid)
    return (pid, found[2]) if found is not None and found[0] != "Z" else None


def alive(one: Member) -> bool:
    """Whether this very process still runs."""
    return member(one[0]) == one


def descendants(roots: Iterable[int]) -> set[Member]:
    """All that these processes started, and what that started."""
    parents: dict[int, list[int]] = {}
    members: dict[int, Member] = {}
    for pid in _pids():
        found = _stat(pid)
        if found is not None:
            parents.setdefault(found[1], []).append(pid)
            if found[0] != "Z":
                members[pid] = (pid, found[2])
    found_pids: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in parents.get(waiting.pop(), ()):
            if child not in found_pids:
                found_pids.add(child)
                waiting.append(child)
    return {members[pid] for pid in found_pids if pid in members}


def marked(folder: Path) -> set[Member]:
    """Processes whose environment says that they are of the instance in `folder`."""
    wanted = f"{MARKER}={folder}".encode()
    found = set()
    for pid in _pids():
        with suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                one = member(pid)
                if one is not None:
                    found.add(one)
    return found


def kill(family: Iterable[Member], sig: int = signal.SIGKILL) -> None:
    """Signal those that still run."""
    for one in family:
        if alive(one):
            with suppress(ProcessLookupError):
                os.kill(one[0], sig)


def kill_all(folder: Path, known: Iterable[Member], *, patience_s: float = 5.0) -> bool:
    """KILL an instance that nobody watches any more, until nothing of it is left; True: nothing is."""
    family = set(known)
    until = time.monotonic() + patience_s
    while True:
        family = {one for one in family | marked(folder) if alive(one) and one[0] != os.getpid()}
        family |= descendants(pid for pid, _ in family)
        if not family:
            return True
        if time.monotonic() > until:
            return False
        kill(family)
        time.sleep(0.02)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> tuple[str, int, int] | None:
    """(state, parent, start time in ticks) of a process; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[1]), int(fields[19])

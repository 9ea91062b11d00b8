"""The sandbox's processes: start them apart from us, find every one again, end them all.

A daemon is known by its pid and start time, and by a marker in its environment, so that it is found even when
whoever started it died before writing the pid down. Nothing is ever ended by name.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hetslurm.errors import SandboxError

MARKER = "HETSLURM_SANDBOX_DAEMON"
_children: set[int] = set()


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one with the same pid."""

    name: str
    pid: int
    started: int

    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        found = _stat(self.pid)
        return found is not None and found[2] == self.started and found[0] != "Z"


def start(
    name: str, argv: list[str], *, root: Path, log: Path, env: Mapping[str, str] | None = None
) -> Process:
    """Start a daemon in a session of its own, its output to `log`, marked as this sandbox's."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "HET"))}
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=root,
                env={**clean, MARKER: str(root), **(env or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(
                f"cannot start {name} ({argv[0]}): {error.strerror}; is it installed?"
            ) from error
    found = _stat(child.pid)
    # Its end is seen through /proc and reap(); without this, Popen would warn that nobody waited.
    child.returncode = 0
    _children.add(child.pid)
    return Process(name, child.pid, found[2] if found else 0)


def of_sandbox(root: Path) -> set[int]:
    """Pids of the sandbox in `root`: daemons, their descendants, and job processes that lost their parents.

    Never this process or those above it.
    """
    parents: dict[int, int] = {}
    marked: set[int] = set()
    daemon = f"{MARKER}={root}".encode()
    conf = f"SLURM_CONF={root / 'slurm.conf'}".encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        found = _stat(pid)
        if found is None or found[0] == "Z":
            continue
        parents[pid] = found[1]
        try:
            environ = set(Path(entry.path, "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        in_job = any(word.startswith(b"SLURMD_NODENAME=") for word in environ)
        if daemon in environ or (conf in environ and in_job) or _is_step_of(root, entry.path):
            marked.add(pid)
    ours = set(marked)
    for pid in parents:
        chain = []
        at = pid
        while at in parents and at not in marked:
            chain.append(at)
            at = parents[at]
        if at in marked:
            ours.update(chain)
    at = os.getpid()
    while at:
        ours.discard(at)
        at = parents.get(at, 0)
    return ours


def _is_step_of(root: Path, entry: str) -> bool:
    """Whether this is a slurmstepd of the sandbox: its title overwrote its environment; its log is open."""
    try:
        if Path(entry, "comm").read_text() != "slurmstepd\n":
            return False
        return any(os.readlink(f"{entry}/fd/{fd}").startswith(f"{root}/") for fd in os.listdir(f"{entry}/fd"))
    except OSError:
        return False


def end_all(root: Path, known: Iterable[Process], *, grace_s: float = 3.0) -> None:
    """End every process of the sandbox: TERM, then KILL. Raises SandboxError when one survives that."""
    # A process stays ours when the parent that told us so is gone.
    ours = {process for process in known if process.alive()}
    for sig, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0), (signal.SIGKILL, 5.0)):
        ours |= {_process(pid) for pid in of_sandbox(root)}
        for process in ours:
            if process.alive():
                _signal(process.pid, sig)
        deadline = time.monotonic() + patience_s
        while any(process.alive() for process in ours) and time.monotonic() < deadline:
            reap()
            time.sleep(0.02)
        ours = {process for process in ours if process.alive()}
        # What forked while we were ending its parent shows up only now.
        if not ours and not of_sandbox(root):
            return
    pids = sorted(process.pid for process in ours)
    raise SandboxError(f"processes {pids} of the sandbox in {root} do not end")


def _process(pid: int) -> Process:
    found = _stat(pid)
    return Process("", pid, found[2] if found else 0)


def end(process: Process, *, sig: int = signal.SIGTERM, patience_s: float = 15.0) -> None:
    """Signal one daemon and wait for its end; KILL it past the patience."""
    if process.alive():
        _signal(process.pid, sig)
    deadline = time.monotonic() + patience_s
    while process.alive():
        if time.monotonic() > deadline:
            _signal(process.pid, signal.SIGKILL)
            deadline += patience_s
        time.sleep(0.01)
    reap()


def reap() -> None:
    """Collect daemons that this very process started and that have ended."""
    for child in tuple(_children):
        try:
            ended = os.waitpid(child, os.WNOHANG)[0] == child
        except ChildProcessError:
            ended = True
        if ended:
            _children.discard(child)


def _signal(pid: int, sig: int) -> None:
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise SandboxError(
            f"process {pid} of the sandbox belongs to another user; only they or root end it"
        ) from error


def _stat(pid: int) -> tuple[str, int, int] | None:
    """(state, parent, start time in ticks) of a process; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[1]), int(fields[19])

"""The nursery's side of things: forks children, buries them, tells the agent, and outlives it by a breath."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from select import select

from hetslurm.agent.child import Opener, serve

# What the agent orders, and what it is told.
ORDER = struct.Struct("<BQ")  # what, which child
NOTICE = struct.Struct("<Qii")  # which child, its process, how it ended
START, KILL = 1, 2
STARTED = -(1 << 30)
NOT_STARTED = -(1 << 29)
# How long children may take to let go of their devices once the agent is gone.
GRACE_S = 0.3
_PR_SET_NAME, _PR_SET_PDEATHSIG = 15, 1


def live(line: socket.socket, agent: int, openers: Mapping[str, Opener], preload: Callable[[], None]) -> None:
    """The nursery's whole life; never returns."""
    code = 1
    try:
        _leave_family(line.fileno())
        _die_with(agent, b"hetslurm-nursery")
        preload()
        gc.collect()
        gc.freeze()  # or each child's collector would copy what all of them share
        _Cradle(line, openers).run()
        code = 0
    finally:
        os._exit(code)


def _leave_family(keep: int) -> None:
    """Nothing of the agent's but one socket: no descriptor, no terminal, no signal handler."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    # Vendors' libraries write to both at every turn; what matters comes as an answer.
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:
        if number > 2 and number != keep:
            with suppress(OSError):
                os.close(number)
    signal.set_wakeup_fd(-1)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(name, signal.SIG_DFL if name != signal.SIGPIPE else signal.SIG_IGN)
    sys.stdin = sys.stdout = sys.stderr = Path(os.devnull).open("r+", encoding="utf-8")  # noqa: SIM115


def _die_with(parent: int, name: bytes) -> None:
    """Be killed when the parent dies, however it dies."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NAME, name[:15], 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


class _Cradle:
    """The nursery's side."""

    def __init__(self, line: socket.socket, openers: Mapping[str, Opener]) -> None:
        self._line = line
        self._openers = openers
        self._pids: dict[int, int] = {}
        self._ear, bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)

    def run(self) -> None:
        """Orders and deaths, until the agent closes the line."""
        while True:
            lines: list[int | socket.socket] = [self._line, self._ear]
            ready, _, _ = select(lines, [], [])
            if self._ear in ready:
                with suppress(BlockingIOError):
                    os.read(self._ear, 4096)
                self._reap()
            if self._line in ready:
                try:
                    order, files, _, _ = socket.recv_fds(self._line, ORDER.size, 1)
                except ConnectionError:  # the agent left without reading all notices
                    break
                if not order:
                    break
                self._follow(order, files)
        self._end()

    def _follow(self, order: bytes, files: list[int]) -> None:
        what, child = ORDER.unpack(order)
        if what == START:
            self._fork(child, files[0])
            os.close(files[0])
        elif child in self._pids:
            self._kill(self._pids[child])

    def _fork(self, child: int, file: int) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            self._tell(child, 0, NOT_STARTED)
            return
        if not pid:
            self._be_child(file, parent)
        # Told by both, since either may come first: what it starts is killed with it.
        with suppress(OSError):
            os.setpgid(pid, pid)
        self._pids[child] = pid
        self._tell(child, pid, STARTED)

    def _be_child(self, file: int, parent: int) -> None:
        code = 1
        try:
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._line.close()
            _die_with(parent, b"hetslurm-probe")
            with socket.socket(fileno=os.dup(file)) as line:
                os.close(file)
                line.setblocking(True)
                serve(line, self._openers)
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        for child, pid in list(self._pids.items()):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            # What it started and left behind goes, too, as long as its number is surely its own.
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            del self._pids[child]
            self._tell(child, pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def _tell(self, child: int, pid: int, status: int) -> None:
        with suppress(OSError):
            self._line.send(NOTICE.pack(child, pid, status))

    def _kill(self, pid: int) -> None:
        for kill in (os.killpg, os.kill):
            with suppress(OSError):
                kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        """Their lines have ended with the agent's: let them close their devices, and kill the rest."""
        self._reap_for(GRACE_S)
        for pid in self._pids.values():
            self._kill(pid)
        self._reap_for(GRACE_S)

    def _reap_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._pids and (left := until - time.monotonic()) > 0:
            select([self._ear], [], [], left)
            with suppress(BlockingIOError):
                os.read(self._ear, 4096)
            self._reap()

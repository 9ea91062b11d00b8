"""The process that all probes are forked from: small, early, without threads and without a socket of the bus.

The agent sends an order and, to start a child, the child's end of a socket pair. The nursery is the parent of
the children: only it can say that one is gone, and kill one without ever meeting another process of the same
number. Whatever ends the agent ends the nursery, and that the children.
"""

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
from dataclasses import dataclass
from pathlib import Path
from select import select
from types import TracebackType
from typing import Self

from hetslurm.agent.child import Opener, serve
from hetslurm.errors import ProbeError

_ORDER = struct.Struct("<BQ")  # what, which child
_NOTICE = struct.Struct("<Qii")  # which child, its process, how it ended
_START, _KILL = 1, 2
_STARTED = -(1 << 30)
_NOT_STARTED = -(1 << 29)
# How long children may take to let go of their devices once the agent is gone.
GRACE_S = 0.3
_PR_SET_NAME, _PR_SET_PDEATHSIG = 15, 1


@dataclass(frozen=True, slots=True)
class Ended:
    """A child that is gone. `how` is in words."""

    child: int
    how: str


class Nursery:
    """The agent's side. Start it before any thread; ProbeError when the nursery itself is gone."""

    def __init__(self, openers: Mapping[str, Opener], preload: Callable[[], None] = lambda: None) -> None:
        """`preload` imports, in the nursery, what many children need."""
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        agent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            mine.close()
            _live(theirs, agent, openers, preload)
        theirs.close()
        mine.setblocking(False)
        self._line = mine
        self._last = 0
        self._ended = False
        self.pids: dict[int, int] = {}

    def fileno(self) -> int:
        """Readable when there is something to `take`."""
        return self._line.fileno()

    def start(self) -> tuple[int, socket.socket]:
        """A new child's number and our end of its line. How that went is told by `take`."""
        ours, childs = socket.socketpair()
        self._last += 1
        with childs:
            try:
                socket.send_fds(self._line, [_ORDER.pack(_START, self._last)], [childs.fileno()])
            except OSError as error:
                ours.close()
                raise _gone() from error
        ours.setblocking(False)
        return self._last, ours

    def kill(self, child: int) -> None:
        """SIGKILL to it and to what it started. It is gone when `take` says so: that may be never."""
        try:
            self._line.send(_ORDER.pack(_KILL, child))
        except OSError as error:
            raise _gone() from error

    def take(self) -> list[Ended]:
        """Children that are gone since the last call."""
        ended: list[Ended] = []
        while True:
            try:
                notice = self._line.recv(_NOTICE.size)
            except BlockingIOError:
                return ended
            except OSError as error:
                raise _gone() from error
            if len(notice) != _NOTICE.size:
                raise _gone()
            child, pid, status = _NOTICE.unpack(notice)
            if status == _STARTED:
                self.pids[child] = pid
            else:
                self.pids.pop(child, None)
                ended.append(Ended(child, _how(status)))

    def close(self) -> None:
        """End the nursery and all children, within 3 GRACE_S; what cannot be killed is left."""
        if self._ended:
            return
        self._ended = True
        self._line.close()
        until = time.monotonic() + 3 * GRACE_S
        while time.monotonic() < until:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _gone() -> ProbeError:
    return ProbeError("the process that starts probes is gone; the agent cannot look at anything any more")


def _how(status: int) -> str:
    if status == _NOT_STARTED:
        return "could not be started: no process or no memory left"
    if status >= 0:
        return f"ended by itself with code {status}"
    with suppress(ValueError):
        return f"died of {signal.Signals(-status).name}"
    return f"died of signal {-status}"


def _live(
    line: socket.socket, agent: int, openers: Mapping[str, Opener], preload: Callable[[], None]
) -> None:
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
                    order, files, _, _ = socket.recv_fds(self._line, _ORDER.size, 1)
                except ConnectionError:  # the agent left without reading all notices
                    break
                if not order:
                    break
                self._follow(order, files)
        self._end()

    def _follow(self, order: bytes, files: list[int]) -> None:
        what, child = _ORDER.unpack(order)
        if what == _START:
            self._fork(child, files[0])
            os.close(files[0])
        elif child in self._pids:
            self._kill(self._pids[child])

    def _fork(self, child: int, file: int) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            self._tell(child, 0, _NOT_STARTED)
            return
        if not pid:
            self._be_child(file, parent)
        # Told by both, since either may come first: what it starts is killed with it.
        with suppress(OSError):
            os.setpgid(pid, pid)
        self._pids[child] = pid
        self._tell(child, pid, _STARTED)

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
            self._line.send(_NOTICE.pack(child, pid, status))

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

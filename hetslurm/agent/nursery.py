"""The process that all probes are forked from: small, early, without threads and without a socket of the bus.

The agent sends an order and, to start a child, the child's end of a socket pair. The nursery is the parent of
the children: only it can say that one is gone, and kill one without ever meeting another process of the same
number. Whatever ends the agent ends the nursery, and that the children.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from hetslurm.agent.child import Opener
from hetslurm.agent.cradle import (
    GRACE_S,
    KILL,
    NOT_STARTED,
    NOTICE,
    ORDER,
    START,
    STARTED,
    live,
)
from hetslurm.errors import ProbeError


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
            live(theirs, agent, openers, preload)
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
                socket.send_fds(self._line, [ORDER.pack(START, self._last)], [childs.fileno()])
            except OSError as error:
                ours.close()
                raise _gone() from error
        ours.setblocking(False)
        return self._last, ours

    def kill(self, child: int) -> None:
        """SIGKILL to it and to what it started. It is gone when `take` says so: that may be never."""
        try:
            self._line.send(ORDER.pack(KILL, child))
        except OSError as error:
            raise _gone() from error

    def take(self) -> list[Ended]:
        """Children that are gone since the last call."""
        ended: list[Ended] = []
        while True:
            try:
                notice = self._line.recv(NOTICE.size)
            except BlockingIOError:
                return ended
            except OSError as error:
                raise _gone() from error
            if len(notice) != NOTICE.size:
                raise _gone()
            child, pid, status = NOTICE.unpack(notice)
            if status == STARTED:
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
    if status == NOT_STARTED:
        return "could not be started: no process or no memory left"
    if status >= 0:
        return f"ended by itself with code {status}"
    with suppress(ValueError):
        return f"died of {signal.Signals(-status).name}"
    return f"died of signal {-status}"

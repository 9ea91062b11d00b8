"""Signals: SIGTERM and SIGINT stop the daemon, SIGHUP has the configuration read again.

A read of Slurm's state may be cut off at any point; a change to a job is finished first.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Protocol


class Line(Protocol):
    """What can be waited for."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


class Stopped(BaseException):
    """Raised inside `interruptible` when the stop comes. No `except Exception` may swallow it."""


class Stop:
    """Whether to stop, and whether to reload. Signals reach it once `install` was called."""

    def __init__(self) -> None:
        self.requested = False
        self.reload = False
        self._breaks = False
        # A pipe, since a lock that a signal handler shares with its own thread would hang it.
        self._ear, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def install(self) -> None:
        """Take the signals over; main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)

    def request(self) -> None:
        """Stop at the next point where that is safe; any thread."""
        self.requested = True
        self._ring()

    def ask_reload(self) -> None:
        """Have the configuration read again; any thread."""
        self.reload = True
        self._ring()

    def take_reload(self) -> bool:
        """Whether a reload was asked for since the last call."""
        asked, self.reload = self.reload, False
        return asked

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A stretch that changes nothing: a stop raises Stopped right in the middle of it."""
        self._breaks = True
        try:
            if self.requested:
                raise Stopped
            yield
        finally:
            self._breaks = False

    def wait(self, seconds: float, others: Sequence[Line] = ()) -> list[Line]:
        """Sleep; a stop, a reload, or one of `others` that can be read ends it at once. Returns those."""
        lines: list[int | Line] = [self._ear, *others]
        ready, _, _ = select.select(lines, [], [], max(0.0, seconds))
        if self._ear in ready:
            os.read(self._ear, 4096)
        return [line for line in ready if not isinstance(line, int)]

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._ear)
        os.close(self._bell)

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._bell, b"!")

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.request()
        if self._breaks:
            self._breaks = False
            raise Stopped

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        self.ask_reload()

"""One child of a probe as the agent sees it: asked, answering, killed at its deadline, gone."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass

from hetslurm.agent.frames import FrameError, Opening, Reader, Request, Task, pack, sample_of
from hetslurm.agent.nursery import Nursery
from hetslurm.clock import Clock
from hetslurm.errors import ProbeError
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState, Sample

# How long a child that is to end by itself may take.
LEAVE_S = 2.0
_PIECE = 65536


@dataclass(frozen=True, slots=True)
class Run:
    """How one run ended. `asked_at` is monotonic: what the sample shows is no older."""

    sample: Sample
    asked_at: float
    took_s: float


@dataclass(slots=True)
class _Asked:
    number: int
    at: float
    deadline_at: float


class Runner:
    """At most one child at a time: one that cannot be killed has no successor until it is gone."""

    def __init__(self, probe: str, agent: AgentSite, nursery: Nursery, clock: Clock) -> None:
        self.probe = probe
        self._agent = agent
        self._nursery = nursery
        self._clock = clock
        self._line: socket.socket | None = None
        self._reader = Reader()
        self._asked: _Asked | None = None
        self._runs = 0
        self._kill_at: float | None = None
        self.child: int | None = None

    @property
    def line(self) -> socket.socket | None:
        """What to wait for, while it is asked."""
        return self._line

    @property
    def busy(self) -> bool:
        """A run is under way."""
        return self._asked is not None

    @property
    def stuck(self) -> bool:
        """Its child was killed, and is not gone yet."""
        return self.child is not None and self._line is None

    def due_at(self) -> float | None:
        """When `overdue` has to be called (monotonic)."""
        return self._asked.deadline_at if self._asked else self._kill_at

    def ask(self, task: Task, deadline_s: float) -> None:
        """Start a run, and a child where there is none. Only while neither `busy` nor `stuck`."""
        now = self._clock.monotonic()
        self._runs += 1
        self._asked = _Asked(self._runs, now, now + deadline_s)
        if self._line is None:
            self._reader = Reader()
            self.child, self._line = self._nursery.start()
            self._send(pack(Opening(self.probe, self._agent)))
        self._send(pack(Request(self._runs, task)))

    def hear(self) -> Run | None:
        """Read what the child has to say; a run when that ended it."""
        while self._line is not None:
            try:
                piece = self._line.recv(_PIECE)
            except BlockingIOError:
                return None
            except OSError:
                piece = b""
            if not piece:
                self._drop()
                return None  # the nursery says how it died
            try:
                if run := self._heard(piece):
                    self._asked = None
                    return run
            except FrameError as error:
                self._drop()
                return self._over(ProbeState.CRASHED, f"{error}; killed")
        return None

    def overdue(self) -> Run | None:
        """Kill the child where its time is up; the run that ended so."""
        due = self.due_at()
        now = self._clock.monotonic()
        if due is None or now < due:
            return None
        self._kill_at = None
        self._drop()
        if self._asked is None:
            return None
        took = now - self._asked.at
        return self._over(ProbeState.TIMED_OUT, f"no answer after {took:.1f} s; killed")

    def gone(self, how: str) -> Run | None:
        """The nursery says that the child is gone; the run that ended so."""
        last_words = self.hear()
        self._hang_up()
        self.child, self._kill_at = None, None
        return last_words or self._over(ProbeState.CRASHED, how)

    def leave(self) -> None:
        """Let an idle child end by itself, killed where it does not."""
        if self._line is not None:
            self._hang_up()
            self._asked = None
            self._kill_at = self._clock.monotonic() + LEAVE_S

    def stop(self) -> None:
        """Kill the child, whatever it does; its run, if any, is forgotten. Raises nothing."""
        self._asked = None
        with suppress(ProbeError):  # where the nursery is gone, so is the child
            self._drop()

    def _heard(self, piece: bytes) -> Run | None:
        answer = self._reader.feed(piece, self._asked.number if self._asked else None)
        if answer is None or self._asked is None:
            return None
        return Run(sample_of(answer, self.probe), self._asked.at, answer.took_s)

    def _over(self, state: ProbeState, message: str) -> Run | None:
        if self._asked is None:
            return None
        asked, self._asked = self._asked, None
        took = self._clock.monotonic() - asked.at
        return Run(Sample(self.probe, state, message=message), asked.at, took)

    def _send(self, data: bytes) -> None:
        # A child that is dead already, or reads nothing, is found out by its death or its deadline.
        if self._line is not None:
            with suppress(OSError):
                self._line.sendall(data)

    def _drop(self) -> None:
        self._hang_up()
        if self.child is not None:
            self._nursery.kill(self.child)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

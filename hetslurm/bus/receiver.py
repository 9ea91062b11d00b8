"""The controller's end of the bus: believed reports wait here until the controller takes them."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from hetslurm.bus.admission import REPORTS_PER_BEAT
from hetslurm.bus.intake import Accepted, Intake
from hetslurm.bus.keys import load_server_key
from hetslurm.bus.log import EventLog
from hetslurm.bus.wire import Report
from hetslurm.clock import Clock, SystemClock
from hetslurm.site import BusSite

# What may wait for the controller: more than 10,000 nodes send in 20 s, and what memory bears.
MAX_REPORTS = 40_000
MAX_WAITING_BYTES = 256 << 20


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A report that is believed, and when it came: Unix and monotonic seconds of our own clock."""

    received_at: float
    monotonic_at: float
    report: Report
    size: int


class Receiver:
    """Listens at `site.listen` with the keys of `site.keys_dir`.

    Raises KeyFileError (`hetslurm keys init`) when made without usable keys, BusError when it cannot bind.
    `drain` may be called from any one thread. When nobody does, the oldest reports go first.
    """

    def __init__(
        self,
        site: BusSite,
        log: EventLog,
        clock: Clock | None = None,
        *,
        reports_per_beat: int = REPORTS_PER_BEAT,
        max_waiting: int = MAX_REPORTS,
        io_threads: int = 1,
    ) -> None:
        self._clock = clock or SystemClock()
        self._max_waiting = max_waiting
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        folder = Path(site.keys_dir)
        self._intake = Intake(
            site.listen,
            folder,
            load_server_key(folder),
            self._take,
            log=log,
            clock=self._clock,
            beat_s=site.beat_s,
            limit=reports_per_beat,
            io_threads=io_threads,
        )

    @property
    def port(self) -> int:
        """The TCP port that it listens on; 0 before `start`."""
        return self._intake.port

    @property
    def is_running(self) -> bool:
        """Is its thread there?"""
        return self._intake.is_running

    def start(self) -> None:
        """Listen from now on."""
        self._intake.start()

    def stop(self) -> None:
        """Stop listening; what waits may still be drained."""
        self._intake.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def drain(self, timeout_s: float = 0.0) -> list[Arrival]:
        """All that waits, oldest first; with a timeout, waits so long for the first."""
        with self._changed:
            if timeout_s > 0:
                self._changed.wait_for(lambda: bool(self._waiting), timeout_s)
            waiting, self._waiting = self._waiting, deque()
            self._bytes = 0
        return list(waiting)

    def counters(self) -> dict[str, int]:
        """What was counted until now (hetslurm.bus.counters says what each means)."""
        return self._intake.counters()

    def _take(self, accepted: Accepted) -> None:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        fresh = [Arrival(now, monotonic, report, len(data)) for _, data, report in accepted]
        size = sum(arrival.size for arrival in fresh)
        dropped = 0
        with self._changed:
            self._waiting.extend(fresh)
            self._bytes += size
            while len(self._waiting) > self._max_waiting or self._bytes > MAX_WAITING_BYTES:
                self._bytes -= self._waiting.popleft().size
                dropped += 1
            self._changed.notify_all()
        if dropped:
            self._intake.count("overflow", dropped)

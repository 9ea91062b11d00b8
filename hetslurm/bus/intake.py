"""The listening end of the bus: a thread with a CURVE socket, its handshakes, its registry."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq
from zmq.utils.monitor import parse_monitor_message

from hetslurm.bus.admission import Admission
from hetslurm.bus.counters import zeros
from hetslurm.bus.envelope import EXTRA_BYTES
from hetslurm.bus.keys import ServerKey
from hetslurm.bus.log import EventLog
from hetslurm.bus.registry import Follow
from hetslurm.bus.wire import MAX_BYTES, Report
from hetslurm.bus.zap import DOMAIN, answer, open_zap
from hetslurm.clock import Clock
from hetslurm.errors import BusError

# Twice what a report may have: one that is too long is counted, what is longer yet ends the connection.
MAX_MESSAGE = 2 * MAX_BYTES + EXTRA_BYTES
# Reports that wait for one peer; more stay in its own socket.
HIGH_WATER = 128
BACKLOG = 4096
HANDSHAKE_MS = 30_000
BATCH = 512
_LOOK_MS = 500
_RESTART_S = 1.0
_FAILED = zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
_FAILED |= zmq.Event.HANDSHAKE_FAILED_AUTH
_WATCHED = _FAILED | zmq.Event.HANDSHAKE_SUCCEEDED | zmq.Event.DISCONNECTED

Accepted = list[tuple[str, bytes, Report]]


class Intake:
    """Takes messages at `listen`, admits them, and hands each batch to `take` on its own thread.

    Whatever goes wrong in the thread is logged and counted, and the sockets are opened anew.
    """

    def __init__(
        self,
        listen: str,
        folder: Path,
        key: ServerKey,
        take: Callable[[Accepted], None],
        *,
        log: EventLog,
        clock: Clock,
        beat_s: float,
        limit: int,
        io_threads: int = 1,
    ) -> None:
        self._listen = listen
        self._key = key
        self._take = take
        self._log = log
        self._clock = clock
        self._beat_s = beat_s
        self._io_threads = io_threads
        self._counts = zeros()
        self._follow = Follow(folder, log, clock)
        self._admission = Admission(self._follow.registry, self._counts, log, clock, limit)
        self._stopping = threading.Event()
        self._wake = -1
        self._thread: threading.Thread | None = None
        self._sockets: _Sockets | None = None
        self.port = 0

    def start(self) -> None:
        """Bind and begin. BusError when the endpoint cannot be had."""
        _raise_file_limit()
        self._sockets = _Sockets(self._listen, self._key, self._io_threads)
        self.port = self._sockets.port
        # A port that was chosen for us is the same again after a crash of the loop.
        self._listen = self._sockets.endpoint
        self._stopping.clear()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close everything; what was not taken is lost."""
        if self._thread is None:
            return
        self._stopping.set()
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._thread = None
        os.close(self._wake)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Is the thread there?"""
        return self._thread is not None and self._thread.is_alive()

    def count(self, name: str, n: int) -> None:
        """Count for `take`, on its thread."""
        self._counts[name] += n

    def counters(self) -> dict[str, int]:
        """What was counted until now (COUNTERS names them)."""
        return {**self._counts, "reload_errors": self._follow.errors}

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._sockets is None:
                    self._sockets = _Sockets(self._listen, self._key, self._io_threads)
                self._serve(self._sockets)
            except Exception as error:  # a bus that died in silence would sicken every node
                self._counts["crashes"] += 1
                self._report_crash(error)
                self._close()
                self._stopping.wait(_RESTART_S)
        self._close()

    def _report_crash(self, error: Exception) -> None:
        with contextlib.suppress(Exception):  # the log may be what stumbled
            self._log.error("the bus stumbled and starts again", error=f"{type(error).__name__}: {error}")

    def _close(self) -> None:
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    def _serve(self, sockets: _Sockets) -> None:
        poller = zmq.Poller()
        for socket in (sockets.reports, sockets.zap, sockets.events):
            poller.register(socket, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        while not self._stopping.is_set():
            ready = dict(poller.poll(_LOOK_MS))
            if self._follow.refresh():
                self._admission.use(self._follow.registry)
            if sockets.zap in ready:
                self._answer(sockets.zap)
            if sockets.events in ready:
                self._note(sockets.events)
            if sockets.reports in ready:
                self._receive(sockets.reports)

    def _receive(self, socket: zmq.Socket[bytes]) -> None:
        """A batch, as long as messages are there."""
        window = int(self._clock.monotonic() / self._beat_s)
        admit, receive, accepted = self._admission.admit, socket.recv, []
        for _ in range(BATCH):
            try:
                frame = receive(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            admitted = admit(str(frame.get("User-Id")), frame.bytes, window)
            if admitted is not None:
                accepted.append(admitted)
        if accepted:
            self._counts["accepted"] += len(accepted)
            self._take(accepted)

    def _answer(self, zap: zmq.Socket[bytes]) -> None:
        for _ in range(BATCH):
            try:
                request = zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            zap.send_multipart(answer(request, self._verdict))

    def _verdict(self, key: str) -> tuple[bytes, bytes]:
        """A key that is not known may have been issued a moment ago."""
        if not self._admission.knows(key) and self._follow.refresh(at_once=True):
            self._admission.use(self._follow.registry)
        return self._admission.verdict(key)

    def _note(self, events: zmq.Socket[bytes]) -> None:
        for _ in range(BATCH):
            try:
                event = parse_monitor_message(events.recv_multipart(zmq.NOBLOCK))["event"]
            except zmq.Again:
                return
            if event == zmq.Event.HANDSHAKE_SUCCEEDED:
                self._counts["handshakes_ok"] += 1
            elif event & _FAILED:
                self._counts["handshakes_refused"] += 1
            elif event == zmq.Event.DISCONNECTED:
                self._counts["disconnects"] += 1


class _Sockets:
    """A context with the three sockets of an intake; closes in moments, whatever is under way."""

    def __init__(self, listen: str, key: ServerKey, io_threads: int) -> None:
        self._context = zmq.Context(io_threads)
        try:
            self.zap = open_zap(self._context)
            self.reports = _reports_socket(self._context, key)
            self.events = self.reports.get_monitor_socket(int(_WATCHED))
            self.reports.bind(listen)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise BusError(f"bus.listen {listen}: {error.strerror}") from error
        self.endpoint = self.reports.getsockopt_string(zmq.LAST_ENDPOINT)
        self.port = int(self.endpoint.rpartition(":")[2]) if self.endpoint.startswith("tcp:") else 0

    def close(self) -> None:
        self.reports.disable_monitor()
        self.events.close(0)
        self._context.destroy(linger=0)


def _reports_socket(context: zmq.Context[zmq.Socket[bytes]], key: ServerKey) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.PULL)
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.CURVE_SERVER, 1),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
        (zmq.MAXMSGSIZE, MAX_MESSAGE),
        (zmq.RCVHWM, HIGH_WATER),
        (zmq.BACKLOG, BACKLOG),
        # A node that lost its power says no goodbye; the kernel finds out without a message a peer.
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.TCP_KEEPALIVE_IDLE, 30),
        (zmq.TCP_KEEPALIVE_INTVL, 10),
        (zmq.TCP_KEEPALIVE_CNT, 3),
    ):
        socket.setsockopt(option, value)
    socket.setsockopt(zmq.CURVE_SECRETKEY, key.secret)
    socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
    return socket


def _raise_file_limit() -> None:
    """A connection is a file: as many as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

"""The sending end of the bus: the newest report to every controller or relay, never waiting for one.

libzmq goes on trying where nobody listens, but gives up for good where its key is refused, and tries a wrong
server key every few seconds for ever. So the sender takes a socket down after any failed handshake, and comes
back later and later.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import zmq

from hetslurm.bus.keys import NodeKey
from hetslurm.errors import BusError

# After a controller's restart, its nodes come back over a few seconds, not at once.
RECONNECT_MS = (1000, 3000)
RECONNECT_LONGEST_MS = 30_000
CONNECT_TIMEOUT_MS = 10_000
# A controller with 10,000 handshakes before ours needs some ten seconds.
HANDSHAKE_MS = 30_000
# A controller whose machine is gone is found out after that long.
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 15_000, 45_000
# What a reader that has stopped reading still gets of the past.
SEND_BUFFER = 128 << 10
FIRST_RETRY_S, LONGEST_RETRY_S = 2.0, 60.0

_EVENT = struct.Struct("=Hi")
_REFUSED = {
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "no handshake: is its server key the one in our key file?",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "no handshake: it does not speak CURVE, or speaks it wrongly",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "our key was refused: was it revoked?",
}
_WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
for _failure in _REFUSED:
    _WATCHED |= _failure


class Notice(NamedTuple):
    """Something that happened to a connection, for the log: "connected", "lost" or "refused", and why."""

    endpoint: str
    what: str
    why: str = ""


@dataclass(slots=True)
class Traffic:
    """Counts of one endpoint since the start. `dropped` found no connection, or no room in it."""

    connected: bool = False
    sent: int = 0
    dropped: int = 0
    connections: int = 0
    handshakes_failed: int = 0


@dataclass(slots=True)
class _Wire:
    """A socket and its monitor; both None between a failed handshake and the next try."""

    endpoint: str
    traffic: Traffic = field(default_factory=Traffic)
    socket: zmq.Socket[bytes] | None = None
    monitor: zmq.Socket[bytes] | None = None
    failures: int = 0
    retry_at: float = 0.0


class Sender:
    """One PUSH socket for each endpoint, so that a dead one holds up no other."""

    def __init__(
        self,
        endpoints: Sequence[str],
        key: NodeKey,
        *,
        chance: Callable[[], float],
        monotonic: Callable[[], float],
        reconnect_ms: tuple[int, int] = RECONNECT_MS,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        """Begins to connect. `chance` is even in 0 to 1. Raises BusError."""
        self._key = key
        self._chance = chance
        self._monotonic = monotonic
        low, high = reconnect_ms
        self._reconnect_ms = round(low + (high - low) * chance())
        self._first_retry_s = first_retry_s
        self._context = zmq.Context()
        self._wires = [_Wire(endpoint) for endpoint in endpoints]
        try:
            for wire in self._wires:
                self._open(wire)
        except zmq.ZMQError as error:
            self.close()
            raise BusError(f"{wire.endpoint}: {error}") from error

    @property
    def traffic(self) -> dict[str, Traffic]:
        """Counts by endpoint."""
        return {wire.endpoint: wire.traffic for wire in self._wires}

    def send(self, report: bytes) -> int:
        """Hand it to every endpoint that there is a connection to; how many. Waits for nothing."""
        taken = 0
        for wire in self._wires:
            if self._send(wire, report):
                wire.traffic.sent += 1
                taken += 1
            else:
                wire.traffic.dropped += 1
        return taken

    def look(self) -> list[Notice]:
        """What happened since the last call; once a beat. Opens again what was taken down."""
        notices = []
        for wire in self._wires:
            if wire.socket is None and self._monotonic() >= wire.retry_at:
                self._open(wire)
            while wire.monitor is not None and int(wire.monitor.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                event, *_ = wire.monitor.recv_multipart()
                notices += self._follow(wire, zmq.Event(_EVENT.unpack(event)[0]))
        return notices

    def close(self, linger_s: float = 0.0) -> None:
        """Let go of all, giving the last report at most `linger_s`."""
        for wire in self._wires:
            _close(wire, round(linger_s * 1000))
        self._context.term()

    def _open(self, wire: _Wire) -> None:
        socket = self._context.socket(zmq.PUSH)
        wire.socket = socket
        socket.linger = 0
        socket.setsockopt(zmq.CONFLATE, 1)
        # Only to whoever is there: a report of a beat that nobody heard is of no use later.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.SNDBUF, SEND_BUFFER)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, self._reconnect_ms)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, max(RECONNECT_LONGEST_MS, self._reconnect_ms))
        socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_TIMEOUT_MS)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        # Nobody has anything to tell us.
        socket.setsockopt(zmq.MAXMSGSIZE, 1024)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._key.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._key.secret)
        socket.setsockopt(zmq.CURVE_SERVERKEY, self._key.server_public)
        wire.monitor = socket.get_monitor_socket(_WATCHED)
        wire.monitor.linger = 0
        socket.connect(wire.endpoint)

    def _follow(self, wire: _Wire, event: zmq.Event) -> list[Notice]:
        traffic = wire.traffic
        was_connected = traffic.connected
        traffic.connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        if traffic.connected:
            traffic.connections += 1
            wire.failures = 0
            return [Notice(wire.endpoint, "connected")]
        if event not in _REFUSED:
            return [Notice(wire.endpoint, "lost")] if was_connected else []
        traffic.handshakes_failed += 1
        wire.failures += 1
        _close(wire, 0)
        wait = min(LONGEST_RETRY_S, self._first_retry_s * 2.0 ** min(wire.failures - 1, 16))
        wire.retry_at = self._monotonic() + wait * (0.5 + self._chance())
        return [Notice(wire.endpoint, "refused", _REFUSED[event])]

    def _send(self, wire: _Wire, report: bytes) -> bool:
        if wire.socket is None:
            return False
        try:
            wire.socket.send(report, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True


def _close(wire: _Wire, linger_ms: int) -> None:
    if wire.socket is None:
        return
    wire.socket.disable_monitor()
    if wire.monitor is not None:
        wire.monitor.close(0)
    wire.socket.close(linger_ms)
    wire.socket = wire.monitor = None
    wire.traffic.connected = False

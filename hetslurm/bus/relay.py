"""A tier between agents and controller: takes reports as the controller does and passes them on."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from hetslurm.bus.admission import REPORTS_PER_BEAT
from hetslurm.bus.envelope import wrap
from hetslurm.bus.intake import Accepted, Intake
from hetslurm.bus.keys import RELAY_FILE, NodeKey, ServerKey, load_node_key
from hetslurm.bus.log import EventLog
from hetslurm.clock import Clock, SystemClock
from hetslurm.errors import BusError, KeyFileError
from hetslurm.site import BusSite

# Reports that wait for the controller; past it they are dropped and counted: the next beat brings newer ones.
HIGH_WATER = 8192
HANDSHAKE_MS = 30_000
RECONNECT_MS = (200, 10_000)
HEARTBEAT_MS = (5_000, 20_000)
# libzmq gives up for good where a key is refused, and a key may be issued again.
REOPEN_S = 10.0


class Relay:
    """Listens with the key of `relay.key` and the registry in `site.keys_dir`, and connects to `connect`.

    Raises KeyFileError when made without usable keys, BusError when it cannot bind or connect.
    """

    def __init__(
        self,
        site: BusSite,
        log: EventLog,
        clock: Clock | None = None,
        *,
        listen: str,
        connect: str,
        reports_per_beat: int = REPORTS_PER_BEAT,
    ) -> None:
        folder = Path(site.keys_dir)
        key = load_node_key(folder / RELAY_FILE)
        if key.role != "relay":
            raise KeyFileError(
                f"{folder / RELAY_FILE}: the key of a node; run: hetslurm keys issue {key.node} --relay"
            )
        self.name = key.node
        self._connect = connect
        self._key = key
        self._out: zmq.Socket[bytes] | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._forwarded = 0
        self._clock = clock or SystemClock()
        self._went_on_at = 0.0
        self._intake = Intake(
            listen,
            folder,
            ServerKey(key.public, key.secret),
            self._forward,
            log=log,
            clock=self._clock,
            beat_s=site.beat_s,
            limit=reports_per_beat,
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
        """Connect, and listen from now on."""
        self._context = zmq.Context()
        self._went_on_at = self._clock.monotonic()
        try:
            self._out = _upstream(self._context, self._key, self._connect)
            self._intake.start()
        except zmq.ZMQError as error:
            self._close()
            raise BusError(f"relay --connect {self._connect}: {error.strerror}") from error
        except BusError:
            self._close()
            raise

    def stop(self) -> None:
        """Stop; what was not sent is lost."""
        self._intake.stop()
        self._close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def counters(self) -> dict[str, int]:
        """As a receiver's; `forwarded` reports went on, `overflow` found the controller away or slow."""
        return {**self._intake.counters(), "forwarded": self._forwarded}

    def _forward(self, accepted: Accepted) -> None:
        """On the intake's thread, which alone uses the socket once it runs."""
        out, sent = self._out, 0
        if out is None:
            return
        for key, data, _ in accepted:
            try:
                out.send(wrap(key, data), zmq.NOBLOCK)
            except zmq.Again:
                break
            sent += 1
        self._forwarded += sent
        if sent:
            self._went_on_at = self._clock.monotonic()
        if sent < len(accepted):
            self._intake.count("overflow", len(accepted) - sent)
            self._reopen_late()

    def _reopen_late(self) -> None:
        """A connection that took nothing for long is made anew."""
        now = self._clock.monotonic()
        if now - self._went_on_at >= REOPEN_S and self._out is not None and self._context is not None:
            self._out.close(0)
            self._out = _upstream(self._context, self._key, self._connect)
            self._went_on_at = now

    def _close(self) -> None:
        if self._context is not None:
            self._context.destroy(linger=0)
        self._context = self._out = None


def _upstream(context: zmq.Context[zmq.Socket[bytes]], key: NodeKey, connect: str) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.PUSH)
    for option, value in (
        (zmq.LINGER, 0),
        (zmq.SNDHWM, HIGH_WATER),
        # Nothing waits for a controller that is away: what it gets when it is back is what is new then.
        (zmq.IMMEDIATE, 1),
        (zmq.HANDSHAKE_IVL, HANDSHAKE_MS),
        (zmq.RECONNECT_IVL, RECONNECT_MS[0]),
        (zmq.RECONNECT_IVL_MAX, RECONNECT_MS[1]),
        (zmq.HEARTBEAT_IVL, HEARTBEAT_MS[0]),
        (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_MS[1]),
    ):
        socket.setsockopt(option, value)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, key.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, key.secret)
    socket.setsockopt(zmq.CURVE_SERVERKEY, key.server_public)
    try:
        socket.connect(connect)
    except zmq.ZMQError:
        socket.close(0)
        raise
    return socket

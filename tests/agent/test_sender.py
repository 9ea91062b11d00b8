"""The sending end against real CURVE sockets."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from zmq.auth.thread import ThreadAuthenticator

from hetslurm.bus.keys import NodeKey, make_pair
from hetslurm.bus.sender import Notice, Sender
from hetslurm.errors import BusError

from .conftest import Hub, until

MakeSender = Callable[..., Sender]


@pytest.fixture
def make_sender() -> Iterator[MakeSender]:
    """`make_sender(key, endpoint…)`: quick to come back, closed at the end."""
    made: list[Sender] = []

    def make(key: NodeKey, *endpoints: str) -> Sender:
        made.append(
            Sender(
                endpoints,
                key,
                chance=random.Random(1).random,
                monotonic=time.monotonic,
                reconnect_ms=(20, 40),
                first_retry_s=0.1,
            )
        )
        return made[-1]

    yield make
    for sender in made:
        sender.close()


def _connected(sender: Sender, endpoint: str) -> bool:
    sender.look()
    return sender.traffic[endpoint].connected


def test_a_report_arrives(hub: Hub, make_sender: MakeSender) -> None:
    sender = make_sender(hub.node_key(), hub.endpoint)
    until(lambda: _connected(sender, hub.endpoint), "a connection")
    assert sender.send(b"one") == 1
    assert hub.take() == b"one"
    assert sender.traffic[hub.endpoint].sent == 1


def test_without_a_connection_a_report_is_dropped_and_counted_at_once(
    hub: Hub, make_sender: MakeSender
) -> None:
    hub.stop()
    sender = make_sender(hub.node_key(), hub.endpoint)
    for _ in range(1000):
        assert sender.send(b"nobody hears") == 0
    traffic = sender.traffic[hub.endpoint]
    assert (traffic.sent, traffic.dropped) == (0, 1000)


def test_a_dead_controller_does_not_hold_up_its_backup(hub: Hub, make_sender: MakeSender) -> None:
    dead = "tcp://127.0.0.1:9"
    sender = make_sender(hub.node_key(), dead, hub.endpoint)
    until(lambda: _connected(sender, hub.endpoint), "a connection")
    assert sender.send(b"one") == 1
    assert hub.take() == b"one"
    assert sender.traffic[dead].dropped == 1


def test_after_a_controllers_restart_newest_reports_arrive_again(hub: Hub, make_sender: MakeSender) -> None:
    sender = make_sender(hub.node_key(), hub.endpoint)
    until(lambda: _connected(sender, hub.endpoint), "a connection")
    hub.stop()
    until(lambda: not _connected(sender, hub.endpoint), "the loss of it")
    sender.send(b"into the void")
    hub.listen()
    until(lambda: _connected(sender, hub.endpoint), "a connection")
    sender.send(b"newest")
    assert hub.take() == b"newest"
    assert sender.traffic[hub.endpoint].connections == 2


def _held() -> tuple[int, int]:
    """Open files and threads of this process."""
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def test_many_restarts_of_a_controller_leave_nothing_behind(hub: Hub, make_sender: MakeSender) -> None:
    sender = make_sender(hub.node_key(), hub.endpoint)
    held = []
    for turn in range(1, 31):
        until(lambda: _connected(sender, hub.endpoint), "a connection")
        held.append(_held())
        hub.stop()
        until(lambda: not _connected(sender, hub.endpoint), "the loss of it")
        # Every second one has another key at first, which costs the sender its socket.
        if turn % 2:
            hub.listen(make_pair())
            until(lambda: any(notice.what == "refused" for notice in sender.look()), "a refusal")
            hub.stop()
        hub.listen()
    assert sender.traffic[hub.endpoint].connections == 30
    # libzmq's own are made as they are needed: the first few turns may add some.
    assert max(held[15:]) <= max(held[:15])


def test_a_wrong_server_key_is_told_and_does_not_storm(hub: Hub, make_sender: MakeSender) -> None:
    key = hub.node_key()
    wrong = NodeKey(key.node, key.public, key.secret, make_pair().public)
    sender = make_sender(wrong, hub.endpoint)
    notices: list[Notice] = []

    def is_refused() -> bool:
        notices.extend(sender.look())
        return sender.traffic[hub.endpoint].handshakes_failed >= 3

    begun = time.monotonic()
    until(is_refused, "three failed handshakes")
    # 0.1 and 0.2 s, at least half of each.
    assert time.monotonic() - begun >= 0.15
    assert {notice.what for notice in notices} == {"refused"}
    assert "server key" in notices[0].why
    assert sender.send(b"secret") == 0


def test_a_refused_key_is_told_and_works_once_it_is_accepted(
    hub: Hub, context: zmq.Context[zmq.Socket[bytes]], make_sender: MakeSender
) -> None:
    gate = _Gate()
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    try:
        authenticator.configure_curve_callback("test", gate)
        hub.stop()
        hub.listen()
        sender = make_sender(hub.node_key(), hub.endpoint)
        until(lambda: sender.look() or sender.traffic[hub.endpoint].handshakes_failed, "a refusal")
        assert not sender.traffic[hub.endpoint].connected
        gate.is_open = True
        until(lambda: _connected(sender, hub.endpoint), "a connection")
        sender.send(b"welcome")
        assert hub.take() == b"welcome"
        assert sender.traffic[hub.endpoint].handshakes_failed >= 1
    finally:
        authenticator.stop()


class _Gate:
    """Whether keys are accepted now."""

    is_open = False

    def callback(self, domain: str, key: bytes) -> bool:
        """pyzmq asks this."""
        return self.is_open


def test_a_peer_without_curve_is_refused(
    context: zmq.Context[zmq.Socket[bytes]], hub: Hub, make_sender: MakeSender
) -> None:
    with context.socket(zmq.PULL) as plain:
        plain.linger = 0
        port = plain.bind_to_random_port("tcp://127.0.0.1")
        endpoint = f"tcp://127.0.0.1:{port}"
        sender = make_sender(hub.node_key(), endpoint)
        notices: list[Notice] = []
        until(lambda: notices.extend(sender.look()) or notices, "a refusal")
        assert notices[0].what == "refused"
        assert sender.send(b"not in the clear") == 0


def test_a_reader_that_stops_reading_gets_the_newest_and_never_blocks_us(
    hub: Hub, make_sender: MakeSender
) -> None:
    sender = make_sender(hub.node_key(), hub.endpoint)
    until(lambda: _connected(sender, hub.endpoint), "a connection")
    newest = 50_000
    for number in range(newest + 1):
        sender.send(number.to_bytes(4, "big") * 500)
    received = [int.from_bytes(hub.take()[:4], "big")]
    while received[-1] != newest:
        received.append(int.from_bytes(hub.take()[:4], "big"))
    assert received == sorted(received)
    assert len(received) < newest


def test_closing_is_at_once_even_with_something_unsent(hub: Hub, make_sender: MakeSender) -> None:
    sender = make_sender(hub.node_key(), hub.endpoint, "tcp://127.0.0.1:9")
    sender.send(b"x" * 10_000)
    begun = time.monotonic()
    sender.close()
    assert time.monotonic() - begun < 10


def test_an_endpoint_that_is_none_is_refused(hub: Hub, make_sender: MakeSender) -> None:
    with pytest.raises(BusError, match="nonsense"):
        make_sender(hub.node_key(), "nonsense")

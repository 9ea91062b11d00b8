"""Real sockets, tracked: every context must terminate within ten seconds, or the test fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zmq

from hetslurm.bus.authority import Authority
from hetslurm.bus.keys import NodeKey, load_node_key
from hetslurm.bus.receiver import Arrival, Receiver
from hetslurm.bus.relay import Relay
from hetslurm.bus.wire import Report, encode
from hetslurm.clock import SystemClock
from hetslurm.site import BusSite

PATIENCE_S = 30.0
TERM_S = 10.0


class Lines:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def info(self, event: str, **fields: object) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append(("warning", event, fields))

    def error(self, event: str, **fields: object) -> None:
        self.lines.append(("error", event, fields))

    def about(self, event: str) -> list[dict[str, object]]:
        return [fields for _, name, fields in self.lines if name == event]


def report(node: str, seq: int, *, agent: int = 7, **fields: Any) -> Report:
    """A small report."""
    return Report(
        node, agent, seq, fields.pop("sent_at", time.time()), 5.0, fields.pop("probes", []), **fields
    )


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)


@dataclass
class Bus:
    """Keys, receivers, relays and bare clients of one test."""

    folder: Path
    stack: ExitStack
    log: Lines = field(default_factory=Lines)
    relay_log: Lines = field(default_factory=Lines)

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder, SystemClock())
        self.authority.init()
        self._clients: list[zmq.Socket[bytes]] = []

    def issue(self, node: str, **options: Any) -> NodeKey:
        return load_node_key(self.authority.issue([node], **options)[0])

    def site(self, listen: str = "tcp://127.0.0.1:*", **fields: Any) -> BusSite:
        return BusSite(listen=listen, keys_dir=str(self.folder), **fields)

    def receiver(self, listen: str = "tcp://127.0.0.1:*", *, beat_s: float = 5.0, **options: Any) -> Receiver:
        receiver = Receiver(self.site(listen, beat_s=beat_s), self.log, **options)
        self.stack.enter_context(receiver)
        return receiver

    def relay(self, name: str, connect: str) -> Relay:
        """A relay in a folder of its own, as on a machine of its own."""
        path = self.authority.issue([name], role="relay")[0]
        folder = self.folder.parent / name
        folder.mkdir(mode=0o700)
        path.rename(folder / "relay.key")
        self.copy_registry(name)
        site = BusSite(keys_dir=str(folder))
        relay = Relay(site, self.relay_log, listen="tcp://127.0.0.1:*", connect=connect)
        self.stack.enter_context(relay)
        return relay

    def copy_registry(self, name: str) -> None:
        fresh = self.folder.parent / name / "registry.new"
        fresh.write_text((self.folder / "registry").read_text())
        fresh.chmod(0o600)
        fresh.replace(fresh.with_name("registry"))

    def relay_knows(self, keys: int, revoked: int) -> None:
        """Wait until the relay has read such a registry."""
        read = {"keys": keys, "revoked": revoked}
        until(lambda: self.relay_log.about("registry read")[-1:] == [read], f"a relay that read {read}")

    def controller_knows(self, keys: int, revoked: int) -> None:
        """Wait until the receiver has read such a registry."""
        read = {"keys": keys, "revoked": revoked}
        until(lambda: self.log.about("registry read")[-1:] == [read], f"a receiver that read {read}")

    def client(self, port: int, key: NodeKey | None, **options: int) -> zmq.Socket[bytes]:
        """A PUSH socket as an agent has it; without a key, one that speaks no CURVE."""
        context = zmq.Context()
        self.stack.callback(terminate, context)
        socket = context.socket(zmq.PUSH)
        self._clients.append(socket)
        socket.linger = 0
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        for name, value in options.items():
            socket.setsockopt(getattr(zmq, name), value)
        if key is not None:
            socket.curve_publickey, socket.curve_secretkey = key.public, key.secret
            socket.curve_serverkey = key.server_public
        socket.connect(f"tcp://127.0.0.1:{port}")
        return socket

    def collect(self, receiver: Receiver, n: int) -> list[Arrival]:
        """The next n reports, at least."""
        found: list[Arrival] = []
        deadline = time.monotonic() + PATIENCE_S
        while len(found) < n:
            assert time.monotonic() < deadline, f"{len(found)} of {n} came: {receiver.counters()}"
            found += receiver.drain(timeout_s=0.2)
        return found


def send(socket: zmq.Socket[bytes], *reports: Report) -> None:
    """In the wire form."""
    for one in reports:
        socket.send(encode(one))


def terminate(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    """Close all of a context's sockets and end it, or fail."""
    ending = threading.Thread(target=context.destroy, kwargs={"linger": 0}, daemon=True)
    ending.start()
    ending.join(TERM_S)
    assert not ending.is_alive(), "a context could not be terminated"


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    with ExitStack() as stack:
        yield Bus(tmp_path / "keys", stack)

"""Reports through a relay: as good as direct ones, and no better."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from hetslurm.bus.envelope import wrap
from hetslurm.bus.keys import NodeKey, load_node_key, make_pair
from hetslurm.bus.receiver import Receiver
from hetslurm.bus.relay import Relay
from hetslurm.bus.sender import Sender
from hetslurm.bus.wire import MAGIC, MAX_BYTES, VERSION, encode
from hetslurm.errors import KeyFileError
from hetslurm.site import BusSite

from .conftest import Bus, report, send, until


def _through(bus: Bus, *nodes: str, **options: int) -> tuple[Receiver, Relay, list[NodeKey]]:
    """A receiver, a relay in front of it that is connected, and keys of nodes that use the relay."""
    receiver = bus.receiver(**options)
    relay = bus.relay("r1", f"tcp://127.0.0.1:{receiver.port}")
    keys = [bus.issue(node, via="r1") for node in nodes]
    bus.copy_registry("r1")
    until(lambda: receiver.counters()["handshakes_ok"] >= 1, "the relay's connection")
    bus.controller_knows(len(nodes) + 1, 0)
    bus.relay_knows(len(nodes) + 1, 0)
    return receiver, relay, keys


def test_a_report_reaches_the_controller_through_a_relay(bus: Bus) -> None:
    receiver, relay, (key,) = _through(bus, "gpu1")
    sent = report("gpu1", 1)
    send(bus.client(relay.port, key), sent)
    (arrival,) = bus.collect(receiver, 1)
    assert arrival.report == sent
    until(lambda: relay.counters()["forwarded"] == 1, "the count")


def test_a_forged_name_does_not_pass_a_relay(bus: Bus) -> None:
    receiver, relay, (key, _) = _through(bus, "gpu1", "gpu2")
    send(bus.client(relay.port, key), report("gpu2", 1), report("gpu1", 1))
    assert [a.report.node for a in bus.collect(receiver, 1)] == ["gpu1"]
    assert relay.counters()["forged"] == 1


def test_a_key_revoked_at_the_controller_is_not_believed_though_the_relay_still_does(bus: Bus) -> None:
    receiver, relay, (key,) = _through(bus, "gpu1")
    client = bus.client(relay.port, key)
    send(client, report("gpu1", 1))
    bus.collect(receiver, 1)
    bus.authority.revoke(["gpu1"])
    bus.controller_knows(1, 1)
    send(client, report("gpu1", 2))
    until(lambda: receiver.counters()["revoked"] == 1, "the refusal")
    assert relay.counters()["revoked"] == 0


def test_a_key_revoked_in_the_relays_copy_goes_no_further(bus: Bus) -> None:
    receiver, relay, (key,) = _through(bus, "gpu1")
    bus.authority.revoke(["gpu1"])
    bus.copy_registry("r1")
    bus.relay_knows(1, 1)
    send(bus.client(relay.port, key), report("gpu1", 1))
    until(lambda: relay.counters()["revoked"] == 1, "the refusal")
    assert receiver.counters()["accepted"] == 0


def test_unknown_keys_wrong_server_keys_and_plain_clients_make_no_connection_to_a_relay(bus: Bus) -> None:
    receiver, relay, (key,) = _through(bus, "gpu1")
    pair = make_pair()
    bus.client(relay.port, replace(key, public=pair.public, secret=pair.secret)).send(b"x")
    bus.client(relay.port, replace(key, server_public=make_pair().public)).send(b"x")
    bus.client(relay.port, None).send(b"x")
    until(lambda: relay.counters()["handshakes_refused"] >= 3, "three refused handshakes")
    assert relay.counters()["handshakes_ok"] == 0
    assert receiver.counters()["accepted"] == 0


def test_garbage_oversized_future_repeated_and_too_many_reports_stop_at_the_relay(bus: Bus) -> None:
    receiver, relay, (key,) = _through(bus, "gpu1")
    client = bus.client(relay.port, key)
    client.send(b"nothing")
    client.send(bytes((MAGIC, VERSION)) + b"\x00" * MAX_BYTES)
    client.send(bytes((MAGIC, VERSION + 1)) + encode(report("gpu1", 1))[2:])
    send(client, report("gpu1", 1), report("gpu1", 1))
    send(client, *(report("gpu1", n) for n in range(2, 100)))
    until(lambda: relay.counters()["flood"] > 50, "the flood's end")
    counts = relay.counters()
    assert (counts["garbage"], counts["oversized"], counts["version"], counts["replayed"]) == (1, 1, 1, 1)
    bus.collect(receiver, counts["accepted"])
    assert receiver.counters()["garbage"] == 0


def test_a_stolen_relay_key_speaks_for_no_key_that_is_not_in_force_and_under_no_other_name(bus: Bus) -> None:
    receiver, _, (gpu1, _) = _through(bus, "gpu1", "gpu2")
    thief = load_node_key(bus.folder.parent / "r1" / "relay.key")
    client = bus.client(receiver.port, thief)
    client.send(wrap(make_pair().public.decode(), encode(report("gpu1", 1))))
    client.send(wrap(thief.public.decode(), encode(report("r1", 1))))
    client.send(wrap(gpu1.public.decode(), encode(report("gpu2", 1))))
    client.send(encode(report("gpu1", 1)))
    client.send(b"R")
    # What it can do: speak for a node, as long as nobody has revoked it.
    client.send(wrap(gpu1.public.decode(), encode(report("gpu1", 1))))
    assert [a.report.node for a in bus.collect(receiver, 1)] == ["gpu1"]
    counts = receiver.counters()
    assert (counts["unknown_key"], counts["forged"], counts["garbage"]) == (2, 1, 2)
    bus.authority.revoke(["r1"])
    bus.controller_knows(2, 1)
    client.send(wrap(gpu1.public.decode(), encode(report("gpu1", 2))))
    until(lambda: receiver.counters()["revoked"] == 1, "the refusal")


def test_a_node_cannot_pass_itself_off_as_a_relay(bus: Bus) -> None:
    mine, other = bus.issue("gpu1"), bus.issue("gpu2")
    receiver = bus.receiver()
    client = bus.client(receiver.port, mine)
    client.send(wrap(other.public.decode(), encode(report("gpu2", 1))))
    until(lambda: receiver.counters()["garbage"] == 1, "the refusal")
    assert receiver.counters()["accepted"] == 0


def test_a_relay_outlives_its_controller_and_drops_what_nobody_can_have(bus: Bus) -> None:
    receiver, relay, (key,) = _through(bus, "gpu1")
    client = bus.client(relay.port, key)
    port = receiver.port
    send(client, report("gpu1", 1))
    bus.collect(receiver, 1)
    receiver.stop()
    seq = iter(range(2, 100_000))

    def dropped() -> bool:
        send(client, report("gpu1", next(seq)))
        counts = relay.counters()
        return counts["overflow"] + counts["flood"] > 0

    until(dropped, "a report that is dropped")
    again = bus.receiver(f"tcp://127.0.0.1:{port}")
    fresh = bus.client(relay.port, bus.issue("gpu3", via="r1"))
    bus.copy_registry("r1")

    def heard() -> bool:
        send(fresh, report("gpu3", next(seq)))
        return any(a.report.node == "gpu3" for a in again.drain(timeout_s=0.3))

    until(heard, "a report at the new controller")


def test_the_agents_own_sender_reaches_the_controller_through_a_relay(bus: Bus) -> None:
    receiver, relay, (key,) = _through(bus, "gpu1")
    sender = Sender(
        [f"tcp://127.0.0.1:{relay.port}"],
        key,
        chance=lambda: 0.5,
        monotonic=time.monotonic,
        first_retry_s=0.1,
    )
    seq = iter(range(1, 10_000))

    def heard() -> bool:
        sender.look()
        sender.send(encode(report("gpu1", next(seq))))
        return bool(receiver.drain(timeout_s=0.2))

    try:
        until(heard, "a report by way of the relay")
    finally:
        sender.close()


def test_the_daemon_relays_until_it_is_told_to_stop(bus: Bus) -> None:
    receiver = bus.receiver()
    folder = bus.folder.parent / "r2"
    folder.mkdir(mode=0o700)
    bus.authority.issue(["r2"], role="relay")[0].rename(folder / "relay.key")
    key = bus.issue("gpu1", via="r2")
    bus.copy_registry("r2")
    config = folder / "hetslurm.toml"
    config.write_text(
        f'[bus]\nlisten = "tcp://127.0.0.1:*"\nkeys_dir = "{folder}"\n'
        f'connect = ["tcp://127.0.0.1:{receiver.port}"]\n'
    )
    command = [
        sys.executable,
        "-P",
        "-m",
        "hetslurm",
        "relay",
        "--config",
        str(config),
        "--log-format",
        "json",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stderr is not None
            hello = json.loads(daemon.stderr.readline())
            assert hello["event"] == "relay listens"
            client = bus.client(hello["port"], key, CONFLATE=1)
            seq = iter(range(1, 10_000))

            def heard() -> bool:
                send(client, report("gpu1", next(seq)))
                return bool(receiver.drain(timeout_s=0.2))

            until(heard, "a report by way of the daemon")
            daemon.terminate()
            assert daemon.wait(20) == 0
        finally:
            daemon.kill()


def test_a_nodes_key_runs_no_relay(bus: Bus) -> None:
    bus.issue("gpu1")
    (bus.folder / "issued" / "gpu1.key").rename(bus.folder / "relay.key")
    with pytest.raises(KeyFileError, match="--relay"):
        Relay(
            BusSite(keys_dir=str(bus.folder)),
            bus.log,
            listen="tcp://127.0.0.1:*",
            connect="tcp://127.0.0.1:1",
        )

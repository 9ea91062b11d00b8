"""What the controller's end believes, and what becomes of all else; on real sockets with real CURVE."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from hetslurm.bus import intake
from hetslurm.bus.intake import MAX_MESSAGE
from hetslurm.bus.keys import make_pair
from hetslurm.bus.receiver import Receiver
from hetslurm.bus.wire import MAGIC, MAX_BYTES, VERSION, encode
from hetslurm.clock import SystemClock
from hetslurm.errors import BusError, KeyFileError

from .conftest import PATIENCE_S, Bus, report, send, until


def test_a_report_arrives_with_the_time_of_its_arrival(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    before = time.time()
    sent = report("gpu1", 1)
    send(bus.client(receiver.port, key), sent)
    (arrival,) = bus.collect(receiver, 1)
    assert arrival.report == sent
    assert before <= arrival.received_at <= time.time()
    assert arrival.size == len(encode(sent))
    assert receiver.counters()["handshakes_ok"] == 1


def test_a_report_under_another_nodes_name_is_refused_and_both_names_are_logged(bus: Bus) -> None:
    mine = bus.issue("gpu1")
    bus.issue("gpu2")
    receiver = bus.receiver()
    client = bus.client(receiver.port, mine)
    send(client, report("gpu2", 1), report("gpu1", 1))
    assert [a.report.node for a in bus.collect(receiver, 1)] == ["gpu1"]
    assert receiver.counters()["forged"] == 1
    assert bus.log.about("report under another node's name") == [{"node": "gpu1", "claimed": "gpu2"}]


def test_a_revoked_key_is_not_believed_on_a_connection_that_is_open(bus: Bus) -> None:
    key, other = bus.issue("gpu1"), bus.issue("gpu2")
    receiver = bus.receiver()
    client, control = bus.client(receiver.port, key), bus.client(receiver.port, other)
    send(client, report("gpu1", 1))
    bus.collect(receiver, 1)
    bus.authority.revoke(["gpu1"])
    until(lambda: bus.log.about("registry read"), "the registry as it is now")
    send(client, report("gpu1", 2))
    until(lambda: receiver.counters()["revoked"] == 1, "the refusal")
    send(control, report("gpu2", 1))
    assert [a.report.node for a in bus.collect(receiver, 1)] == ["gpu2"]


def test_a_revoked_key_makes_no_new_connection(bus: Bus) -> None:
    key = bus.issue("gpu1")
    bus.authority.revoke(["gpu1"])
    receiver = bus.receiver()
    send(bus.client(receiver.port, key), report("gpu1", 1))
    until(lambda: receiver.counters()["handshakes_refused"] == 1, "the refused handshake")
    counts = receiver.counters()
    assert (counts["revoked"], counts["handshakes_ok"], counts["accepted"]) == (1, 0, 0)


def test_a_key_issued_again_takes_over_and_the_old_one_is_revoked(bus: Bus) -> None:
    old = bus.issue("gpu1")
    receiver = bus.receiver()
    client = bus.client(receiver.port, old)
    send(client, report("gpu1", 1))
    bus.collect(receiver, 1)
    new = bus.issue("gpu1")
    until(lambda: bus.log.about("registry read"), "the registry as it is now")
    send(client, report("gpu1", 2))
    send(bus.client(receiver.port, new), report("gpu1", 1, agent=8))
    assert [a.report.agent for a in bus.collect(receiver, 1)] == [8]
    until(lambda: receiver.counters()["revoked"] == 1, "the old key's refusal")


def test_a_key_that_was_never_issued_makes_no_connection(bus: Bus) -> None:
    pair, real = make_pair(), bus.issue("gpu1")
    receiver = bus.receiver()
    stranger = replace(real, public=pair.public, secret=pair.secret)
    send(bus.client(receiver.port, stranger), report("gpu1", 1))
    until(lambda: receiver.counters()["unknown_key"] >= 1, "the refusal")
    until(lambda: receiver.counters()["handshakes_refused"] >= 1, "the refused handshake")
    assert receiver.counters()["handshakes_ok"] == 0


def test_a_client_with_the_wrong_server_key_makes_no_connection(bus: Bus) -> None:
    key = replace(bus.issue("gpu1"), server_public=make_pair().public)
    receiver = bus.receiver()
    send(bus.client(receiver.port, key), report("gpu1", 1))
    until(lambda: receiver.counters()["handshakes_refused"] >= 1, "the refused handshake")
    assert receiver.counters()["handshakes_ok"] == 0
    assert receiver.drain() == []


def test_a_client_without_curve_makes_no_connection(bus: Bus) -> None:
    receiver = bus.receiver()
    bus.client(receiver.port, None).send(encode(report("gpu1", 1)))
    until(lambda: receiver.counters()["handshakes_refused"] >= 1, "the refused handshake")
    assert receiver.counters()["handshakes_ok"] == 0
    assert receiver.drain() == []


@pytest.mark.parametrize(
    ("data", "counter"),
    [
        (b"", "garbage"),
        (b"GET / HTTP/1.1\r\n\r\n", "garbage"),
        (bytes((MAGIC, VERSION)) + b"\xc1" * 40, "garbage"),
        (bytes((MAGIC, VERSION + 1)) + encode(report("gpu1", 1))[2:], "version"),
        (bytes((MAGIC, VERSION)) + b"\x00" * MAX_BYTES, "oversized"),
    ],
    ids=["empty", "another protocol", "no msgpack", "a future version", "oversized"],
)
def test_what_is_no_report_is_counted_and_the_next_report_is_taken(
    bus: Bus, data: bytes, counter: str
) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    client = bus.client(receiver.port, key)
    client.send(data)
    send(client, report("gpu1", 1))
    assert len(bus.collect(receiver, 1)) == 1
    counts = receiver.counters()
    assert counts[counter] == 1
    assert counts["accepted"] == 1
    assert counts["crashes"] == 0


def test_a_huge_message_ends_the_connection_and_costs_no_other_node_anything(bus: Bus) -> None:
    huge, fine = bus.issue("gpu1"), bus.issue("gpu2")
    receiver = bus.receiver()
    bus.client(receiver.port, huge).send(b"\x00" * (MAX_MESSAGE * 4))
    send(bus.client(receiver.port, fine), report("gpu2", 1))
    assert [a.report.node for a in bus.collect(receiver, 1)] == ["gpu2"]
    until(lambda: receiver.counters()["disconnects"] >= 1, "the connection's end")


def test_a_connection_that_never_shakes_hands_ends_by_itself(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HANDSHAKE_MS", 300)
    receiver = bus.receiver()
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=PATIENCE_S) as mute:
        while mute.recv(4096):  # its greeting; then nothing, since ours never comes
            pass
    assert receiver.counters()["handshakes_ok"] == 0
    send(bus.client(receiver.port, bus.issue("gpu1")), report("gpu1", 1))
    assert len(bus.collect(receiver, 1)) == 1


def test_messages_in_parts_are_no_reports(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    client = bus.client(receiver.port, key)
    whole = encode(report("gpu1", 1))
    client.send_multipart([whole[:10], whole[10:]])
    send(client, report("gpu1", 2))
    assert [a.report.seq for a in bus.collect(receiver, 1)] == [2]
    assert receiver.counters()["garbage"] == 2


def test_a_node_that_floods_is_cut_to_its_share_and_others_are_heard(bus: Bus) -> None:
    noisy, quiet = bus.issue("gpu1"), bus.issue("gpu2")
    receiver = bus.receiver(beat_s=3600.0, reports_per_beat=8)
    loud, calm = bus.client(receiver.port, noisy), bus.client(receiver.port, quiet)
    send(loud, *(report("gpu1", n) for n in range(1, 501)))
    send(calm, report("gpu2", 1))
    until(lambda: sum(receiver.counters()[n] for n in ("accepted", "flood")) == 501, "all 501")
    assert receiver.counters()["flood"] == 492
    found = [a.report.node for a in bus.collect(receiver, 9)]
    assert (found.count("gpu1"), found.count("gpu2")) == (8, 1)
    assert len(bus.log.about("too many reports")) == 1


def test_a_report_that_came_before_or_goes_back_is_dropped(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    client = bus.client(receiver.port, key)
    send(client, report("gpu1", 3), report("gpu1", 3), report("gpu1", 2), report("gpu1", 4))
    assert [a.report.seq for a in bus.collect(receiver, 2)] == [3, 4]
    assert receiver.counters()["replayed"] == 2


def test_an_agent_that_was_superseded_is_not_believed_again(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    client = bus.client(receiver.port, key)
    send(client, report("gpu1", 9, agent=1), report("gpu1", 1, agent=2), report("gpu1", 10, agent=1))
    send(client, report("gpu1", 2, agent=2))
    assert [a.report.agent for a in bus.collect(receiver, 3)] == [1, 2, 2]
    assert receiver.counters()["replayed"] == 1


def test_a_report_of_a_clock_that_is_wrong_by_hours_is_taken(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    send(bus.client(receiver.port, key), report("gpu1", 1, sent_at=time.time() - 7 * 3600))
    (arrival,) = bus.collect(receiver, 1)
    assert arrival.received_at - arrival.report.sent_at > 6 * 3600


def test_agents_come_back_to_a_receiver_that_was_restarted(bus: Bus) -> None:
    key = bus.issue("gpu1")
    first = bus.receiver()
    port = first.port
    client = bus.client(port, key, CONFLATE=1)
    send(client, report("gpu1", 1))
    bus.collect(first, 1)
    first.stop()
    second = bus.receiver(f"tcp://127.0.0.1:{port}")
    seq = iter(range(2, 10_000))

    def heard() -> bool:
        send(client, report("gpu1", next(seq)))
        return bool(second.drain(timeout_s=0.2))

    until(heard, "a report at the second receiver")


def test_a_sender_neither_waits_nor_grows_while_nobody_reads(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    port = receiver.port
    client = bus.client(port, key, CONFLATE=1)
    send(client, report("gpu1", 1))
    bus.collect(receiver, 1)
    receiver.stop()
    started = time.monotonic()
    for seq in range(2, 20_000):
        client.send(encode(report("gpu1", seq)), zmq.NOBLOCK)
    assert time.monotonic() - started < 60
    again = bus.receiver(f"tcp://127.0.0.1:{port}")
    found = bus.collect(again, 1)
    # One waited, not twenty thousand; the newest.
    assert [a.report.seq for a in found] == [19_999]


def test_what_nobody_takes_is_bounded_and_the_oldest_goes_first(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver(max_waiting=10, reports_per_beat=1000)
    send(bus.client(receiver.port, key), *(report("gpu1", n) for n in range(1, 101)))
    until(lambda: receiver.counters()["overflow"] == 90, "ninety dropped")
    assert [a.report.seq for a in receiver.drain()] == list(range(91, 101))
    assert receiver.counters()["accepted"] == 100


def test_a_registry_that_others_can_read_leaves_the_old_one_in_force(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    client = bus.client(receiver.port, key)
    registry = bus.folder / "registry"
    bus.authority.revoke(["gpu1"])
    registry.chmod(0o644)
    until(lambda: receiver.counters()["reload_errors"] >= 1, "the complaint")
    (line,) = bus.log.about("the registry cannot be used, the old one stays in force")
    assert "chmod 600" in str(line["error"])
    send(client, report("gpu1", 1))
    assert len(bus.collect(receiver, 1)) == 1
    registry.chmod(0o600)
    until(lambda: bus.log.about("registry read"), "the registry as it is now")
    send(client, report("gpu1", 2))
    until(lambda: receiver.counters()["revoked"] == 1, "the revocation")


def test_a_broken_registry_leaves_the_old_one_in_force(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    with (bus.folder / "registry").open("a") as out:
        out.write("node gpu2 half a li")
    until(lambda: receiver.counters()["reload_errors"] >= 1, "the complaint")
    send(bus.client(receiver.port, key), report("gpu1", 1))
    assert len(bus.collect(receiver, 1)) == 1


class _StumblingClock(SystemClock):
    """Raises once, on the receiver's thread, when told to."""

    def __init__(self) -> None:
        self.stumble = threading.Event()

    def monotonic(self) -> float:
        if self.stumble.is_set() and threading.current_thread().name == "bus":
            self.stumble.clear()
            raise RuntimeError("no time")
        return super().monotonic()


def test_a_crash_of_the_loop_is_logged_and_agents_come_back(bus: Bus) -> None:
    clock = _StumblingClock()
    key = bus.issue("gpu1")
    receiver = bus.receiver(clock=clock)
    client = bus.client(receiver.port, key, CONFLATE=1)
    clock.stumble.set()
    until(lambda: receiver.counters()["crashes"] == 1, "the crash")
    seq = iter(range(1, 10_000))

    def heard() -> bool:
        send(client, report("gpu1", next(seq)))
        return bool(receiver.drain(timeout_s=0.2))

    until(heard, "a report after the crash")
    assert receiver.is_running
    assert bus.log.about("the bus stumbled and starts again") == [{"error": "RuntimeError: no time"}]


def test_it_stops_at_once_with_clients_connected_and_reports_under_way(bus: Bus) -> None:
    key = bus.issue("gpu1")
    receiver = bus.receiver()
    client = bus.client(receiver.port, key)
    send(client, *(report("gpu1", n) for n in range(1, 1000)))
    bus.collect(receiver, 1)
    started = time.monotonic()
    receiver.stop()
    # At once, on a machine that is not busy with other work.
    assert time.monotonic() - started < 10
    assert not receiver.is_running


def test_without_keys_the_error_says_what_to_run(bus: Bus, tmp_path: Path) -> None:
    with pytest.raises(BusError, match="hetslurm keys init"):
        Receiver(replace(bus.site(), keys_dir=str(tmp_path / "none")), bus.log)


def test_a_server_key_that_others_can_read_is_refused(bus: Bus) -> None:
    (bus.folder / "server.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        Receiver(bus.site(), bus.log)


def test_a_port_that_is_taken_is_an_error_that_names_it(bus: Bus) -> None:
    port = bus.receiver().port
    second = Receiver(bus.site(f"tcp://127.0.0.1:{port}"), bus.log)
    with pytest.raises(BusError, match=f"{port}: Address already in use"):
        second.start()
    second.stop()

"""What holds drains back, on a real Slurm: shares and bursts of a pool, silence, trials, the switch."""

from __future__ import annotations

import time

import pytest

from hetslurm.health.drain_entry import is_drained

from .conftest import MakeRoom
from .scenes import ECC, Room, finding, health_site

pytestmark = pytest.mark.slurm


def _drained(room: Room) -> set[str]:
    return {node.name for node in room.adapter.read_cluster().nodes if is_drained(node)}


def _await_answer(room: Room, name: str) -> None:
    """Slurm asks a node that was resumed before it shows its state again."""
    end = time.monotonic() + 90.0
    while not room.adapter.read_node(name).state <= {"IDLE"}:
        assert time.monotonic() < end, f"{name} never came back"
        time.sleep(0.1)


def test_no_more_than_its_share_of_a_pool_is_drained_and_the_oldest_finding_goes_first(
    make_room: MakeRoom,
) -> None:
    _, room = make_room("cpu=4,gpu:a100=2")
    room.site = health_site(pool_share=0.5, burst_share=1.0)
    for name in ("cpu3", "cpu1", "cpu4", "gpu2"):
        room.fail(name)
        room.clock.shift += 1
    report = room.cycle()
    assert _drained(room) == {"cpu3", "cpu1", "gpu2"}
    ((name, why),) = report.withheld
    assert (name, why) == ("cpu4", "2 of the 4 nodes of pool cpu are drained by hetslurm already")
    room.heal("cpu3")
    room.clear()
    room.cycle()
    assert _drained(room) == {"cpu1", "cpu4", "gpu2"}


def test_a_burst_in_one_pool_holds_every_new_drain(make_room: MakeRoom) -> None:
    _, room = make_room("cpu=8,gpu:a100=4")
    room.site = health_site(burst_share=0.5, pool_share=1.0)
    room.fail("gpu1", "gpu2", "gpu3", "cpu1")
    assert room.cycle().breaker_open
    assert _drained(room) == set()
    room.heal("gpu1")
    assert not room.cycle().breaker_open
    assert _drained(room) == {"gpu2", "gpu3", "cpu1"}


def test_a_rule_on_trial_drains_nothing(make_room: MakeRoom) -> None:
    _, room = make_room()
    before = room.adapter.count_node_updates()
    room.failing["cpu1"] = [finding(counts=False)]
    report = room.cycle()
    assert (report.withheld, report.would) == ((), ())
    assert room.adapter.count_node_updates() == before
    assert _drained(room) == set()


def test_a_silent_node_is_neither_drained_nor_given_back(make_room: MakeRoom) -> None:
    _, room = make_room()
    room.fail("cpu1")
    room.cycle()
    room.fail("cpu2")
    room.silent = {"cpu1", "cpu2"}
    room.heal("cpu1")
    room.clear()
    room.clear()
    assert _drained(room) == {"cpu1"}
    room.silent = set()
    room.clear()
    assert _drained(room) == {"cpu2"}


def test_switched_off_it_leaves_nodes_and_drains_as_they_are(make_room: MakeRoom) -> None:
    _, room = make_room()
    room.fail("cpu1")
    room.cycle()
    room.site = health_site(mode="off")
    room.heal("cpu1")
    room.fail("cpu2")
    before = room.adapter.count_node_updates()
    room.clear()
    assert room.adapter.count_node_updates() == before
    assert _drained(room) == {"cpu1"}


def test_a_finding_that_is_pardoned_is_told_from_a_new_one(make_room: MakeRoom) -> None:
    sandbox, room = make_room()
    room.fail("cpu1")
    room.cycle()
    room.cycle()
    sandbox.run(["scontrol", "update", "nodename=cpu1", "state=resume"])
    _await_answer(room, "cpu1")
    room.cycle()
    assert _drained(room) == set()
    room.failing["cpu1"].append(finding("xid", room.clock.now(), text="gpu 0: fell off the bus"))
    room.cycle()
    assert _drained(room) == {"cpu1"}
    reason = room.adapter.read_node("cpu1").reason
    assert "fell off the bus" in reason
    assert ECC not in reason

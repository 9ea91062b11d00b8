"""A cycle of drains on a cluster in memory: budget, modes, trouble, what is told and kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hetslurm.cluster import Cluster, Partition
from hetslurm.controller.drain_ledger import close_breaker, read_ledger
from hetslurm.controller.drains import MAX_ACTS
from hetslurm.errors import SlurmRefused, SlurmUnavailable
from hetslurm.health.drain_entry import State, is_drained
from hetslurm.slurm.fake import FakeSlurm

from .scenes import Room, health_site, node


@dataclass(slots=True)
class Slurm(FakeSlurm):
    """Counts commands, and fails as it is told: a verb (and node) to the error."""

    commands: int = 0
    errors: dict[str, Exception] = field(default_factory=dict)

    def _may_fail(self, verb: str, name: str) -> None:
        self.commands += 1
        for key in (verb, f"{verb} {name}"):
            if key in self.errors:
                raise self.errors[key]

    def count_node_updates(self) -> int:
        """See SlurmAdapter."""
        self._may_fail("count", "")
        return FakeSlurm.count_node_updates(self)

    def drain_node(self, name: str, reason: str) -> None:
        """See SlurmAdapter."""
        self._may_fail("drain", name)
        FakeSlurm.drain_node(self, name, reason)

    def resume_node(self, name: str) -> None:
        """See SlurmAdapter."""
        self._may_fail("resume", name)
        FakeSlurm.resume_node(self, name)

    def drained(self) -> set[str]:
        """Nodes that are out."""
        return {n.name for n in self.cluster.nodes if is_drained(n)}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    names = tuple(f"n{i}" for i in range(1, 41))
    cluster = Cluster("c", (22, 5, 8), 0.0, tuple(node(n) for n in names), (Partition("p", names),), ())
    made = Room(Slurm(cluster), tmp_path)
    yield made
    made.ledger.close()


def _slurm(room: Room) -> Slurm:
    assert isinstance(room.adapter, Slurm)
    return room.adapter


def test_a_drain_is_audited_with_node_reason_and_why(room: Room) -> None:
    room.fail("n1")
    report = room.cycle()
    (line,) = room.audit()
    assert (line["action"], line["node"], line["result"]) == ("drain", "n1", "verified")
    assert line["reason"] == _slurm(room).read_node("n1").reason
    assert "job_id" not in line
    assert report.held == ("n1",)
    assert report.counts["drain_total"] == 1


def test_off_does_nothing_and_asks_slurm_nothing(room: Room) -> None:
    room.site = health_site(mode="off")
    room.fail("n1")
    report = room.cycle()
    assert (report.mode, report.withheld, report.would) == ("off", (), ())
    assert _slurm(room).commands == 0


def test_dry_run_says_once_what_it_would_do_and_changes_nothing(room: Room) -> None:
    room.site = health_site(mode="dry-run")
    room.fail("n1")
    reports = [room.cycle() for _ in range(3)]
    assert all(report.would == (("n1", "gpu 0: 3 uncorrectable ECC errors"),) for report in reports)
    assert _slurm(room).commands == 0
    assert len(room.logged("no drain")) == 1
    assert read_ledger(room.state_dir).report == {
        "mode": "dry-run",
        "withheld": [],
        "would": [["n1", "gpu 0: 3 uncorrectable ECC errors"]],
        "error": "",
        "at": pytest.approx(room.clock.now(), abs=60),
    }


def test_a_cycle_has_a_budget_of_acts_and_the_next_goes_on(room: Room) -> None:
    room.site = health_site(burst_share=1.0)
    room.fail(*(f"n{i}" for i in range(1, 13)))
    first = room.cycle()
    assert len(_slurm(room).drained()) == MAX_ACTS
    assert len(first.withheld) == 12 - MAX_ACTS
    assert _slurm(room).commands <= 10 * MAX_ACTS
    room.cycle()
    assert len(_slurm(room).drained()) == 12


def test_a_cycle_whose_time_is_up_acts_no_more(room: Room) -> None:
    room.fail("n1")
    room.cycle(until_s=-1)
    assert not _slurm(room).drained()


def test_a_refusal_is_tried_again_later_and_ever_later_and_keeps_no_other_node_waiting(room: Room) -> None:
    slurm = _slurm(room)
    slurm.errors["drain n1"] = SlurmRefused("no")
    room.fail("n1", "n2")
    room.cycle()
    assert slurm.drained() == {"n2"}
    assert room.state("n1") is State.WITHDRAWN
    before = slurm.commands
    room.cycle()
    assert slurm.commands == before
    room.clock.shift += 6
    room.cycle()
    assert [line["again_in_s"] for line in room.logged("drain failed")] == [5.0, 10.0]
    slurm.errors.clear()
    room.clock.shift += 11
    room.cycle()
    assert slurm.drained() == {"n1", "n2"}


def test_slurmctld_that_goes_away_ends_the_cycle_s_acts_and_the_next_puts_it_right(room: Room) -> None:
    slurm = _slurm(room)
    slurm.errors["drain"] = SlurmUnavailable("gone")
    room.fail("n1", "n2")
    report = room.cycle()
    assert report.error == "gone"
    assert room.state("n1") is State.INTENT
    assert room.state("n2") is None
    slurm.errors.clear()
    room.clock.shift += 6
    room.cycle()
    room.cycle()
    assert slurm.drained() == {"n1", "n2"}


def test_an_undrain_that_is_refused_leaves_the_drain_ours(room: Room) -> None:
    room.fail("n1")
    room.cycle()
    room.heal("n1")
    _slurm(room).errors["resume"] = SlurmRefused("no")
    room.clear()
    assert room.state("n1") is State.DRAINED
    _slurm(room).errors.clear()
    room.clock.shift += 6
    room.cycle()
    assert room.state("n1") is State.RELEASED


def test_a_burst_drains_nothing_and_is_told_until_an_admin_has_looked(room: Room) -> None:
    room.site = health_site(burst_share=0.1)
    room.fail(*(f"n{i}" for i in range(1, 21)))
    assert room.cycle().breaker_open
    room.clock.shift += 99_999
    room.restart()
    assert room.cycle().breaker_open
    assert not _slurm(room).drained()
    assert len(room.logged("drains: open breaker")) == 1
    close_breaker(room.state_dir, room.clock.now())
    assert not room.cycle().breaker_open
    assert len(_slurm(room).drained()) == MAX_ACTS
    assert [line["action"] for line in room.audit()][:2] == ["open breaker", "close breaker"]


def test_what_is_withheld_is_told_once_with_its_reason(room: Room) -> None:
    _slurm(room).drain_node("n1", "an admin's")
    room.fail("n1")
    for _ in range(3):
        assert room.cycle().withheld == (("n1", "drained by slurm: an admin's"),)
    assert len(room.logged("no drain")) == 1


def test_a_burst_fills_no_log(room: Room) -> None:
    room.fail(*(f"n{i}" for i in range(1, 41)))
    for _ in range(3):
        room.cycle()
    lines = room.logged("no drain")
    assert len(lines) == 21
    assert lines[-1]["more_nodes"] == 20


def test_time_while_drains_are_off_does_not_count_as_quiet(room: Room) -> None:
    room.fail("n1")
    room.cycle()
    room.heal("n1")
    room.cycle()
    room.site = health_site(mode="off")
    room.clock.shift += 999
    room.cycle()
    room.site = health_site()
    room.cycle()
    assert _slurm(room).drained() == {"n1"}


def test_a_node_that_an_admin_resumed_is_not_drained_for_the_same_again(room: Room) -> None:
    room.fail("n1")
    room.cycle()
    room.cycle()
    FakeSlurm.resume_node(_slurm(room), "n1")
    for _ in range(3):
        room.clock.shift += 100
        room.cycle()
    assert not _slurm(room).drained()
    assert room.state("n1") is State.RESUMED
    room.heal("n1")
    room.clear()
    room.fail("n1")
    room.cycle()
    assert _slurm(room).drained() == {"n1"}

"""Weights follow health, and come back; what an admin sets is his; nothing is done that need not be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hetslurm.controller import steering
from hetslurm.controller.steering_ledger import SteeringLedger
from hetslurm.errors import HetslurmError, SlurmRefused, SlurmUnavailable
from hetslurm.health.steer_rules import GONE_S, KEEP_S, Steered
from hetslurm.slurm.fake import FakeSlurm

from .scenes import NOW, Room, cluster_of, node


@dataclass(slots=True)
class Slurm(FakeSlurm):
    """Notes each change of weights; refuses those of `refused`."""

    changes: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    is_mute: bool = False

    def set_node_weight(self, names: Sequence[str], weight: int) -> None:
        """See SlurmAdapter."""
        self.changes.append((tuple(names), weight))
        if self.is_mute:
            raise SlurmUnavailable("scontrol did not answer in 30 s")
        if self.refused & set(names):
            raise SlurmRefused("no")
        FakeSlurm.set_node_weight(self, names, weight)

    def admin_sets(self, name: str, weight: int) -> None:
        """Somebody else's scontrol."""
        FakeSlurm.set_node_weight(self, [name], weight)


@pytest.fixture
def slurm() -> Slurm:
    return Slurm(cluster_of(*(node(f"n{i}", weight=i) for i in range(1, 5))))


@pytest.fixture
def room(slurm: Slurm, tmp_path: Path) -> Room:
    return Room(slurm, tmp_path)


def test_a_site_that_is_well_costs_no_change_no_file_entry_and_no_audit(room: Room, slurm: Slurm) -> None:
    report = room.cycle()
    assert (slurm.changes, room.audit(), dict(room.ledger.entries())) == ([], [], {})
    assert report.steered == ()


def test_weights_follow_health_down_and_come_back(room: Room, slurm: Slurm) -> None:
    room.health |= {"n1": 0.5}
    assert room.cycle().steered == ("n1",)
    assert room.weights() == {"n1": 1_001, "n2": 2, "n3": 3, "n4": 4}
    room.health |= {"n1": 0.1}
    room.cycle()
    assert room.weights()["n1"] == 1_000_001
    room.health |= {"n1": 0.6}
    room.cycle()
    assert room.weights()["n1"] == 1_001
    room.health.clear()
    assert room.cycle().steered == ()
    assert room.weights()["n1"] == 1
    assert [line["action"] for line in room.audit()] == ["set weight"] * 4
    assert room.audit()[0]["nodes"] == {"n1": "health 0.50"}
    assert room.audit()[0]["before"] == {"n1": 1}


def test_nothing_is_done_again_while_nothing_changes(room: Room, slurm: Slurm) -> None:
    room.health |= {"n1": 0.5, "n2": 0.0}
    room.cycle()
    done = len(slurm.changes)
    for _ in range(5):
        room.clock.at += 10
        room.cycle()
    assert len(slurm.changes) == done
    assert len(room.audit()) == done


def test_a_slow_node_counts_as_poorly(room: Room) -> None:
    room.speed |= {"n2": 0.7}
    room.cycle()
    assert room.weights()["n2"] == 1_002


def test_a_cabinet_of_nodes_with_one_weight_is_one_change(tmp_path: Path) -> None:
    slurm = Slurm(cluster_of(*(node(f"n{i}") for i in range(300))))
    room = Room(slurm, tmp_path, health={f"n{i}": 0.0 for i in range(300)})
    report = room.cycle()
    assert [len(names) for names, _ in slurm.changes] == [200, 100]
    assert len(report.steered) == 300


def test_a_cycle_does_a_bounded_number_of_acts_and_the_rest_follows(tmp_path: Path) -> None:
    slurm = Slurm(cluster_of(*(node(f"n{i}", weight=i) for i in range(40))))
    room = Room(slurm, tmp_path, health={f"n{i}": 0.5 for i in range(40)})
    report = room.cycle()
    assert len(slurm.changes) == steering.MAX_ACTS
    assert len(report.pending) == 40 - steering.MAX_ACTS
    room.cycle()
    assert room.cycle().pending == ()
    assert len(slurm.changes) == 40


def test_when_the_time_is_up_nothing_more_is_set(room: Room, slurm: Slurm) -> None:
    room.health |= {"n1": 0.5}
    assert room.cycle(until_s=-1.0).pending == ("n1",)
    assert slurm.changes == []


def test_an_admin_s_weight_becomes_the_base_and_is_what_comes_back(room: Room, slurm: Slurm) -> None:
    room.health |= {"n1": 0.5}
    room.cycle()
    slurm.admin_sets("n1", 50)
    room.cycle()
    assert room.weights()["n1"] == 1_050
    slurm.admin_sets("n1", 60)
    room.health.clear()
    room.cycle()
    assert room.weights()["n1"] == 60


def test_an_admin_who_changes_it_while_we_are_about_to_is_not_overwritten(room: Room, slurm: Slurm) -> None:
    room.health |= {"n1": 0.5, "n2": 0.5}
    seen = slurm.read_cluster()
    slurm.admin_sets("n1", 50)
    assert room.cycle(seen).pending == ("n1",)
    assert room.weights() == {"n1": 50, "n2": 1_002, "n3": 3, "n4": 4}
    room.cycle()
    assert room.weights()["n1"] == 1_050


def test_a_weight_that_slurmctld_forgot_is_set_again(room: Room, slurm: Slurm) -> None:
    before = slurm.cluster
    room.health |= {"n1": 0.5}
    room.cycle()
    slurm.cluster = before
    room.cycle()
    assert room.weights()["n1"] == 1_001


def test_a_weight_that_slurmctld_kept_from_before_it_was_put_back_is_put_back_again(
    room: Room, slurm: Slurm
) -> None:
    room.health |= {"n1": 0.5}
    room.cycle()
    saved = slurm.cluster
    room.health.clear()
    room.cycle()
    slurm.cluster = saved  # a dynamic node, a slurmctld that was killed
    room.cycle()
    assert room.weights()["n1"] == 1
    room.clock.at += KEEP_S
    room.cycle()
    assert dict(room.ledger.entries()) == {}


def test_a_controller_that_starts_anew_forgets_nothing_and_restores_nothing_that_is_sick(room: Room) -> None:
    room.health |= {"n1": 0.5}
    room.cycle()
    room.restart()
    room.unknown |= {"n1"}  # not heard yet
    room.cycle()
    assert room.weights()["n1"] == 1_001
    room.unknown.clear()
    room.cycle()
    assert room.weights()["n1"] == 1_001
    room.health.clear()
    room.cycle()
    assert room.weights()["n1"] == 1


def test_a_suspected_bus_raises_and_restores_nothing(room: Room, slurm: Slurm) -> None:
    room.health |= {"n1": 0.5}
    room.cycle()
    done = len(slurm.changes)
    room.unknown |= {"n1", "n2", "n3", "n4"}
    room.health |= {"n1": 1.0, "n2": 0.0}
    room.cycle()
    assert len(slurm.changes) == done


def test_switched_off_it_puts_back_what_is_ours_also_of_nodes_that_nobody_hears(
    room: Room, slurm: Slurm
) -> None:
    room.health |= {"n1": 0.5, "n2": 0.0, "n3": 0.0}
    room.cycle()
    slurm.admin_sets("n3", 70)
    room.unknown |= {"n1"}
    room.site = replace(room.site, steer=False)
    assert room.cycle().steered == ()
    assert room.weights() == {"n1": 1, "n2": 2, "n3": 70, "n4": 4}
    room.clock.at += KEEP_S
    room.cycle()
    done = len(slurm.changes)
    room.cycle()
    assert (len(slurm.changes), dict(room.ledger.entries())) == (done, {})


def test_one_node_that_slurm_refuses_holds_no_other_up_and_is_tried_ever_more_rarely(
    room: Room, slurm: Slurm
) -> None:
    slurm.cluster = cluster_of(node("n1"), node("n2"))
    slurm.refused = {"n2"}
    room.health |= {"n1": 0.5, "n2": 0.5}
    report = room.cycle()
    assert (report.error, report.pending) == ("no", ("n1", "n2"))
    assert room.cycle().pending == ("n1", "n2")
    assert len(slurm.changes) == 1
    room.clock.at += steering.FIRST_RETRY_S
    assert room.cycle().pending == ("n2",)
    assert room.weights() == {"n1": 1_001, "n2": 1}
    tried = len(slurm.changes)
    room.clock.at += steering.FIRST_RETRY_S
    room.cycle()
    assert len(slurm.changes) == tried
    room.clock.at += steering.FIRST_RETRY_S
    slurm.refused.clear()
    assert room.cycle().pending == ()
    assert [line["result"] for line in room.audit()] == ["failed: no", "done", "failed: no", "done"]


def test_a_slurmctld_that_does_not_answer_is_asked_once_and_not_again_at_once(
    room: Room, slurm: Slurm
) -> None:
    slurm.is_mute = True
    room.health |= {"n1": 0.5, "n2": 0.0}
    room.cycle()
    room.cycle()
    assert len(slurm.changes) == 1
    slurm.is_mute = False
    room.clock.at += steering.FIRST_RETRY_S
    assert room.cycle().pending == ()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("health", [1.0, 0.5])
def test_a_controller_killed_around_an_act_is_put_right_by_the_next(
    room: Room, slurm: Slurm, monkeypatch: pytest.MonkeyPatch, when: str, health: float
) -> None:
    """Raising (from well) and putting back (from poorly), killed just before and just after Slurm did it."""

    class Killed(BaseException):
        pass

    room.health |= {"n1": health}
    room.cycle()
    room.health |= {"n1": 1.5 - health}
    act = Slurm.set_node_weight

    def die(self: Slurm, names: Sequence[str], weight: int) -> None:
        if when == "after":
            act(self, names, weight)
        raise Killed

    monkeypatch.setattr(Slurm, "set_node_weight", die)
    with pytest.raises(Killed):
        room.cycle()
    monkeypatch.setattr(Slurm, "set_node_weight", act)
    room.restart()
    room.cycle()
    assert room.weights()["n1"] == (1_001 if health == 1.0 else 1)
    room.health.clear()
    room.cycle()
    assert room.weights()["n1"] == 1


def test_a_node_that_left_slurm_is_remembered_for_a_while(room: Room, slurm: Slurm) -> None:
    room.health |= {"n1": 0.5}
    room.cycle()
    slurm.cluster = cluster_of(node("n2"))
    room.cycle()
    assert set(room.ledger.entries()) == {"n1"}
    room.clock.at += GONE_S + 1
    room.cycle()
    assert set(room.ledger.entries()) == set()


def test_an_intent_is_on_disk_as_it_was_told(tmp_path: Path) -> None:
    first = SteeringLedger(tmp_path)
    entry = Steered("n1", 1, 1_001, NOW)
    first.record([entry, Steered("n2", 1, 1, NOW)], [])
    first.record([], ["n2"])
    assert dict(SteeringLedger(tmp_path).entries()) == {"n1": entry}
    assert (tmp_path / "steering.sqlite3").stat().st_mode & 0o777 == 0o640


def test_without_an_intent_on_disk_no_weight_is_set(room: Room, slurm: Slurm) -> None:
    room.cycle()
    assert room.ledger._db is not None
    room.ledger._db.execute("PRAGMA query_only=ON")
    room.health |= {"n1": 0.5}
    with pytest.raises(HetslurmError, match="cannot keep weights"):
        room.cycle()
    assert slurm.changes == []
    room.ledger._db.execute("PRAGMA query_only=OFF")
    room.cycle()
    assert room.weights()["n1"] == 1_001


def test_a_ledger_that_is_none_is_refused_with_its_path_and_left_alone(tmp_path: Path, slurm: Slurm) -> None:
    (tmp_path / "steering.sqlite3").write_text("not a database, but long enough to be taken for one" * 50)
    room = Room(slurm, tmp_path, health={"n1": 0.0})
    with pytest.raises(HetslurmError, match=r"steering\.sqlite3: cannot keep weights"):
        room.cycle()
    assert slurm.changes == []

"""ResumeProgram, SuspendProgram and ResumeFailProgram against everything that can be in their way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hetslurm.burst.busy import busy, read_busy
from hetslurm.burst.power import reason_of
from hetslurm.burst.resume import boot, resume
from hetslurm.burst.resume_fail import resume_fail
from hetslurm.burst.resume_file import ResumeFile
from hetslurm.burst.suspend import process_began_at, suspend
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.values import InstanceState
from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.protocol import Trouble

from .desk import JOB, POLICY, Desk

BOTH = ("cloud1", "cloud2")


@pytest.fixture
def desk(quick_path: Path) -> Iterator[Desk]:
    made = Desk(quick_path)
    yield made
    made.check()
    made.book.close()


def test_nodes_with_money_get_an_instance_each_and_the_others_a_reason(desk: Desk) -> None:
    desk.money(*BOTH)
    file = ResumeFile(
        ("cloud1", "cloud2", "cloud3"), {"cloud1": frozenset({JOB}), "cloud2": frozenset({JOB})}
    )

    result = resume(desk.power(), file.nodes, file)

    assert sorted(result.started) == list(BOTH)
    assert len(desk.cloud.alive()) == 2
    assert desk.reason("cloud3") == "hetslurm: refused: no money is set aside for it"
    assert "POWERING_DOWN" in desk.state("cloud3")
    assert [i.state for i in desk.book.instances()] == [InstanceState.LAUNCHED] * 2


def test_without_a_resume_file_money_alone_decides(desk: Desk) -> None:
    desk.money("cloud1")
    result = resume(desk.power(), BOTH, None)
    assert (result.started, list(result.refused)) == (["cloud1"], ["cloud2"])


def test_a_slurm_that_does_not_answer_costs_no_launch_and_no_money(desk: Desk) -> None:
    desk.money("cloud1")
    desk.slurm.is_down = True
    result = resume(desk.power(), BOTH, None)
    assert result.started == ["cloud1"]
    assert "cannot give up" in desk.said.getvalue()


@pytest.mark.parametrize("trouble", [Trouble.CAPACITY, Trouble.QUOTA, Trouble.PRICE, Trouble.CONFIGURATION])
def test_what_the_provider_says_no_to_is_the_node_s_reason_and_costs_nothing(
    desk: Desk, trouble: Trouble
) -> None:
    reservation = desk.money("cloud1")
    desk.cloud.troubles["*"] = trouble
    resume(desk.power(), ("cloud1",), None)
    assert desk.reason("cloud1").startswith(f"hetslurm: {trouble}: ")
    assert not desk.book.instances()
    assert desk.book.reservation(reservation.res_id).spent_micro == 0


def test_no_price_is_no_launch(desk: Desk) -> None:
    desk.money("cloud1")
    desk.cloud.prices = {Purchase.SPOT: 1_000_001, Purchase.ON_DEMAND: 2_000_000}
    resume(desk.power(), ("cloud1",), None)
    assert desk.reason("cloud1").startswith("hetslurm: price: ")
    desk.cloud.prices = {}
    desk.clock.advance(3600)
    desk.book.beat()
    resume(desk.power(), ("cloud1",), None)
    assert not desk.cloud.launches


def test_an_answer_that_is_lost_is_one_instance_in_the_end(desk: Desk) -> None:
    desk.money("cloud1")
    desk.cloud.lost_answers.append("launch")
    assert resume(desk.power(), ("cloud1",), None).started == ["cloud1"]
    assert len(desk.cloud.alive()) == 1


def test_a_provider_that_is_down_leaves_the_intent_and_the_node_as_they_are(desk: Desk) -> None:
    desk.money("cloud1")
    desk.cloud.is_down = True
    result = boot(desk.power(), ("cloud1",))
    assert list(result.open) == ["cloud1"]
    assert "POWERING_UP" in desk.state("cloud1")
    desk.cloud.is_down = False
    desk.clock.advance(120)
    assert boot(desk.power(), ("cloud1",)).started == ["cloud1"]


def test_money_for_two_attempts_starts_no_third(desk: Desk) -> None:
    desk.money("cloud1", limit_s=1.0)
    desk.cloud.prices[Purchase.SPOT] = 1_000_000
    for _ in range(2):
        resume(desk.power(), ("cloud1",), None)
        desk.clock.advance(400)
        desk.book.beat()
        assert suspend(desk.power(), ("cloud1",)) == {"cloud1"}
    resume(desk.power(), ("cloud1",), None)
    assert desk.reason("cloud1").startswith("hetslurm: refused: reservation 1 holds ")
    assert len(desk.cloud.launches) == 2


def test_a_node_does_not_come_again_before_its_last_instance_is_gone(desk: Desk) -> None:
    desk.money("cloud1")
    resume(desk.power(), ("cloud1",), None)
    desk.cloud.ending_s = 1000.0
    assert suspend(desk.power(), ("cloud1",), patience_s=5) == frozenset()
    assert [i.state for i in desk.book.instances()] == [InstanceState.TERMINATING]

    resume(desk.power(), ("cloud1",), None)
    assert desk.reason("cloud1").endswith("its last instance i-0001 has not ended yet")

    desk.clock.advance(1000)
    desk.book.beat()
    assert resume(desk.power(), ("cloud1",), None).started == ["cloud1"]
    assert [i.generation for i in desk.book.instances()] == [2]


def test_a_heartbeat_from_the_future_is_as_bad_as_an_old_one(desk: Desk) -> None:
    desk.money("cloud1")
    for away_s in (-61.0, 61.0):
        desk.book.note("heartbeat", repr(desk.clock.now() + away_s))
        assert not resume(desk.power(), ("cloud1",), None).started
    assert not desk.cloud.launches
    assert boot(desk.power(), ("cloud1",)).started == ["cloud1"]  # the reconciler is who lives


def test_a_pool_that_left_the_policy_starts_nothing(desk: Desk) -> None:
    desk.money("cloud1")
    desk.policy = replace(POLICY, pools=())
    resume(desk.power(), ("cloud1",), None)
    assert desk.reason("cloud1") == "hetslurm: refused: burst.toml has no pool cloud any more"


def test_an_address_is_told_and_taken_back_with_its_instance(desk: Desk) -> None:
    desk.money(*BOTH)
    launch = desk.cloud.launch
    desk.cloud.__class__ = type("WithAddress", (desk.cloud.__class__,), {"__slots__": ()})
    type(desk.cloud).launch = lambda _, orders: {  # type: ignore[method-assign,assignment]
        token: replace(seen, address=f"10.0.0.{seen.node[-1]}") for token, seen in launch(orders).items()
    }
    resume(desk.power(), BOTH, None)
    assert desk.slurm.addresses == {n: (f"10.0.0.{n[-1]}", n) for n in BOTH}
    suspend(desk.power(), ("cloud1",))
    assert desk.slurm.addresses["cloud1"] == ("cloud1", "cloud1")
    assert desk.slurm.addresses["cloud2"] == ("10.0.0.2", "cloud2")


def test_a_boot_that_failed_is_paid_and_its_offering_rests(desk: Desk) -> None:
    reservation = desk.money("cloud1")
    resume(desk.power(), ("cloud1",), None)
    desk.clock.advance(300)
    assert resume_fail(desk.power(), ("cloud1", "cloud3")) == {"cloud1"}
    assert desk.reason("cloud1") == "hetslurm: boot: i-0001 did not join the cluster within 300 s"
    assert desk.reason("cloud3") == "hetslurm: boot: nothing was started for this node"
    assert [(c.zone, c.purchase, c.trouble) for c in desk.book.cooled()] == [("z1", "spot", "configuration")]
    assert desk.book.reservation(reservation.res_id).spent_micro == desk.cloud.spent_micro(60) > 0


def test_a_launch_that_nobody_confirmed_rests_no_offering(desk: Desk) -> None:
    desk.money("cloud1")
    desk.cloud.is_down = True
    boot(desk.power(), ("cloud1",))
    resume_fail(desk.power(), ("cloud1",))
    assert desk.reason("cloud1") == ("hetslurm: unavailable: p did not say that it was launched within 300 s")
    assert "configuration" not in [rest.trouble for rest in desk.book.cooled()]
    assert [i.state for i in desk.book.instances()] == [InstanceState.INTENT]  # the reconciler's to look up


def test_nodes_are_busy_as_long_as_their_run_lives(tmp_path: Path) -> None:
    assert read_busy(tmp_path) == frozenset()
    with busy(tmp_path, BOTH):
        assert read_busy(tmp_path) == set(BOTH)
    assert read_busy(tmp_path) == frozenset()
    dead = tmp_path / "resuming" / "999999"
    dead.write_text("cloud1")
    assert read_busy(tmp_path) == frozenset()
    assert not dead.exists()


def test_a_reason_is_one_line_that_slurm_can_keep() -> None:
    assert reason_of("price", "too\n dear\t!") == "hetslurm: price: too dear !"
    assert len(reason_of("price", "x" * 1000)) == 200


def test_a_late_suspend_program_leaves_the_nodes_next_instance_alone(desk: Desk) -> None:
    desk.money("cloud1")
    powered_down_at = desk.clock.now()
    desk.clock.advance(2)
    resume(desk.power(), ("cloud1",), None)
    assert suspend(desk.power(), ("cloud1",), before=powered_down_at) == frozenset()
    assert [i.state for i in desk.book.instances()] == [InstanceState.LAUNCHED]


def test_a_program_knows_when_it_was_started() -> None:
    clock = SystemClock()
    assert clock.now() - 86_400 < process_began_at(clock) < clock.now()

"""Provider, Slurm and book are brought to agree, whatever crashed, and nothing young is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.cloudburst.ledger.values import InstanceState, ReservationState
from hetslurm.cloudburst.provider.protocol import SeenState
from hetslurm.cloudburst.reconcile import reconcile
from hetslurm.cloudburst.reconcile_values import (
    Adopt,
    Evict,
    Expire,
    Fail,
    Launch,
    Memory,
    NodeDown,
    Release,
    SendHome,
    Settle,
    Start,
    Terminate,
)

from .views import GUARD_S, NOW, job, kinds, look, look_until, node, reservation, row, seen, sight, slurm

RESERVED = ReservationState.RESERVED


def test_nothing_is_done_where_all_agree() -> None:
    assert look_until(sight(), 500) == ()


def test_an_orphan_older_than_the_guard_is_terminated() -> None:
    stray = seen(instance_id="i-9", token="k-c9-4", node="c9", launched_at=NOW - GUARD_S)
    (act,) = look(sight(seen={"p": (seen(), stray)}))
    assert isinstance(act, Terminate)
    assert (act.instance_id, act.row) == ("i-9", None)


def test_an_orphan_younger_than_the_guard_is_left_alone() -> None:
    stray = seen(instance_id="i-9", token="k-c9-4", launched_at=NOW - GUARD_S + 1)
    assert look(sight(seen={"p": (seen(), stray)})) == ()


def test_an_orphan_dies_though_slurm_is_down() -> None:
    stray = seen(instance_id="i-9", token="k-c9-4")
    assert kinds(look(sight(slurm=None, seen={"p": (seen(), stray)}))) == ["Terminate"]


def test_the_second_instance_of_one_token_is_terminated() -> None:
    twin = seen(instance_id="i-2")
    (act,) = look(sight(seen={"p": (twin, seen())}))
    assert isinstance(act, Terminate)
    assert act.instance_id == "i-2"


def test_an_intent_whose_instance_runs_is_written_down_as_launched() -> None:
    (act,) = look(sight(instances=(row(InstanceState.INTENT),)))
    assert isinstance(act, Adopt)
    assert act.seen.instance_id == "i-1"


def test_an_intent_whose_instance_came_and_went_is_paid() -> None:
    gone = seen(SeenState.ENDED, ended_at=NOW - 100)
    (act,) = look(sight(instances=(row(InstanceState.INTENT),), seen={"p": (gone,)}))
    assert isinstance(act, Settle)
    assert (act.ended_at, act.seen) == (NOW - 100, gone)


def test_an_intent_that_nobody_launched_is_launched_while_its_node_powers_up() -> None:
    waits = sight(
        instances=(row(InstanceState.INTENT),),
        seen={"p": ()},
        slurm=slurm(job("CONFIGURING"), nodes=(node("ALLOCATED+POWERING_UP"),)),
    )
    (act,) = look(waits)
    assert isinstance(act, Launch)
    assert look(replace(waits, busy=frozenset({"c1"}))) == ()
    assert look(replace(waits, instances=(row(InstanceState.INTENT, intended_at=NOW - 59),))) == ()


def test_an_intent_that_nobody_waits_for_any_more_fails() -> None:
    left = sight(instances=(row(InstanceState.INTENT),), seen={"p": ()}, slurm=slurm(job("PENDING")))
    (act,) = [a for a in look(left) if not isinstance(a, SendHome)]
    assert isinstance(act, Fail)


def test_an_intent_that_was_ordered_fails_only_when_its_provider_was_asked_for_a_while() -> None:
    unsure = row(InstanceState.INTENT, purchase="spot")
    left = sight(instances=(unsure,), seen={"p": ()}, slurm=slurm(job("PENDING")))
    assert "Fail" not in kinds(look(left))
    assert "Fail" in kinds(look_until(left, GUARD_S))


def test_an_intent_stays_while_its_provider_does_not_answer() -> None:
    assert look_until(sight(instances=(row(InstanceState.INTENT),), seen={"p": None}), 600) == ()


def test_an_instance_that_its_provider_ended_is_settled_and_its_job_requeued() -> None:
    gone = seen(SeenState.ENDED, ended_at=NOW - 3)
    down, settle = look(sight(seen={"p": (gone,)}))
    assert isinstance(down, NodeDown)
    assert down.why.startswith("hetslurm: lost")
    assert isinstance(settle, Settle)
    assert settle.ended_at == NOW - 3


def test_an_instance_that_its_provider_forgot_is_lost_after_a_grace() -> None:
    gone = sight(seen={"p": ()})
    assert look(gone) == ()
    assert kinds(look_until(gone, GUARD_S)) == ["NodeDown", "Settle"]


def test_one_that_is_seen_again_is_not_lost() -> None:
    gone = sight(seen={"p": ()})
    _, memory = reconcile(gone)
    _, memory = reconcile(replace(sight(), now=NOW + 50), memory)
    assert look(replace(gone, now=NOW + 100), memory) == ()


def test_what_slurm_powered_down_and_still_runs_is_terminated() -> None:
    idle = sight(slurm=slurm(nodes=(node("IDLE+POWERED_DOWN"),)), reservations=())
    (act,) = look(idle)
    assert isinstance(act, Terminate)
    assert act.row == row()


@pytest.mark.parametrize("state", ["DOWN+NOT_RESPONDING", "DOWN+POWERED_DOWN", "ALLOCATED+POWERING_UP"])
def test_a_boot_that_never_joins_is_ended_cooled_down_and_its_job_requeued(state: str) -> None:
    acts = look(sight(slurm=slurm(job("CONFIGURING"), nodes=(node(state),))))
    assert kinds(acts) == ["Terminate", "Cool", "NodeDown"]


def test_a_boot_that_still_has_time_is_left_alone() -> None:
    young = row(launched_at=NOW - 119)
    booting = slurm(job("CONFIGURING"), nodes=(node("ALLOCATED+POWERING_UP"),))
    assert look(sight(instances=(young,), slurm=booting)) == ()


def test_a_node_that_had_joined_and_died_cools_nothing_down() -> None:
    _, memory = reconcile(sight())
    dead = sight(slurm=slurm(job(), nodes=(node("DOWN+NOT_RESPONDING", "Not responding"),)), now=NOW + 9)
    assert kinds(look(dead, memory)) == ["Terminate", "NodeDown"]


def test_a_node_that_an_admin_set_down_is_his() -> None:
    _, memory = reconcile(sight())
    mine = sight(slurm=slurm(nodes=(node("DOWN", "I look at its disk"),)), now=NOW + 9)
    assert [a for a in look(mine, memory) if isinstance(a, Terminate | NodeDown)] == []


def test_an_instance_past_its_deadline_is_ended_though_slurm_is_down() -> None:
    late = row(deadline_at=NOW - 1)
    assert kinds(look(sight(instances=(late,), slurm=None))) == ["Terminate"]


def test_what_is_to_end_is_told_again_until_it_is_gone() -> None:
    ending = sight(
        instances=(row(InstanceState.TERMINATING),), slurm=slurm(nodes=(node("IDLE+POWERED_DOWN"),))
    )
    assert kinds(look(ending)) == ["Terminate"]
    assert kinds(look_until(ending, 300)) == ["Terminate"]
    gone = replace(ending, seen={"p": (seen(SeenState.ENDED, ended_at=NOW - 1),)})
    assert kinds(look(gone)) == ["Settle"]


def test_money_of_a_job_that_is_over_is_given_back_once_nothing_runs_on_it() -> None:
    over = sight(slurm=slurm(nodes=(node("IDLE"),), over=frozenset({7})))
    assert look(over) == ()
    (act,) = look(replace(over, instances=(), seen={"p": ()}))
    assert isinstance(act, Release)


def test_money_is_held_while_slurm_was_not_asked_whether_the_job_is_over() -> None:
    gone = sight(slurm=slurm(nodes=(node("IDLE+POWERED_DOWN"),)), instances=(), seen={"p": ()})
    assert look(gone) == ()


def test_a_requeued_job_keeps_its_money_though_its_submit_time_moved() -> None:
    again = slurm(job("PENDING", submit_at=NOW - 5), nodes=(node("IDLE+POWERED_DOWN"),))
    assert look(sight(slurm=again, instances=(), seen={"p": ()})) == ()


def test_a_requeued_job_whose_money_covers_no_other_run_goes_home() -> None:
    again = slurm(job("PENDING"), nodes=(node("IDLE+POWERED_DOWN"),))
    poor = reservation(spent_micro=1_100_000)
    (act,) = look(sight(slurm=again, instances=(), seen={"p": ()}, reservations=(poor,)))
    assert isinstance(act, SendHome)


def test_a_reservation_for_which_nothing_was_started_in_time_expires() -> None:
    waits = slurm(job("PENDING"), nodes=(node("IDLE+POWERED_DOWN"),))
    late = reservation(RESERVED, wanted=replace(reservation().wanted, expires_at=NOW - 1))
    (act,) = look(sight(slurm=waits, instances=(), seen={"p": ()}, reservations=(late,)))
    assert isinstance(act, Expire)


def test_money_of_a_job_that_runs_on_premises_is_given_back() -> None:
    home = slurm(job("RUNNING", partition="cpu", node_names=("n1",)), nodes=(node("IDLE+POWERED_DOWN"),))
    (act,) = look(sight(slurm=home, instances=(), seen={"p": ()}, reservations=(reservation(RESERVED),)))
    assert isinstance(act, Release)


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "CONFIGURING"])
def test_a_job_on_cloud_nodes_without_money_is_put_off_them(state: str) -> None:
    plain = sight(slurm=slurm(job(state)), instances=(), seen={"p": ()}, reservations=())
    acts = look(plain)
    assert isinstance(acts[0], Evict)
    assert [a.node for a in acts if isinstance(a, NodeDown)] == ([] if state == "PENDING" else ["c1"])


def test_a_job_without_money_that_is_held_already_is_left_alone() -> None:
    held = slurm(job("PENDING", priority=0), nodes=(node("IDLE+POWERED_DOWN"),))
    assert look(sight(slurm=held, instances=(), seen={"p": ()}, reservations=())) == ()


def test_a_node_that_powers_up_with_money_and_no_intent_is_launched() -> None:
    booting = slurm(job("CONFIGURING"), nodes=(node("ALLOCATED+POWERING_UP"),))
    forgotten = sight(slurm=booting, instances=(), seen={"p": ()})
    assert look(forgotten) == ()
    assert kinds(look_until(forgotten, GUARD_S)) == ["Launch"]


def test_a_node_that_powers_up_without_money_is_set_down() -> None:
    up = sight(slurm=slurm(nodes=(node("IDLE+POWERING_UP"),)), instances=(), seen={"p": ()}, reservations=())
    assert kinds(look_until(up, GUARD_S)) == ["NodeDown"]


def test_a_node_that_runs_without_an_instance_is_set_down() -> None:
    up = sight(slurm=slurm(nodes=(node("IDLE"),)), instances=(), seen={"p": ()}, reservations=())
    assert look(up) == ()
    assert kinds(look_until(up, GUARD_S)) == ["NodeDown"]


@pytest.mark.parametrize("state", ["DOWN", "DOWN+POWERED_DOWN", "DOWN+NOT_RESPONDING"])
def test_a_node_that_is_down_for_us_can_be_used_again(state: str) -> None:
    down = slurm(nodes=(node(state, "hetslurm: capacity: none in z1"),))
    left = sight(slurm=down, instances=(), seen={"p": ()}, reservations=())
    assert look(left) == ()
    assert kinds(look_until(left, GUARD_S)) == ["PowerDown"]


def test_a_drain_of_ours_is_taken_back_when_the_node_is_powered_down() -> None:
    drained = slurm(nodes=(node("IDLE+POWERED_DOWN+DRAIN", "hetslurm: interruption at 17:03"),))
    assert kinds(look(sight(slurm=drained, instances=(), seen={"p": ()}, reservations=()))) == ["Undrain"]


def test_what_is_not_known_of_slurm_changes_nothing_but_what_the_provider_shows() -> None:
    assert look_until(sight(slurm=None), 300) == ()


def test_memory_of_what_is_over_is_forgotten() -> None:
    _, memory = reconcile(sight(seen={"p": ()}))
    _, memory = reconcile(sight(), memory)
    assert [name for name in memory.since if name.startswith("absent")] == []
    assert reconcile(sight(slurm=None, seen={}), Memory())[1].since == {}


def test_nothing_is_launched_for_a_job_that_is_over() -> None:
    gone = slurm(nodes=(node("IDLE+POWERING_UP"),), over=frozenset({7}))
    left = sight(instances=(row(InstanceState.INTENT),), seen={"p": ()}, slurm=gone)
    assert kinds(look(left)) == ["Fail"]
    assert "Launch" not in kinds(look_until(replace(left, instances=()), 2 * GUARD_S))


def test_a_requeued_job_with_money_does_not_wait_for_slurms_delay() -> None:
    again = slurm(job("PENDING", reason="BeginTime", submit_at=NOW - 20), nodes=(node("IDLE+POWERED_DOWN"),))
    waits = sight(slurm=again, instances=(), seen={"p": ()})
    (act,) = look(waits)
    assert isinstance(act, Start)
    assert act.surely
    (act,) = look(replace(waits, reservations=(reservation(RESERVED),)))
    assert isinstance(act, Start)
    assert not act.surely

"""Who comes home from the cloud, how, and what becomes of the money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hetslurm.cloudburst.ledger.values import ReservationState
from hetslurm.cloudburst.policy import Spill

Make = Callable[..., Any]
ALLOW = "target=cpu,cpus=16,time=1:00:00;preemptible=yes;burst=allow"


def test_a_job_whose_money_expired_comes_home_as_it_was(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    before = desk.job(1)
    desk.step()
    desk.clock.advance(desk.policy.retry.reservation_s + 1)
    (expired,) = desk.book.expire()
    assert expired.state is ReservationState.EXPIRED
    desk.policy = replace(desk.policy, spill=Spill(min_wait_s=30 * 86400))
    assert desk.step().home == 1
    assert desk.job(1) == before
    assert desk.slurm.required[1] == ()
    assert desk.reserved() == 0


def test_a_job_comes_home_when_its_pool_has_nothing_to_offer_any_more(
    make_desk: Make, make_job: Make
) -> None:
    desk = make_desk(make_job(1, ALLOW))
    before = desk.job(1)
    desk.step()
    for purchase in desk.policy.pools[0].purchases:
        desk.book.cool("cloud", "", purchase, "capacity", desk.clock.now() + 300, "none left")
    assert desk.step().home == 1
    assert desk.job(1) == before
    assert desk.reserved() == 0
    assert desk.step().spilled == 0
    desk.clock.advance(301)
    assert desk.step().spilled == 1


def test_a_job_that_slurm_will_never_run_there_comes_home_and_lets_go_of_its_money(
    make_desk: Make, make_job: Make
) -> None:
    desk = make_desk(make_job(1, ALLOW))
    desk.step()
    desk.change(1, priority=0, reason="BadConstraints")
    assert desk.step().home == 1
    assert desk.job(1).partition == "cpu"
    assert desk.reserved() == 0


def test_a_job_that_may_only_burst_comes_home_to_being_held_and_goes_again(
    make_desk: Make, make_only: Make
) -> None:
    desk = make_desk(make_only(1))
    desk.step()
    (reservation,) = desk.book.open_reservations()
    desk.spiller.mover.return_home(reservation, "its pool is empty")
    assert (desk.job(1).priority, desk.job(1).reason) == (0, "JobHeldUser")
    assert (desk.record(1)["state"], desk.record(1)["why"]) == ("held", "its pool is empty")
    assert desk.slurm.required[1] == ()
    assert desk.reserved() == 0
    assert desk.step().spilled == 1
    assert desk.job(1).priority > 0


def test_an_administrators_hold_is_not_lifted_by_the_way_home(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    desk.step()
    desk.change(1, priority=0, reason="JobHeldAdmin")
    (reservation,) = desk.book.open_reservations()
    desk.spiller.mover.return_home(reservation, "expired")
    assert (desk.job(1).partition, desk.job(1).priority) == ("cpu", 0)


def test_money_of_a_job_that_is_gone_is_given_back(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    desk.step()
    (reservation,) = desk.book.open_reservations()
    desk.slurm.cluster = replace(desk.slurm.cluster, jobs=())
    desk.spiller.mover.return_home(reservation, "expired")
    assert desk.reserved() == 0

"""An instance's life: money is committed before it starts, and paid when it is gone."""

from __future__ import annotations

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import InstanceState, ReservationState
from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.worst_case import SLACK_S
from hetslurm.errors import LedgerError, NoReservation
from hetslurm.units import MICRO

from .scenes import ATTEMPT_S, START, cap, intend, launched, wanted


def test_a_node_without_money_is_not_started(book: Book) -> None:
    with pytest.raises(NoReservation, match="c7: no money"):
        intend(book, "c7")
    assert book.instances() == ()


def test_an_intent_commits_the_money_and_knows_its_end(book: Book) -> None:
    book.reserve(wanted(1))
    boot = intend(book, "c1")
    assert (boot.token, boot.state) == ("t-c1-1", InstanceState.INTENT)
    assert boot.deadline_at == START + ATTEMPT_S - SLACK_S
    assert book.reservation(1).state is ReservationState.COMMITTED
    assert book.history()[-1].kind == "commit"


def test_a_live_instance_is_the_answer_of_every_further_intent(book: Book) -> None:
    book.reserve(wanted(1))
    boot = intend(book, "c1")
    assert intend(book, "c1") == boot
    up = launched(book, boot)
    assert intend(book, "c1") == up
    told = book.terminating("c1", 1, "idle")
    assert intend(book, "c1") == told
    assert len(book.instances()) == 1


def test_a_boot_of_a_node_has_a_number_of_its_own_for_ever(book: Book) -> None:
    book.reserve(wanted(1, 2, ("c1",)))
    assert intend(book, "c1").generation == 1
    book.failed("c1", 1, "no capacity")
    assert intend(book, "c1").generation == 2
    book.failed("c1", 2, "no capacity")
    book.release(1, "gone home")
    book.reserve(wanted(2, 2, ("c1",)))
    assert intend(book, "c1").token == "t-c1-3"
    assert book.verify() == ()


def test_what_never_existed_costs_nothing(book: Book) -> None:
    book.reserve(wanted(1))
    intend(book, "c1")
    assert book.failed("c1", 1, "no capacity").state is InstanceState.FAILED
    assert book.failed("c1", 1, "again").why == "no capacity"
    assert book.release(1, "gone home").state is ReservationState.RELEASED
    assert book.reservation(1).attempts_begun == 0


def test_an_instance_is_paid_by_the_second_when_it_is_gone(book: Book) -> None:
    book.reserve(wanted(1, 2))
    boot = launched(book, intend(book, "c1"))
    book.terminating("c1", 1, "idle")
    gone = book.ended("c1", 1, START + 300.2, "gone")
    assert (gone.state, gone.cost_micro, gone.why) == (InstanceState.ENDED, 301_000, "idle")
    assert book.ended("c1", 1, START + 999, "again") == gone
    held = book.reservation(1)
    assert (held.spent_micro, held.held_micro, held.attempts_begun) == (301_000, 2 * MICRO - 301_000, 1)
    assert book.release(1, "job over").state is ReservationState.SETTLED
    assert boot.instance_id == "i-c1-1"
    assert book.verify() == ()


@pytest.mark.parametrize(("price", "cost"), [(None, 360_000), (1, 360_000), (4_000_000, 400_000)])
def test_what_became_dearer_is_paid_at_the_dearer_price(book: Book, price: int | None, cost: int) -> None:
    book.reserve(wanted(1, 2))
    row = launched(book, intend(book, "c1"))
    at_launch = row.price_micro
    gone = book.ended("c1", 1, START + 360, "gone", price_micro=price)
    assert gone.cost_micro == cost
    assert gone.price_micro == max(at_launch, price or 0)
    assert book.verify() == ()


def test_the_least_that_is_billed_is_paid(book: Book) -> None:
    book.reserve(wanted(1, 2))
    launched(book, intend(book, "c1"))
    assert book.ended("c1", 1, START + 3, "gone").cost_micro == 60_000


def test_an_instance_whose_launch_was_not_noted_is_paid_from_its_intent_at_the_price_cap(book: Book) -> None:
    book.reserve(wanted(1, 2))
    intend(book, "c1")
    assert book.ended("c1", 1, START + 360, "found dead").cost_micro == 400_000


def test_one_that_failed_and_turns_up_after_all_is_paid(book: Book) -> None:
    book.reserve(wanted(1, 2))
    boot = intend(book, "c1")
    book.failed("c1", 1, "no answer")
    assert launched(book, boot).state is InstanceState.LAUNCHED
    with pytest.raises(LedgerError, match="c1"):
        book.release(1, "gone home")
    assert book.ended("c1", 1, START + 100, "orphan").cost_micro == 100_000
    assert book.verify() == ()


def test_one_that_turns_up_after_its_money_went_back_is_an_overrun(book: Book) -> None:
    book.reserve(wanted(1, 2))
    boot = intend(book, "c1")
    book.failed("c1", 1, "no answer")
    book.release(1, "gone home")
    launched(book, boot)
    with pytest.raises(LedgerError, match="c1 still has t-c1-1"):
        book.reserve(wanted(2, 2, ("c1",)))
    book.ended("c1", 1, START + 100, "orphan")
    (problem,) = book.verify()
    assert "overrun: t-c1-1 i-c1-1 cost 0.10 more" in problem
    assert book.usage()[0].spent_micro == 100_000


def test_what_costs_more_than_is_held_is_never_lost(book: Book) -> None:
    book.reserve(wanted(1, 2))
    launched(book, intend(book, "c1"))
    book.ended("c1", 1, START + 5000, "would not die")
    kinds = [(entry.kind, entry.reserved_micro, entry.spent_micro) for entry in book.history()][-2:]
    assert kinds == [("spend", -2 * MICRO, 2 * MICRO), ("overrun", 0, 3 * MICRO)]
    assert book.reservation(1).held_micro == 0
    assert book.usage()[0].spent_micro == 5 * MICRO
    assert len(book.verify()) == 1
    with pytest.raises(NoReservation):
        intend(book, "c1")


def test_a_requeued_job_starts_again_as_long_as_its_money_covers_it(book: Book) -> None:
    book.reserve(wanted(1, 2, attempts=2))
    for generation in (1, 2):
        boot = launched(book, intend(book, "c1"))
        assert boot.generation == generation
        book.ended("c1", generation, START + 1000, "interrupted")
    with pytest.raises(NoReservation, match=r"holds 0\.00"):
        intend(book, "c1")
    assert book.reservation(1).attempts_begun == 2


def test_one_instance_of_many_needs_its_own_share_beside_the_others(book: Book) -> None:
    book.reserve(wanted(1, 3, ("c1", "c2", "c3"), attempts=1))
    for node in ("c1", "c2", "c3"):
        launched(book, intend(book, node))
    book.ended("c1", 1, START + 500, "interrupted")
    with pytest.raises(NoReservation, match="2 other instances"):
        intend(book, "c1")
    book.ended("c2", 1, START + 500, "interrupted")
    assert intend(book, "c1").generation == 2


def test_money_stays_while_an_instance_may_live(book: Book) -> None:
    book.reserve(wanted(1, 2))
    intend(book, "c1")
    for step in (lambda: None, lambda: launched(book, book.instances()[0]), lambda: None):
        step()
        with pytest.raises(LedgerError, match="still pays for c1"):
            book.release(1, "job over")
    book.ended("c1", 1, START + 100, "gone")
    assert book.release(1, "job over").state is ReservationState.SETTLED


def test_a_second_instance_under_one_token_is_refused(book: Book) -> None:
    book.reserve(wanted(1, 2))
    boot = intend(book, "c1")
    up = launched(book, boot)
    assert launched(book, boot, at=START + 9) == up
    with pytest.raises(LedgerError, match="i-2 is one too many"):
        launched(book, boot, instance_id="i-2")


def test_what_has_an_id_cannot_have_failed(book: Book) -> None:
    book.reserve(wanted(1, 2))
    launched(book, intend(book, "c1"))
    with pytest.raises(LedgerError, match="it exists"):
        book.failed("c1", 1, "no answer")


def test_what_is_about_to_be_tried_is_on_record(book: Book) -> None:
    book.reserve(wanted(1, 2))
    intend(book, "c1")
    tried = book.ordered(
        "c1", 1, instance_type="big", purchase=Purchase.ON_DEMAND, zone="b", price_micro=MICRO
    )
    assert (tried.state, tried.purchase, tried.zone, tried.instance_type) == (
        *(InstanceState.INTENT, Purchase.ON_DEMAND, "b"),
        "big",
    )
    launched(book, tried)
    again = book.ordered("c1", 1, instance_type="x", purchase=Purchase.SPOT, zone="z", price_micro=0)
    assert again.zone == "here"


def test_an_unknown_boot_is_an_error(book: Book) -> None:
    with pytest.raises(LedgerError, match="c1 has no boot 3"):
        book.terminating("c1", 3, "idle")


def test_the_cluster_is_remembered_and_another_one_refused(book: Book, clock: FixedClock) -> None:
    book.reserve(wanted(1, 2))
    with Book(book.path, clock) as other:
        assert intend(other, "c1").token == "t-c1-1"
        assert other.caps == (cap(10),)
    with pytest.raises(LedgerError, match="ledger of cluster t, not of u"):
        Book(book.path, clock, cluster="u")

"""Money set aside: what is granted, what is refused, what comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer, ReservationState
from hetslurm.cloudburst.policy import Cap
from hetslurm.errors import BudgetExceeded, LedgerError, NoReservation
from hetslurm.units import MICRO

from .scenes import ATTEMPT_S, START, cap, intend, launched, wanted


def test_what_fits_is_reserved_and_what_does_not_is_refused_with_every_number(book: Book) -> None:
    book.reserve(wanted(1, 7))
    with pytest.raises(BudgetExceeded) as refusal:
        book.reserve(wanted(2, 4))
    said = str(refusal.value)
    assert "the site, in total" in said
    for number in ("10.00", "7.00", "4.00", "1.00 too much"):
        assert number in said
    assert [one.reserved_micro for one in book.usage()] == [7 * MICRO]


@pytest.mark.parametrize(
    "limit",
    [
        cap(5, "account", "phys"),
        cap(5, "account", "*"),
        cap(5, "user", "ann"),
        cap(5, "user", "*"),
        cap(5, "workload", "blast"),
        cap(5, "workload", "*"),
        cap(5, "site", "", "hour"),
        cap(5, "site", "", "day"),
        cap(5, "site", "", "month"),
    ],
    ids=str,
)
def test_every_level_and_every_period_binds(book: Book, limit: Cap) -> None:
    book.caps = [cap(10), limit]
    book.reserve(wanted(1, 4))
    with pytest.raises(BudgetExceeded):
        book.reserve(wanted(2, 4))
    assert book.verify() == ()


def test_caps_of_others_do_not_bind(book: Book) -> None:
    book.caps = [cap(10), cap(1, "account", "chem"), cap(1, "user", "bob"), cap(1, "workload", "other")]
    assert book.reserve(wanted(1, 9)).held_micro == 9 * MICRO


def test_a_job_without_an_app_counts_in_no_workload(book: Book) -> None:
    book.caps = [cap(10), cap(1, "workload", "*")]
    assert book.reserve(wanted(1, 5, payer=Payer("phys", "ann"))).held_micro == 5 * MICRO


def test_without_any_cap_nothing_is_granted(book: Book) -> None:
    book.caps = [cap(1, "user", "bob")]
    with pytest.raises(BudgetExceeded, match="no cap binds"):
        book.reserve(wanted(1, 0.5))


def test_reserving_again_for_the_same_job_is_the_same_reservation(book: Book) -> None:
    first = book.reserve(wanted(1, 7, expires_at=START + 5))
    assert book.reserve(wanted(1, 7)) == first
    with pytest.raises(LedgerError, match="job 1 has reservation 1 already"):
        book.reserve(wanted(1, 8))
    with pytest.raises(LedgerError, match="job 1 has reservation 1 already"):
        book.reserve(wanted(1, 7, ("c9",)))
    assert len(book.open_reservations()) == 1


def test_a_node_is_in_one_open_reservation_at_most(book: Book) -> None:
    first = book.reserve(wanted(1, 2, ("c1", "c2")))
    with pytest.raises(LedgerError, match="c2 is held by reservation 1 of job 1"):
        book.reserve(wanted(2, 2, ("c2", "c3")))
    book.release(first.res_id, "gone home")
    assert book.reserve(wanted(2, 2, ("c2", "c3"))).wanted.node_names == ("c2", "c3")
    assert book.reservation_of_node("c1") is None


@pytest.mark.parametrize(
    "bad",
    [
        {"node_names": ()},
        {"node_names": ("c1", "c1")},
        {"node_names": ("",)},
        {"amount_micro": -1},
        {"amount_micro": 1.5},
        {"amount_micro": True},
        {"amount_micro": 1 << 70},
        {"attempt_s": float("inf")},
        {"limit_s": float("nan")},
        {"payer": Payer("phys", "")},
    ],
    ids=str,
)
def test_nonsense_is_refused_and_leaves_nothing(book: Book, bad: dict[str, object]) -> None:
    with pytest.raises(LedgerError):
        book.reserve(replace(wanted(), **bad))  # type: ignore[arg-type]
    assert book.open_reservations() == ()
    assert book.verify() == ()


def test_released_money_can_be_had_by_others(book: Book) -> None:
    first = book.reserve(wanted(1, 10))
    assert book.release(first.res_id, "gone home").state is ReservationState.RELEASED
    assert book.release(first.res_id, "again").why == "gone home"
    assert book.reserve(wanted(2, 10)).held_micro == 10 * MICRO
    assert book.verify() == ()


def test_what_starts_nothing_in_time_expires(book: Book, clock: FixedClock) -> None:
    book.reserve(wanted(1, 4, expires_at=START + 10))
    book.reserve(wanted(2, 4, expires_at=START + 10))
    book.reserve(wanted(3, 2, expires_at=START + 99))
    intend(book, "c2")
    clock.advance(10)
    assert [one.wanted.job_id for one in book.expire()] == [1]
    assert [one.wanted.job_id for one in book.open_reservations()] == [2, 3]
    assert book.expire() == ()
    with pytest.raises(NoReservation):
        intend(book, "c1")
    assert book.verify() == ()


def test_an_expired_job_can_reserve_again(book: Book, clock: FixedClock) -> None:
    book.reserve(wanted(1, 10, expires_at=START + 10))
    clock.advance(11)
    book.expire()
    again = book.reserve(wanted(1, 10, expires_at=START + 99))
    assert again.res_id == 2
    assert book.reservation_of_job(1, int(START)) == again


def test_a_top_up_raises_to_what_is_asked_and_twice_is_once(book: Book) -> None:
    first = book.reserve(wanted(1, 4))
    for _ in range(2):
        raised = book.top_up(
            first.res_id,
            amount_micro=6 * MICRO,
            attempt_micro=3 * MICRO,
            attempt_s=ATTEMPT_S + 300,
            limit_s=900,
        )
    assert (raised.amount_micro, raised.held_micro, raised.limit_s) == (6 * MICRO, 6 * MICRO, 900)
    assert [entry.kind for entry in book.history()] == ["cap", "reserve", "top-up"]
    lower = book.top_up(first.res_id, amount_micro=1, attempt_micro=1, attempt_s=1, limit_s=1)
    assert lower == raised


def test_a_top_up_that_does_not_fit_changes_nothing(book: Book) -> None:
    first = book.reserve(wanted(1, 4))
    boot = intend(book, "c1")
    with pytest.raises(BudgetExceeded):
        book.top_up(
            1, amount_micro=11 * MICRO, attempt_micro=5 * MICRO, attempt_s=ATTEMPT_S * 3, limit_s=3000
        )
    assert book.reservation(1).amount_micro == first.amount_micro
    assert book.instance_of("c1") == boot


def test_a_top_up_moves_the_deadline_of_what_runs(book: Book, clock: FixedClock) -> None:
    book.reserve(wanted(1, 4))
    before = launched(book, intend(book, "c1"))
    clock.advance(100)
    book.top_up(1, amount_micro=6 * MICRO, attempt_micro=3 * MICRO, attempt_s=ATTEMPT_S + 500, limit_s=1100)
    after = book.instance_of("c1")
    assert after is not None
    assert after.deadline_at == before.deadline_at + 500


def test_a_top_up_must_cover_what_runs(book: Book) -> None:
    book.reserve(wanted(1, 4, ("c1", "c2")))
    intend(book, "c1")
    intend(book, "c2")
    with pytest.raises(LedgerError, match="2 instances run"):
        book.top_up(1, amount_micro=5 * MICRO, attempt_micro=6 * MICRO, attempt_s=9000, limit_s=8000)


def test_what_is_over_takes_no_top_up(book: Book) -> None:
    book.reserve(wanted(1, 4))
    book.release(1, "gone home")
    with pytest.raises(LedgerError, match="released"):
        book.top_up(1, amount_micro=6 * MICRO, attempt_micro=3 * MICRO, attempt_s=1, limit_s=1)


def test_an_open_reservation_counts_in_every_period_and_spending_in_the_one_it_is_settled_in(
    book: Book, clock: FixedClock
) -> None:
    book.caps = [cap(10, period="hour")]
    book.reserve(wanted(1, 6))
    boot = launched(book, intend(book, "c1"))
    clock.advance(3600)
    with pytest.raises(BudgetExceeded):
        book.reserve(wanted(2, 5))
    book.ended(boot.node, boot.generation, boot.intended_at + 1000, "done")
    book.release(1, "done")
    (usage,) = book.usage()
    assert (usage.reserved_micro, usage.spent_micro) == (0, 1 * MICRO)
    with pytest.raises(BudgetExceeded):
        book.reserve(wanted(2, 9.5))
    clock.advance(3600)
    assert book.reserve(wanted(2, 9.5)).held_micro == 9_500_000
    assert book.verify() == ()


def test_a_clock_that_goes_back_gives_no_money_twice(book: Book, clock: FixedClock) -> None:
    book.caps = [cap(10, period="day")]
    clock.advance(86400)
    book.reserve(wanted(1, 10))
    boot = launched(book, intend(book, "c1"), price=3.6, at=clock.now())
    book.ended("c1", 1, clock.now() + 900, "done")
    book.release(1, "done")
    clock.advance(-2 * 86400)
    with pytest.raises(BudgetExceeded):
        book.reserve(wanted(2, 9.2))
    assert boot.res_id == 1
    assert book.verify() == ()

"""Caps: which one binds, who changes them, and what a change may not do."""

from __future__ import annotations

import json

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer
from hetslurm.cloudburst.policy import Cap, Level, Period
from hetslurm.errors import BudgetExceeded, LedgerError
from hetslurm.units import MICRO

from .scenes import cap, intend, launched, wanted


def test_the_cap_of_a_name_replaces_the_one_for_each(book: Book) -> None:
    book.caps = [cap(10), cap(1, "account", "*"), cap(5, "account", "phys"), cap(9, "account", "*", "day")]
    assert book.reserve(wanted(1, 4)).held_micro == 4 * MICRO
    with pytest.raises(BudgetExceeded, match="account chem, in total"):
        book.reserve(wanted(2, 2, payer=Payer("chem", "bob")))
    book.caps = [cap(10), cap(1, "account", "*"), cap(5, "account", "phys"), cap(4.5, "account", "*", "day")]
    with pytest.raises(BudgetExceeded, match="account phys, per day"):
        book.reserve(wanted(3, 0.6))


def test_what_is_set_by_hand_wins_until_it_is_taken_back(book: Book) -> None:
    book.set_cap(cap(3), "eve (7)")
    with pytest.raises(BudgetExceeded):
        book.reserve(wanted(1, 4))
    (now,) = book.caps_in_force()
    assert (now.cap, now.source, now.by, now.hidden_micro) == (cap(3), "set", "eve (7)", 10 * MICRO)
    book.caps = [cap(20)]
    assert book.caps_in_force()[0].cap == cap(3)
    book.unset_cap(Level.SITE, "", Period.TOTAL)
    assert book.caps_in_force()[0].cap == cap(20)
    with pytest.raises(LedgerError, match="nothing is set"):
        book.unset_cap(Level.SITE, "", Period.TOTAL)
    assert book.verify() == ()


def test_every_change_of_a_cap_is_an_entry_with_who_and_when(book: Book) -> None:
    book.set_cap(cap(3), "eve (7)")
    book.set_cap(cap(3), "eve (7)")
    book.unset_cap(Level.SITE, "", Period.TOTAL, "ann (8)")
    said = [(json.loads(entry.what)["limit_micro"], entry.by) for entry in book.history(kind="cap")]
    assert said[1:] == [(3 * MICRO, "eve (7)"), (None, "ann (8)")]


def test_a_cap_cannot_be_set_below_what_is_used_and_the_lowest_is_named(book: Book) -> None:
    book.reserve(wanted(1, 4))
    with pytest.raises(BudgetExceeded, match=r"set to 4\.00 at the lowest now, not to 3\.99"):
        book.set_cap(cap(3.99))
    book.set_cap(cap(4))
    with pytest.raises(BudgetExceeded, match=r"account \*"):
        book.set_cap(cap(1, "account", "*"))
    assert book.verify() == ()


def test_a_lower_cap_in_the_file_is_taken_and_nothing_more_is_granted(book: Book) -> None:
    book.reserve(wanted(1, 4))
    boot = launched(book, intend(book, "c1"))
    book.caps = [cap(3)]
    with pytest.raises(BudgetExceeded):
        book.reserve(wanted(2, 0.1))
    (usage,) = book.usage()
    assert usage.used_micro > usage.cap.limit_micro
    book.ended("c1", 1, boot.intended_at + 100, "done")
    book.release(1, "job over")
    assert book.reserve(wanted(2, 2.9)).held_micro == 2_900_000
    assert book.verify() == ()


def test_the_caps_of_the_file_are_recorded_once(book: Book, clock: FixedClock) -> None:
    before = book.head()
    book.caps = [cap(10)]
    Book(book.path, clock, [cap(10)]).close()
    assert book.head() == before
    book.caps = []
    assert book.caps_in_force() == ()


@pytest.mark.parametrize(
    "bad",
    [
        Cap(Level.SITE, "phys", Period.DAY, 1),
        Cap(Level.USER, "", Period.DAY, 1),
        Cap(Level.SITE, "", Period.DAY, -1),
        Cap(Level.SITE, "", Period.DAY, 1.5),  # type: ignore[arg-type]
        Cap("planet", "", Period.DAY, 1),  # type: ignore[arg-type]
        Cap(Level.SITE, "", "year", 1),  # type: ignore[arg-type]
        Cap(Level.SITE, "", Period.DAY, 1 << 80),
    ],
    ids=str,
)
def test_what_is_no_cap_is_refused(book: Book, bad: Cap) -> None:
    with pytest.raises(LedgerError):
        book.set_cap(bad)
    with pytest.raises(LedgerError):
        book.caps = [bad]
    assert book.caps_in_force()[0].cap == cap(10)


def test_two_caps_for_the_same_are_refused(book: Book) -> None:
    with pytest.raises(LedgerError, match="two caps for the site, per day"):
        book.caps = [cap(1, period="day"), cap(2, period="day")]


def test_usage_shows_a_cap_for_each_once_for_everybody_who_uses_it(book: Book) -> None:
    book.caps = [cap(10), cap(5, "user", "*", "month"), cap(1, "account", "idle")]
    book.reserve(wanted(1, 1))
    book.reserve(wanted(2, 2, payer=Payer("chem", "bob")))
    shown = [(one.cap.name, one.name, one.used_micro) for one in book.usage()]
    assert shown == [("", "", 3 * MICRO), ("idle", "idle", 0), ("*", "ann", MICRO), ("*", "bob", 2 * MICRO)]

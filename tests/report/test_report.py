"""What a report promises: every micro-unit in one row, told apart, and compared."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.costs import Costs, Run
from hetslurm.cloudburst.ledger.values import Payer
from hetslurm.cloudburst.report import UNNAMED, By, Report, Row, make_report, share, split_time

from .histories import START, Life, caps, job, live, reserve

ANN, BOB, CYD = Payer("phys", "ann", "blast"), Payer("phys", "bob"), Payer("chem", "cyd", "vasp")


def report(book: Book, by: By = By.ACCOUNT, since: float = 0.0, until: float | None = None) -> Report:
    """Of everything, unless a time is given."""
    costs = book.costs(since, until)
    return make_report(costs, by, currency="EUR", since=since, until=until, now=START)


def named(found: Report) -> dict[str, Row]:
    """Rows by name."""
    return {row.name: row for row in found.rows}


lives = st.builds(
    Life,
    boot_s=st.one_of(st.none(), st.floats(0, 500)),
    run_s=st.floats(0, 4000),
    idle_s=st.floats(0, 500),
    price_micro=st.integers(0, 9_000_000),
    on_demand_micro=st.integers(0, 9_000_000),
)
jobs = st.tuples(
    st.sampled_from([ANN, BOB, CYD]), st.sampled_from(["cloud", "gpu"]), st.lists(lives, max_size=2)
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(jobs, max_size=5), st.floats(0, 20_000), st.booleans())
def test_the_rows_sum_to_what_the_ledger_spent_whichever_way(
    history: list[tuple[Payer, str, list[Life]]], cut: float, is_open: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = FixedClock(START)
        with Book(Book.path_in(folder), clock, caps(), cluster="t") as book:
            for number, (payer, partition, boots) in enumerate(history, 1):
                reservation = reserve(book, number, payer, partition=partition)
                for boot in boots:
                    if book.reservation(reservation.res_id).held_micro >= 1_000_000:
                        live(book, clock, reservation, boot)
                if not is_open:
                    book.release(reservation.res_id, "over")
            (usage,) = book.usage()
            entries = book.history(10_000)
            for by in By:
                found = report(book, by)
                assert sum(row.spent_micro for row in found.rows) == usage.spent_micro
                assert found.total.spent_micro == usage.spent_micro
                assert found.total.held_micro == usage.reserved_micro
                early, late = report(book, by, until=START + cut), report(book, by, since=START + cut)
                assert early.total.spent_micro + late.total.spent_micro == usage.spent_micro
                assert early.total.spent_micro == sum(e.spent_micro for e in entries if e.at < START + cut)


@given(st.integers(0, 10**15), st.lists(st.floats(0, 10**6), min_size=3, max_size=3))
def test_no_share_loses_or_makes_a_micro_unit(micro: int, weights: list[float]) -> None:
    parts = share(micro, weights)
    assert sum(parts) == micro
    assert min(parts) >= 0


def test_boot_run_and_idle_are_told_apart(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(boot_s=30, run_s=600, idle_s=70)])
    (row,) = report(book).rows
    assert (row.boot_s, row.run_s, row.idle_s) == (30, 600, 70)
    assert (row.boot_micro, row.run_micro, row.idle_micro) == (30_000, 600_000, 70_000)
    assert (row.jobs, row.instances) == (1, 1)


def test_an_instance_that_was_never_seen_to_run_only_booted(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(boot_s=None, run_s=0, idle_s=100)])
    (row,) = report(book).rows
    assert (row.boot_micro, row.run_micro, row.idle_micro) == (100_000, 0, 0)
    assert row.waits == 0


def test_what_is_billed_at_least_is_idle(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(boot_s=5, run_s=10, idle_s=5)])
    (row,) = report(book).rows
    assert (row.boot_s, row.run_s, row.idle_s) == (5, 10, 45)
    assert row.spent_micro == 60_000


def test_two_runs_on_one_instance_have_idle_time_between_them() -> None:
    runs = [Run("c1", 1, 150, 200), Run("c1", 1, 110, 120)]
    assert split_time(runs, 100, 300, 200) == (10, 60, 130)


def test_a_run_without_an_end_ends_with_its_instance() -> None:
    assert split_time([Run("c1", 1, 110)], 100, 300, 200) == (10, 190, 0)
    assert split_time([Run("c1", 1, 110, 900)], 100, 300, 200) == (10, 190, 0)


def test_an_overrun_is_in_the_row_of_its_job(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(run_s=4000)])
    assert any(entry.kind == "overrun" for entry in book.history())
    assert report(book, By.JOB).rows[0].spent_micro == 4_060_000 == book.usage()[0].spent_micro


def test_a_requeued_job_is_one_job_on_two_instances(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(), Life()])
    (row,) = report(book, By.JOB).rows
    assert (row.name, row.jobs, row.instances, row.waits) == ("1", 1, 2, 1)
    assert row.waited_s == 30


@pytest.mark.parametrize(
    ("by", "names"),
    [
        (By.ACCOUNT, {"phys", "chem"}),
        (By.USER, {"ann", "bob", "cyd"}),
        (By.JOB, {"1", "2", "3"}),
        (By.POOL, {"cloud", "gpu"}),
        (By.WORKLOAD, {"blast", UNNAMED, "vasp"}),
    ],
)
def test_a_row_is_of_what_was_asked_for(book: Book, clock: FixedClock, by: By, names: set[str]) -> None:
    job(book, clock, 1, ANN)
    job(book, clock, 2, BOB)
    job(book, clock, 3, CYD, partition="gpu")
    found = report(book, by)
    assert named(found).keys() == names
    assert found.total.jobs == 3


def test_a_number_that_slurm_used_again_is_another_job(book: Book, clock: FixedClock) -> None:
    first = reserve(book, 7, ANN)
    live(book, clock, first, Life())
    book.release(first.res_id, "over")

    second = book.reserve(replace(first.wanted, submit_at=int(START) + 10**6, payer=CYD))
    live(book, clock, second, Life())
    assert [row.name for row in report(book, By.JOB).rows] == ["7", "7"]


def test_a_job_that_left_twice_is_one_job_and_waited_once(book: Book, clock: FixedClock) -> None:
    job(book, clock, 7, ANN, wait_s=7200)
    job(book, clock, 7, ANN, wait_s=9000)
    (row,) = report(book, By.JOB).rows
    assert (row.jobs, row.instances, row.waits, row.home_wait_s) == (1, 2, 1, 7200)


def test_no_run_outlives_its_instance(book: Book, clock: FixedClock) -> None:
    held = reserve(book, 1, ANN)
    boot = book.intend("c1", provider="local", billed_least_s=60)
    book.ran([Run("c1", 1, START + 10)])
    book.ended("c1", boot.generation, START + 100, "taken away")
    assert book.runs() == (Run("c1", 1, START + 10, START + 100),)
    assert book.release(held.res_id, "over").spent_micro == report(book).total.spent_micro


def test_spot_is_compared_with_on_demand_for_the_same_time(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(price_micro=3_600_000, on_demand_micro=9_000_000)])
    (row,) = report(book).rows
    assert (row.spent_micro, row.on_demand_micro, row.saved_micro) == (660_000, 1_650_000, 990_000)


def test_without_an_on_demand_price_nothing_is_said_to_be_saved(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(on_demand_micro=0)])
    assert report(book).rows[0].saved_micro == 0


def test_the_wait_avoided_is_what_was_expected_less_what_was_waited(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(boot_s=90)], wait_s=7200)
    job(book, clock, 2, ANN, wait_s=None)
    (row,) = report(book).rows
    assert (row.jobs, row.waits, row.home_wait_s, row.waited_s, row.avoided_s) == (2, 1, 7200, 90, 7110)


def test_a_job_that_nothing_on_premises_can_run_avoids_no_wait(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, wait_s=float("inf"))
    (row,) = report(book).rows
    assert (row.nowhere, row.waits, row.avoided_s) == (1, 0, 0)


def test_the_first_word_about_a_wait_stays(book: Book) -> None:
    held = reserve(book, 1, ANN)
    book.expected_wait(held.res_id, 100.0)
    book.expected_wait(held.res_id, 5.0)
    live(book, FixedClock(START), held, Life())
    assert report(book).rows[0].home_wait_s == 100


def test_a_wait_counts_once_in_two_reports_that_meet(book: Book, clock: FixedClock) -> None:
    held = reserve(book, 1, ANN)
    book.expected_wait(held.res_id, 100.0)
    live(book, clock, held, Life())
    clock.advance(10)
    cut = clock.now()
    live(book, clock, held, Life())
    assert report(book, until=cut).total.waits == 1
    assert report(book, since=cut).total.waits == 0
    assert report(book, since=cut).total.instances == 1


def test_money_still_reserved_is_shown_of_those_who_spent_nothing(book: Book, clock: FixedClock) -> None:
    reserve(book, 1, ANN)
    job(book, clock, 2, CYD)
    rows = named(report(book))
    assert (rows["phys"].held_micro, rows["phys"].spent_micro, rows["phys"].jobs) == (2_000_000, 0, 0)
    assert rows["chem"].held_micro == 0


def test_since_counts_and_until_does_not(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN)
    settled_at = clock.now()
    assert report(book, since=settled_at).total.instances == 1
    assert report(book, until=settled_at).total.instances == 0


def test_the_dearest_comes_first(book: Book, clock: FixedClock) -> None:
    job(book, clock, 1, ANN, [Life(run_s=60)])
    job(book, clock, 2, CYD, [Life(run_s=900)])
    assert [row.name for row in report(book).rows] == ["chem", "phys"]


def test_an_empty_ledger_has_no_rows(book: Book) -> None:
    found = report(book)
    assert found.rows == ()
    assert found.total == Row("total")
    assert make_report(Costs(), By.USER, currency="", since=0, until=None, now=START).rows == ()


def test_a_ledger_that_others_write_is_seen_in_one_state(tmp_path: Path, clock: FixedClock) -> None:
    with Book(Book.path_in(tmp_path), clock, caps(), cluster="t") as book, book.reader(book.path) as reader:
        job(book, clock, 1, ANN)
        assert reader.costs().spendings == book.costs().spendings

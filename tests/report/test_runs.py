"""What a look at Slurm tells of when jobs ran on instances."""

from __future__ import annotations

from dataclasses import replace

from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.costs import Run
from hetslurm.cloudburst.ledger.values import Instance, InstanceState, Payer, Reservation
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.reconcile_runs import runs_seen
from hetslurm.cloudburst.reconcile_values import Sight, SlurmView
from hetslurm.cluster import Node, QueuedJob

from .histories import START, reserve

NOW = START + 1000
BEGUN = Run("c7", 1, START + 100)


def instance(res_id: int = 1) -> Instance:
    """Of node c7, for job 7."""
    return Instance(
        "c7", 1, res_id, "cloud", "p", "t-c7-1", InstanceState.LAUNCHED, 1, 60.0, START, START + 9000
    )


def queued(state: str, **more: object) -> QueuedJob:
    """Job 7, which began at START + 100 on c7."""
    made = QueuedJob(
        7, state, "cloud", "ann", 1, 1, 0, 60, 1, START, START + 100, START + 3700, node_names=("c7",)
    )
    return replace(made, **more)  # type: ignore[arg-type]


def sight(
    book: Book, job: QueuedJob | None = None, *, ended: QueuedJob | None = None, node: str = "ALLOCATED"
) -> Sight:
    """Job 7's money and instance, and what Slurm tells of it."""
    held: Reservation = book.reservation_of_node("c7") or reserve(book, 7, Payer("phys", "ann"))
    slurm = SlurmView(
        {"c7": Node("c7", 4, 1000, frozenset({*node.split("+"), "CLOUD"}))},
        {7: job} if job is not None else {},
        frozenset() if job is not None else frozenset({7}),
        {7: ended} if ended is not None else {},
    )
    return Sight(NOW, Policy(), slurm, {}, (instance(held.res_id),), (held,))


def test_a_running_job_has_begun(book: Book) -> None:
    assert runs_seen(sight(book, queued("RUNNING")), ()) == (BEGUN,)


def test_a_job_that_still_runs_is_no_news(book: Book) -> None:
    assert runs_seen(sight(book, queued("RUNNING")), [BEGUN]) == ()
    assert runs_seen(sight(book, queued("SUSPENDED"), node="ALLOCATED+POWERING_UP"), [BEGUN]) == ()


def test_a_boot_is_no_run(book: Book) -> None:
    assert runs_seen(sight(book, queued("CONFIGURING")), ()) == ()
    assert runs_seen(sight(book, queued("RUNNING"), node="ALLOCATED+POWERING_UP"), ()) == ()


def test_a_pending_job_with_an_expected_start_has_not_begun(book: Book) -> None:
    assert runs_seen(sight(book, queued("PENDING", node_names=())), ()) == ()


def test_a_job_ended_when_slurm_says_so(book: Book) -> None:
    done = replace(BEGUN, ended_at=START + 700)
    assert runs_seen(sight(book, queued("COMPLETING", end_at=START + 700)), [BEGUN]) == (done,)
    assert runs_seen(sight(book, ended=queued("COMPLETED", end_at=START + 700)), [BEGUN]) == (done,)


def test_a_job_that_ran_between_two_looks_is_noted_whole(book: Book) -> None:
    ended = queued("COMPLETED", end_at=START + 700)
    assert runs_seen(sight(book, ended=ended), ()) == (replace(BEGUN, ended_at=START + 700),)


def test_a_job_of_which_slurm_tells_no_more_ended_before_this_look(book: Book) -> None:
    assert runs_seen(sight(book), [BEGUN]) == (replace(BEGUN, ended_at=NOW),)


def test_a_requeued_job_ends_one_run_and_begins_another(book: Book) -> None:
    waits = queued("PENDING", node_names=(), start_at=None, end_at=None)
    assert runs_seen(sight(book, waits), [BEGUN]) == (replace(BEGUN, ended_at=NOW),)
    again = queued("RUNNING", start_at=START + 900)
    assert runs_seen(sight(book, again), [BEGUN]) == (
        replace(BEGUN, ended_at=NOW),
        Run("c7", 1, START + 900),
    )


def test_a_run_on_an_earlier_instance_of_the_node_is_not_this_ones(book: Book) -> None:
    assert runs_seen(sight(book, ended=queued("FAILED", start_at=START - 90, end_at=START - 5)), ()) == ()


def test_another_users_job_of_that_number_is_not_ours(book: Book) -> None:
    assert runs_seen(sight(book, ended=queued("COMPLETED", user="bob", end_at=START + 700)), ()) == ()


def test_without_slurm_nothing_is_known(book: Book) -> None:
    assert runs_seen(replace(sight(book), slurm=None), [BEGUN]) == ()


def test_the_book_keeps_the_first_end_and_one_row_a_run(book: Book) -> None:
    book.ran([BEGUN, BEGUN])
    assert book.runs(only_open=True) == (BEGUN,)
    done = replace(BEGUN, ended_at=START + 700)
    book.ran([done])
    book.ran([replace(BEGUN, ended_at=NOW), BEGUN])
    assert book.runs() == (done,)
    assert book.runs(only_open=True) == ()

"""The kernel and its twin agree to the last bit: admission, tiers, choices, reasons, terms, ties."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.native import kernel
from hetslurm.scoring import admission, twin
from hetslurm.scoring.tables import tables_of

from .random_views import random_authors, random_jobs, random_tables, slot_of

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(0, 80)


def assert_same(ours, theirs) -> None:
    """Every field of two record arrays, to the bit."""
    for name in ours.dtype.names:
        if ours.dtype[name].names:
            assert_same(ours[name], theirs[name])
        else:
            np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@settings(max_examples=150, deadline=None)
@given(SEEDS, SIZES)
def test_admission_is_the_twins(seed: int, n_pools: int) -> None:
    tables = random_tables(seed, n_pools)
    view = kernel.View(slot_of(tables))
    authors, nodes = random_authors(seed, 8)
    rows = kernel.admit(view, authors, nodes)
    for author, named, row in zip(authors, nodes, rows, strict=True):
        np.testing.assert_array_equal(row, admission.admit(tables, author, named))


@pytest.mark.parametrize("easy", [False, True], ids=["hostile", "friendly"])
@settings(max_examples=150, deadline=None)
@given(SEEDS, SIZES, st.booleans())
def test_every_choice_is_the_twins(easy: bool, seed: int, n_pools: int, busy: bool) -> None:
    view = kernel.View(slot_of(random_tables(seed, n_pools, easy)))
    tables = tables_of(view.slot)
    rows = kernel.admit(view, *random_authors(seed, 3, easy))
    jobs, alts = random_jobs(seed, 12, len(rows), easy)
    rng = np.random.default_rng(seed)
    backlog = (rng.choice([0.0, 30.0], n_pools), rng.choice([0.0, 12345.6], n_pools)) if busy else None

    choices = kernel.score_batch(view, jobs, alts, rows, backlog=backlog)
    assert_same(choices, twin.score(tables, jobs, alts, rows, backlog))
    assert_same(kernel.score_order(view, jobs, alts, rows), twin.order(tables, jobs, alts, rows))
    for job, choice in zip(jobs, choices, strict=True):
        row = rows[job["row"]]
        terms, explained = kernel.explain(view, job, alts, row, backlog)
        twin_terms, _ = twin.explain(tables, job, alts, row, backlog)
        assert_same(terms, twin_terms)
        assert_same(explained.reshape(1), choice.reshape(1))


@pytest.mark.parametrize("easy", [False, True], ids=["hostile", "friendly"])
@settings(max_examples=100, deadline=None)
@given(SEEDS, SIZES, st.sampled_from([1, 3]))
def test_a_pending_job_is_scored_with_its_own_wait_where_it_is(
    easy: bool, seed: int, n_pools: int, threads: int
) -> None:
    view = kernel.View(slot_of(random_tables(seed, n_pools, easy)))
    rows = kernel.admit(view, *random_authors(seed, 3, easy))
    jobs, alts = random_jobs(seed, 12, len(rows), easy)
    rng = np.random.default_rng(seed)
    places = np.zeros(len(jobs), dtype=kernel.PLACE_DTYPE)
    places["alt"], places["pool"] = rng.integers(-1, 4, 12), rng.integers(-1, n_pools + 1, 12)
    places["wait_s"] = rng.choice([-1.0, 0.0, 59.5, 1e7], 12)
    choices, now = kernel.rescore(view, jobs, alts, rows, places, threads)
    twin_choices, twin_now = twin.rescore(tables_of(view.slot), jobs, alts, rows, places)
    assert_same(choices, twin_choices)
    assert_same(now, twin_now)
    run_s, sources = kernel.run_times(view, jobs, alts, places)
    np.testing.assert_array_equal(run_s, twin_now["run_s"])
    np.testing.assert_array_equal(sources, twin_now["run_source"])


@given(st.floats(0, 1e15), st.integers(0, 10**9), st.floats(1e-3, 1e9), st.floats(1.001, 1e6))
def test_shorter_runs_never_gain_less(run_s: float, points: int, shortest: float, ratio: float) -> None:
    longest = shortest * ratio
    gained = kernel.order_points(run_s, points, shortest, longest)
    assert 0 <= gained <= points
    assert kernel.order_points(run_s / 2, points, shortest, longest) >= gained
    assert kernel.order_points(shortest, points, shortest, longest) == points
    assert kernel.order_points(longest, points, shortest, longest) == 0


def test_each_halving_of_the_run_is_worth_the_same() -> None:
    runs = [60.0 * 2.0**i for i in range(11)]
    assert [kernel.order_points(run, 1000, 60.0, 61440.0) for run in runs] == list(range(1000, -1, -100))
    assert kernel.order_points(1.0, 1000, 60.0, 60.0) == 0


@settings(max_examples=50)
@given(SEEDS, st.integers(1, 40), st.sampled_from([2, 3, 8, 64]))
def test_threads_choose_as_one_does(seed: int, n_pools: int, threads: int) -> None:
    view = kernel.View(slot_of(random_tables(seed, n_pools, True)))
    rows = kernel.admit(view, *random_authors(seed, 3, True))
    jobs, alts = random_jobs(seed, 33, len(rows), True)
    alone = kernel.score_batch(view, jobs, alts, rows)
    assert kernel.score_batch(view, jobs, alts, rows, threads=threads).tobytes() == alone.tobytes()


def test_a_batch_leaves_the_interpreter_to_others() -> None:
    view = kernel.View(slot_of(random_tables(1, 2000, True)))
    rows = kernel.admit(view, *random_authors(1, 3, True))
    jobs, alts = random_jobs(1, 1000, len(rows), True)
    jobs = np.tile(jobs, 50)
    worker = threading.Thread(target=kernel.score_batch, args=(view, jobs, alts, rows))
    worker.start()
    steps = 0
    while worker.is_alive():
        time.sleep(0.001)
        steps += 1
    # Some hundred; a batch that kept the interpreter would let this thread run before and after it alone.
    assert steps > 20


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_size_class_is_the_smallest_that_holds_the_need(need: float, units: float) -> None:
    expected = next((k for k in range(8) if need * 2 ** (7 - k) <= units), 7)
    assert kernel.size_class(need, units) == expected == twin.size_classes(need, np.array([units]))[0]


def test_the_estimate_key_is_the_plugins() -> None:
    from hetslurm.native.layout import estimate_key, name_hash

    app_key = name_hash("bwa\0gpu\0")
    assert twin.estimate_key(app_key, name_hash("a100")) == estimate_key("bwa", "gpu", "a100")

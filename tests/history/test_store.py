"""The store keeps each run once, within its bounds, and survives what may happen to its file."""

from __future__ import annotations

import sqlite3
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.errors import HistoryError
from hetslurm.history import Followed, HistoryStore, Order, Which, count_runs, forget, read_runs
from hetslurm.history.file import FILE, SCHEMA
from hetslurm.runs import Ending, Run

from .conftest import NOW, _run

OpenStore = Callable[..., HistoryStore]
MakeRun = Callable[..., Run]

some_runs = st.lists(
    st.builds(
        _run,
        st.integers(1, 5),
        ended=st.integers(0, 40).map(lambda n: NOW - 100 + n),
        run_s=st.integers(0, 30).map(float),
        ending=st.sampled_from(Ending),
        energy_j=st.none() | st.floats(1, 1e6),
        work=st.floats(0, 1e9),
        speed=st.floats(0.1, 2),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(some_runs, st.lists(st.integers(0, 29), max_size=20), st.integers(1, 12))
def test_however_often_and_in_whatever_pieces_runs_are_stored_each_is_there_once(
    runs: list[Run], again: list[int], piece: int
) -> None:
    first: dict[tuple[int, float], Run] = {}
    for run in runs:
        first.setdefault((run.job_id, run.submit_at), run)
    told: list[Run] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        store = HistoryStore(Path(folder), keep_runs=1000, keep_days=730)
        fed = [*first.values(), *(list(first.values())[n] for n in again if n < len(first))]
        for at in range(0, len(fed), piece):
            told += store.add(fed[at : at + piece], now=NOW)
        assert store.count == len(first) == len(told)
        assert sorted(store.runs(), key=_key) == sorted(first.values(), key=_key)
        assert {_key(run) for run in told} == first.keys()
        ends = [run.end_at for run in store.runs()]
        assert ends == sorted(ends)
        store.close()


def _key(run: Run) -> tuple[int, float]:
    return run.job_id, run.submit_at


def test_a_later_look_adds_the_energy_and_keeps_the_speed(open_store: OpenStore, make_run: MakeRun) -> None:
    store = open_store()
    assert store.add([make_run(speed=0.6, restarts=2)], now=NOW) == [make_run(speed=0.6, restarts=2)]
    assert store.add([make_run(energy_j=7.0, run_s=50.0, speed=1.0)], now=NOW) == []
    store.add([make_run()], now=NOW)
    (kept,) = store.runs()
    assert (kept.energy_j, kept.speed, kept.restarts) == (7.0, 0.6, 2)


def test_a_requeued_job_s_runs_are_two(open_store: OpenStore, make_run: MakeRun) -> None:
    store = open_store()
    store.add([make_run(7, ended=NOW - 900, ending=Ending.NODE_FAIL), make_run(7, ended=NOW - 100)], now=NOW)
    assert [run.ending for run in store.runs()] == [Ending.NODE_FAIL, Ending.COMPLETED]


def test_the_oldest_runs_go_when_there_are_too_many_or_they_are_too_old(
    open_store: OpenStore, make_run: MakeRun
) -> None:
    store = open_store(keep_runs=10, keep_days=1)
    runs = [make_run(n, ended=NOW - 80_000 + n) for n in range(25)]
    for at in range(0, 25, 4):
        store.add(runs[at : at + 4], now=NOW)
        assert store.count <= 10
    assert [run.job_id for run in store.runs()] == list(range(15, 25))
    assert store.add([make_run(99, ended=NOW - 90_000)], now=NOW) == []
    store.add([], now=NOW + 6_420)
    assert [run.job_id for run in store.runs()] == list(range(20, 25))
    assert store.count == 5


def test_how_far_slurmdbd_was_read_is_kept_with_what_was_read(
    open_store: OpenStore, make_run: MakeRun
) -> None:
    store = open_store()
    assert store.read_until() is None
    store.add([make_run()], now=NOW, read_until=NOW - 5)
    store.close()
    again = open_store()
    assert again.read_until() == NOW - 5
    assert again.count == 1


def test_a_write_that_fails_changes_nothing(open_store: OpenStore, make_run: MakeRun) -> None:
    store = open_store()
    store.add([make_run(1)], now=NOW, read_until=1.0)
    bad = make_run(3, user=object())
    with pytest.raises(HistoryError):
        store.add([make_run(2), bad], now=NOW, read_until=2.0)
    assert (store.count, store.read_until()) == (1, 1.0)
    assert [run.job_id for run in store.runs()] == [1]
    assert store.add([make_run(2)], now=NOW) == [make_run(2)]


def test_others_than_owner_and_group_cannot_read_it(open_store: OpenStore, tmp_path: Path) -> None:
    open_store()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o640


@pytest.mark.parametrize("damage", ["no database", "half of it", "another database"])
def test_a_file_that_cannot_be_read_is_set_aside(
    damage: str, open_store: OpenStore, make_run: MakeRun, tmp_path: Path
) -> None:
    path = tmp_path / FILE
    if damage == "another database":
        sqlite3.connect(path).execute("CREATE TABLE other (x)").connection.close()
    else:
        store = open_store()
        store.add([make_run(n, app="x" * 500) for n in range(200)], now=NOW)
        store.close()
        whole = path.read_bytes()
        path.write_bytes(b"no SQLite" * 500 if damage == "no database" else whole[: len(whole) // 2])
    broken = path.read_bytes()
    store = open_store()
    assert store.count == 0
    assert store.set_aside is not None
    assert store.set_aside.read_bytes() == broken
    assert store.add([make_run()], now=NOW)


def test_what_a_newer_hetslurm_wrote_is_refused_and_left_as_it_is(
    open_store: OpenStore, tmp_path: Path
) -> None:
    open_store().close()
    db = sqlite3.connect(tmp_path / FILE)
    db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    db.close()
    before = (tmp_path / FILE).read_bytes()
    for look in (
        open_store,
        lambda: list(read_runs(tmp_path, Which())),
        lambda: forget(tmp_path, Which(), NOW),
    ):
        with pytest.raises(HistoryError, match="newer hetslurm"):
            look()
    assert (tmp_path / FILE).read_bytes() == before


def test_without_a_history_a_reader_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="does `hetslurm controller` run"):
        list(read_runs(tmp_path, Which()))
    assert list(tmp_path.iterdir()) == []


def test_readers_see_what_they_ask_for_in_the_order_they_ask_for(
    open_store: OpenStore, make_run: MakeRun, tmp_path: Path
) -> None:
    store = open_store(keep_runs=100_000)
    long, short = make_run(1, ended=NOW - 10, run_s=5000.0), make_run(2, ended=NOW - 20, user="bob", app="")
    many = [make_run(100 + n, ended=NOW - 9000 + (n % 7), app="other") for n in range(5000)]
    store.add([long, short, *many], now=NOW)
    assert list(read_runs(tmp_path, Which(user="bob"))) == [short]
    assert list(read_runs(tmp_path, Which(since=NOW - 15))) == [long]
    assert list(read_runs(tmp_path, Which(app="align", before=NOW), Order.SUBMITTED)) == [long]
    assert list(read_runs(tmp_path, Which(app=""))) == [short]
    for order, key in ((Order.ENDED, "end_at"), (Order.SUBMITTED, "submit_at")):
        found = list(read_runs(tmp_path, Which(), order))
        assert len({run.job_id for run in found}) == len(found) == 5002
        values = [getattr(run, key) for run in found]
        assert values == sorted(values)


def test_a_slow_reader_does_not_keep_the_writer_waiting(
    open_store: OpenStore, make_run: MakeRun, tmp_path: Path
) -> None:
    store = open_store(keep_runs=100_000)
    store.add([make_run(n) for n in range(5000)], now=NOW)
    reader = read_runs(tmp_path, Which())
    next(reader)
    assert store.add([make_run(9999)], now=NOW)  # would raise "locked" after 5 s
    assert sum(1 for _ in reader) >= 4999


def test_forgotten_runs_leave_no_trace_and_do_not_come_back(
    open_store: OpenStore, make_run: MakeRun, tmp_path: Path
) -> None:
    store = open_store()
    hers = [make_run(n, user="ann", app=f"secretproject{n}") for n in range(50)]
    store.add([*hers, make_run(99, user="bob")], now=NOW)
    assert not store.was_cut()
    assert forget(tmp_path, Which(user="ann", before=NOW), NOW) == 50
    assert b"secretproject" not in (tmp_path / FILE).read_bytes()
    assert store.was_cut()
    assert not store.was_cut()
    assert store.count == 1
    assert store.add(hers, now=NOW + 60) == []
    later = make_run(7, ended=NOW + 30, app="new")
    assert store.add([later], now=NOW + 60) == [later]
    assert [run.job_id for run in store.runs()] == [99, 7]
    assert count_runs(tmp_path, Which(user="ann")) == 1


def test_forgetting_an_app_before_a_day_leaves_the_rest(
    open_store: OpenStore, make_run: MakeRun, tmp_path: Path
) -> None:
    store = open_store()
    store.add([make_run(n, ended=NOW - 1000 * n, app="ab"[n % 2]) for n in range(1, 9)], now=NOW)
    assert forget(tmp_path, Which(app="a", before=NOW - 3500), NOW) == 3
    assert sorted(run.job_id for run in store.runs()) == [1, 2, 3, 5, 7]


def test_jobs_that_run_are_remembered_until_they_are_stored_or_given_up(
    open_store: OpenStore, make_run: MakeRun
) -> None:
    store = open_store()
    run = make_run(1)
    seen = [Followed(1, int(run.submit_at), 0.6, "{}"), Followed(2, 5, 1.0, "{}"), Followed(3, 6, 1.0, "{}")]
    store.follow(seen)
    store.follow(seen[:1])
    store.close()
    again = open_store()
    assert again.followed() == seen
    again.add([run], now=NOW)
    again.follow([], [(3, 6)])
    assert again.followed() == [seen[1]]

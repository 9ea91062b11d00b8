"""The controller learns in a thread of its own, and the cycle gets the newest table."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hetslurm.clock import SystemClock
from hetslurm.cluster import Cluster, Gres, Node, Partition
from hetslurm.controller import learning as learning_module
from hetslurm.controller.cycle import plan_cycle
from hetslurm.controller.learning import TABLE_EVERY_S, Learning, learning_status
from hetslurm.controller.metrics import learning_metrics
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmUnavailable
from hetslurm.estimate import RunEstimate
from hetslurm.history import HistoryStore, Which, forget
from hetslurm.history.file import FILE, SCHEMA
from hetslurm.runs import Run
from hetslurm.site import HistorySite, Site
from hetslurm.slurm.fake import FakeSlurm

from .conftest import NOW
from .stage import ended, queued

PATIENCE_S = 30.0
MakeRun = Callable[..., Run]


class Moving(SystemClock):
    """The machine's clock, with jumps."""

    def __init__(self) -> None:
        self.jumped = 0.0

    def now(self) -> float:
        return NOW + self.jumped

    def monotonic(self) -> float:
        return super().monotonic() + self.jumped


class Room:
    """A cluster with one GPU pool, and what learns from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        nodes = (Node("gpu1", 16, 64_000, frozenset({"IDLE"}), gres=(Gres("gpu", "a100", 2),)),)
        self.slurm = FakeSlurm(Cluster("c", (22, 5, 8), NOW, nodes, (Partition("gpu", ("gpu1",)),), ()))
        self.clock = Moving()
        self.site = Site()
        self.log = io.StringIO()
        self.learning: Learning | None = None

    def start(self) -> Learning:
        self.learning = Learning(
            self.slurm, self.folder, log=Log("json", self.log, self.clock), clock=self.clock
        )
        return self.learning

    def look(self, after: float = 10.0) -> tuple[RunEstimate, ...]:
        assert self.learning is not None
        self.clock.jumped += after
        plan = plan_cycle(self.slurm.cluster, self.site)
        assert self.learning.follow(plan, self.slurm.cluster, self.site, wait_s=PATIENCE_S)
        return self.learning.known(self.site)

    def logged(self, event: str) -> list[dict[str, object]]:
        return [line for line in map(json.loads, self.log.getvalue().splitlines()) if line["event"] == event]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    if made.learning:
        made.learning.close()
    assert not [t for t in threading.enumerate() if t.name == "hetslurm-learning"]


def of_app(table: tuple[RunEstimate, ...], app: str = "align") -> RunEstimate | None:
    return next((row for row in table if row.app == app), None)


def test_a_run_that_ends_is_in_the_next_table(room: Room) -> None:
    room.start()
    assert room.look() == ()
    room.slurm.put(job := queued(7, submit_at=NOW - 500))
    room.look()
    room.slurm.cluster = replace(room.slurm.cluster, jobs=())
    room.slurm.ended = [ended(job, NOW + 10)]
    row = of_app(room.look())
    assert row is not None
    assert (row.kind, row.type, row.n, row.per_work) == ("gpu", "a100", 1, True)


def test_what_is_stored_is_learnt_at_the_start(room: Room, make_run: MakeRun) -> None:
    store = HistoryStore(room.folder, keep_runs=1000, keep_days=730)
    store.add([make_run(n, ended=NOW - 1000 + n, run_s=300.0) for n in range(600)], now=NOW)
    store.close()
    learning = room.start()
    row = of_app(room.look())
    assert row is not None
    assert row.n == 600
    assert row.mean_s == pytest.approx(300, rel=0.1)
    assert (learning.facts.stored, learning.facts.learnt, learning.facts.ready) == (600, 600, True)
    assert room.logged("history learnt")[0]["runs"] == 600


def test_the_last_runs_are_learnt_first_and_all_of_them_in_the_end(
    room: Room, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_module, "LAST_RUNS", 500)
    monkeypatch.setattr(learning_module, "_SLICE_S", 0.0)
    store = HistoryStore(room.folder, keep_runs=5000, keep_days=730)
    runs = [make_run(n, ended=NOW - 5000 + n, app="old" if n < 1000 else "new") for n in range(1800)]
    store.add(runs, now=NOW)
    store.close()
    learning = room.start()
    table = room.look()
    assert of_app(table, "old") is None
    assert (row := of_app(table, "new")) is not None
    assert row.n == 500
    room.slurm.put(job := queued(7_000))
    room.look()
    room.slurm.cluster = replace(room.slurm.cluster, jobs=())
    room.slurm.ended = [ended(job, NOW + 20)]
    for _ in range(20):
        table = room.look()
    assert learning.facts.ready
    assert [row.n for app in ("old", "new", "align") if (row := of_app(table, app))] == [1000, 800, 1]
    assert room.logged("history learnt")[0]["runs"] == 1801


def test_a_site_that_collects_only_gets_no_estimates(room: Room, make_run: MakeRun) -> None:
    room.site = Site(history=HistorySite(use=False))
    store = HistoryStore(room.folder, keep_runs=1000, keep_days=730)
    store.add([make_run(1)], now=NOW)
    store.close()
    learning = room.start()
    assert room.look() == ()
    assert learning.facts.learnt == 1
    assert of_app(learning.known(Site())) is not None


def test_a_site_without_history_keeps_none(room: Room) -> None:
    room.site = Site(history=HistorySite(source="off"))
    learning = room.start()
    assert room.look() == ()
    assert not (room.folder / FILE).exists()
    assert learning_status(learning.facts) is None
    assert list(learning_metrics(learning.facts)) == []


def test_what_an_admin_lets_forget_is_unlearnt(room: Room, make_run: MakeRun) -> None:
    store = HistoryStore(room.folder, keep_runs=1000, keep_days=730)
    store.add([make_run(1), make_run(2, app="", user="bob"), make_run(3, app="other")], now=NOW)
    store.close()
    room.start()
    assert {(row.app, row.user) for row in room.look()} >= {("align", ""), ("other", ""), ("", "bob")}
    forget(room.folder, Which(app="align"), NOW)
    forget(room.folder, Which(user="bob"), NOW)
    assert {row.app for row in room.look(after=TABLE_EVERY_S + 1) if row.app} == {"other"}
    assert not any(row.user == "bob" for row in room.look())


def test_a_slurm_that_does_not_answer_is_said_once_and_tried_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = room.start()
    with monkeypatch.context() as away:

        def refuse(_: FakeSlurm) -> None:
            raise SlurmUnavailable("slurmctld is away")

        away.setattr(FakeSlurm, "ended_lately", refuse)
        room.look()
        room.look(after=1)  # too early to ask again
        room.look(after=40)
        assert learning.facts.error == "slurmctld is away"
        assert learning.facts.errors == 2
        assert len(room.logged("runs not learnt")) == 1
    room.look(after=40)
    assert learning.facts.error == ""
    assert room.logged("history works again")


def test_a_slurmdbd_that_hangs_holds_no_cycle_up(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, asked = threading.Event(), threading.Event()

    def hang(*_: object) -> tuple[()]:
        asked.set()
        hangs.wait(PATIENCE_S)
        return ()

    monkeypatch.setattr(FakeSlurm, "ended_between", hang)
    room.slurm.cluster = replace(room.slurm.cluster, has_database=True)
    learning = room.start()
    plan = plan_cycle(room.slurm.cluster, room.site)
    clock = SystemClock()
    for _ in range(50):
        begun = clock.monotonic()
        learning.follow(plan, room.slurm.cluster, room.site)
        assert clock.monotonic() - begun < 1.0
    assert asked.wait(PATIENCE_S)
    assert learning.known(room.site) == ()
    hangs.set()


def test_a_history_from_a_newer_hetslurm_stops_nothing_and_is_said(room: Room) -> None:
    HistoryStore(room.folder, keep_runs=1000, keep_days=730).close()
    db = sqlite3.connect(room.folder / FILE)
    db.execute(f"PRAGMA user_version={SCHEMA + 1}")
    db.close()
    learning = room.start()
    assert room.look() == room.look() == ()
    assert "newer hetslurm" in learning.facts.error
    assert len(room.logged("runs not learnt")) == 1


def test_a_broken_history_is_begun_anew(room: Room) -> None:
    (room.folder / FILE).write_bytes(b"x" * 5000)
    learning = room.start()
    room.look()
    assert learning.facts.error == ""
    assert room.logged("history could not be read; begun anew")


def test_a_history_that_breaks_while_it_is_used_is_begun_anew(room: Room, make_run: MakeRun) -> None:
    store = HistoryStore(room.folder, keep_runs=10_000, keep_days=730)
    store.add([make_run(n) for n in range(3000)], now=NOW)
    store.close()
    room.start()
    room.look()
    whole = (room.folder / FILE).read_bytes()
    (room.folder / FILE).write_bytes(b"y" * len(whole))
    room.slurm.put(job := queued(7))
    room.look()
    room.slurm.cluster = replace(room.slurm.cluster, jobs=())
    room.slurm.ended = [ended(job, NOW + 50)]
    room.look()
    room.look(after=60)
    assert room.logged("history could not be read; begun anew")
    assert room.learning is not None
    assert (room.learning.facts.error, room.learning.facts.stored) == ("", 1)


def test_status_and_metrics_tell_how_learning_stands(room: Room, make_run: MakeRun) -> None:
    store = HistoryStore(room.folder, keep_runs=1000, keep_days=730)
    store.add([make_run(1)], now=NOW)
    store.close()
    learning = room.start()
    room.look()
    status = learning_status(learning.facts)
    assert status is not None
    assert (status["source"], status["runs"], status["ready"], status["error"]) == ("observed", 1, True, None)
    values = {
        sample.name: sample.value for metric in learning_metrics(learning.facts) for sample in metric.samples
    }
    assert values["hetslurm_history_runs"] == 1
    assert values["hetslurm_history_ready"] == 1
    assert values["hetslurm_history_read_timestamp_seconds"] == pytest.approx(room.clock.now(), abs=60)

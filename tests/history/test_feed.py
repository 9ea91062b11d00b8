"""Every run that ends is found, once: from slurmdbd, or from what slurmctld remembers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hetslurm.controller import run_feed
from hetslurm.controller.run_feed import source_of
from hetslurm.errors import SlurmUnavailable
from hetslurm.runs import Ending

from .conftest import NOW
from .stage import Stage, ended, queued

MakeStage = Callable[[str], Stage]


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[MakeStage]:
    made: list[Stage] = []

    def make(source: str) -> Stage:
        made.append(Stage(tmp_path, source))
        return made[-1]

    yield make
    for stage in made:
        stage.store.close()


both = pytest.mark.parametrize("source", ["observed", "sacct"])


@both
def test_a_job_that_ran_and_ended_is_a_run_with_what_its_author_asked(
    source: str, make_stage: MakeStage
) -> None:
    stage = make_stage(source)
    job = queued(7)
    stage.slurm.put(job)
    assert stage.look() == []
    stage.clock.advance(60)
    stage.ends(job)
    (run,) = stage.look()
    assert (run.job_id, run.app, run.work, run.kind, run.type, run.pool) == (
        7,
        "align",
        50.0,
        "gpu",
        "a100",
        "gpu",
    )
    assert (run.target, run.units, run.declared_s, run.limit_s) == ("gpu:a100:2", 2, 1200.0, 1200.0)
    assert (run.run_s, run.ending, run.user, run.account) == (90.0, Ending.COMPLETED, "ann", "lab")
    assert run.node_names == ("gpu1",)
    assert stage.look() == stage.look(after=600) == []
    assert stage.store.followed() == []


@both
def test_the_speed_is_the_one_that_the_pool_had_when_the_run_began(
    source: str, make_stage: MakeStage
) -> None:
    stage = make_stage(source)
    stage.slurm.put(job := queued(7))
    stage.look()
    stage.speed = 0.9
    stage.restart()
    stage.look()
    stage.ends(job)
    (run,) = stage.look()
    assert run.speed == 0.5


@both
def test_what_ended_while_the_controller_was_away_is_found(source: str, make_stage: MakeStage) -> None:
    stage = make_stage(source)
    stage.slurm.put(seen := queued(7))
    stage.slurm.put(unseen := queued(8, "PENDING"))
    stage.look()
    stage.ends(seen)
    stage.clock.advance(5)
    stage.ends(unseen, node_names=("gpu2",))
    stage.restart()
    assert sorted(run.job_id for run in stage.look()) == [7, 8]
    assert stage.store.followed() == []


@both
def test_a_job_that_began_and_ended_between_two_cycles_is_found(source: str, make_stage: MakeStage) -> None:
    stage = make_stage(source)
    stage.slurm.put(job := queued(7, "PENDING"))
    stage.look()
    stage.ends(job)
    assert [run.job_id for run in stage.look()] == [7]


@both
def test_jobs_without_a_record_or_that_never_ran_are_no_runs(source: str, make_stage: MakeStage) -> None:
    stage = make_stage(source)
    for n, fields in enumerate(({"admin_comment": "an admin's"}, {"node_names": ()}, {"state": "RESIZING"})):
        stage.slurm.put(job := queued(n + 1))
        stage.look()
        stage.ends(job, **fields)
    assert stage.look() == []
    assert stage.store.count == 0


def test_a_requeued_job_s_first_run_ends_when_slurm_submits_it_anew(make_stage: MakeStage) -> None:
    stage = make_stage("observed")
    stage.slurm.put(queued(7))
    stage.look()
    again = queued(7, "PENDING", submit_at=NOW + 25)
    stage.slurm.put(again)
    (first,) = stage.look()
    assert (first.submit_at, first.run_s, first.ending) == (NOW - 30, 45.0, Ending.CANCELLED)
    stage.slurm.put(runs := queued(7, submit_at=NOW + 25))
    stage.look()
    stage.clock.advance(60)
    stage.ends(runs)
    (second,) = stage.look()
    assert (second.submit_at, second.ending) == (NOW + 25, Ending.COMPLETED)
    assert stage.store.count == 2


def test_slurmdbd_tells_how_a_requeued_job_s_first_run_ended(make_stage: MakeStage) -> None:
    stage = make_stage("sacct")
    stage.slurm.put(job := queued(7))
    stage.look()
    stage.ends(job, "NODE_FAIL")
    stage.slurm.put(queued(7, "PENDING", submit_at=stage.clock.now() + 1))
    (run,) = stage.look()
    assert run.ending is Ending.NODE_FAIL


def test_a_job_whose_end_nobody_tells_is_given_up(make_stage: MakeStage) -> None:
    stage = make_stage("observed")
    stage.slurm.put(job := queued(7))
    stage.look()
    stage.gone(job)
    for _ in range(30):
        stage.look()
    assert (stage.store.count, stage.feed.lost, stage.store.followed()) == (0, 1, [])


def test_slurmdbd_that_was_away_brings_what_it_missed_though_it_gets_it_late(make_stage: MakeStage) -> None:
    stage = make_stage("sacct")
    stage.slurm.put(job := queued(7))
    stage.look()
    stage.slurm.database_is_down = True
    late = stage.ends(job)
    stage.slurm.in_database.remove(late)
    with pytest.raises(SlurmUnavailable):
        stage.look(after=60)
    assert stage.look(after=1) == []  # not asked again at once
    stage.slurm.database_is_down = False
    stage.clock.advance(7200)
    stage.slurm.put(other := queued(8, submit_at=stage.clock.now() - 20))
    stage.look()
    stage.ends(other)
    assert [run.job_id for run in stage.look()] == [8]
    stage.slurm.in_database.append(late)
    assert [run.job_id for run in stage.look(after=60)] == [7]


def test_the_past_is_read_in_windows_and_goes_on_where_it_was(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage("sacct")
    monkeypatch.setattr(run_feed, "FEW", 3)
    monkeypatch.setattr(run_feed, "MANY", 6)
    some = random.Random(5)
    for n in range(300):
        at = NOW - some.uniform(0, 40 * 86400)
        stage.slurm.in_database.append(ended(queued(n, submit_at=int(at) - 60.0), at))
    windows: list[tuple[float, float]] = []
    ask = stage.slurm.ended_between

    def asked(since: float, until: float) -> object:
        windows.append((since, until))
        if len(windows) == 20:
            raise SlurmUnavailable("slurmdbd went away")
        return ask(since, until)

    monkeypatch.setattr(type(stage.slurm), "ended_between", lambda _, since, until: asked(since, until))
    with pytest.raises(SlurmUnavailable):
        stage.look()
    half = stage.store.count
    assert 0 < half < 300
    stage.restart()
    stage.look()
    lately = [job for job in stage.slurm.in_database if job.start_at + job.run_s >= NOW - 30 * 86400 + 20]
    assert stage.store.count == len(lately)
    assert windows[20][0] >= windows[19][0] - run_feed.START_OVERLAP_S
    assert max(until - since for since, until in windows) <= run_feed.MOST_WINDOW_S
    stage.look(after=60)
    assert windows[-1][0] >= NOW - 2 * run_feed.OVERLAP_S


def test_both_sources_find_the_same_runs_once_whichever_is_asked(make_stage: MakeStage) -> None:
    stage = make_stage("sacct")
    some = random.Random(3)
    jobs = [queued(n, submit_at=NOW + 5 * n - 60) for n in range(1, 40)]
    running = []
    for job in jobs:
        stage.slurm.put(job)
        stage.look(after=5)
        running.append(job)
        if some.random() < 0.3:
            stage.restart()
        if some.random() < 0.3:
            stage.source = some.choice(["sacct", "observed"])
        if some.random() < 0.7:
            stage.ends(running.pop(), some.choice(["COMPLETED", "FAILED", "TIMEOUT"]))
    for job in running:
        stage.ends(job)
    stage.look(after=60)
    stage.look(after=60)
    assert sorted(run.job_id for run in stage.store.runs()) == [job.job_id for job in jobs]


def test_auto_is_slurmdbd_where_there_is_one() -> None:
    assert source_of("auto", True) == "sacct"
    assert source_of("auto", False) == "observed"
    assert source_of("observed", True) == "observed"

"""A job's path is kept, step by step, and can be asked for."""

from __future__ import annotations

import io
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.clock import FixedClock
from hetslurm.cluster import QueuedJob
from hetslurm.controller.cycle import RecordedJob
from hetslurm.controller.decisions import KEEP_S, JobKey
from hetslurm.controller.event import Event, What
from hetslurm.controller.events import EventLog, events_path, read_events, read_path
from hetslurm.controller.life import FORGOTTEN_S, Lives
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError, SlurmRefused
from hetslurm.runs import Ending, Run
from hetslurm.slurm.protocol import JobDetail
from hetslurm.slurm.record import parse_record

NOW = 1_000_000.0
RECORD = (
    '{"hetslurm":1,"state":"placed","gen":7,"target":"gpu:a100:1","kind":"gpu","type":"a100","pool":"gpu",'
    '"partition":"gpu","score":1.5,"wait_s":9,"run_s":60,"pins":"","het":"target=gpu:a100:1,time=10"}'
)


class Queue:
    """The one call that Lives makes: jobs that slurmctld still knows."""

    def __init__(self) -> None:
        self.known: dict[int, QueuedJob] = {}

    def read_job(self, job_id: int) -> JobDetail:
        if job_id not in self.known:
            raise SlurmRefused(f"squeue: Invalid job id specified: {job_id}")
        return JobDetail(self.known[job_id])


class Stage:
    """A queue, and who watches it."""

    def __init__(self, root: Path) -> None:
        self.clock = FixedClock(NOW)
        self.said = io.StringIO()
        self.root = root
        self.queue = Queue()
        self.open()

    def open(self) -> None:
        log = Log("json", self.said, self.clock)
        self.events = EventLog(self.root, log=log, clock=self.clock)
        self.lives = Lives(self.queue, self.events, log=log, clock=self.clock)  # type: ignore[arg-type]

    def see(self, *jobs: QueuedJob, seconds: float = 1.0) -> None:
        self.clock.advance(seconds)
        self.queue.known.update({job.job_id: job for job in jobs})
        recorded = [RecordedJob(job, record) for job in jobs if (record := parse_record(job.admin_comment))]
        self.lives.follow(recorded, until=self.clock.monotonic() + 10)

    def path(self, job_id: int) -> list[str]:
        return [event.what for event in read_path(self.root, job_id)]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.events.close()


def job(job_id: int = 17, state: str = "PENDING", **fields: object) -> QueuedJob:
    one = QueuedJob(job_id, state, "gpu", "ann", 1, 1, 1, 1, 1, NOW - 5, None, None, admin_comment=RECORD)
    return replace(one, **fields)  # type: ignore[arg-type]


def running(**fields: object) -> QueuedJob:
    return job(state="RUNNING", start_at=NOW + 1, node_names=("g1",), **fields)


def ended(state: str = "COMPLETED", **fields: object) -> QueuedJob:
    return replace(running(**fields), state=state, end_at=NOW + 9)


def test_a_job_s_path_is_told_from_submit_to_end_with_its_times(stage: Stage) -> None:
    stage.see(job())
    stage.see(job())
    stage.see(running())
    stage.queue.known[17] = ended()
    stage.see()
    stage.see()

    path = read_path(stage.root, 17)
    assert [(event.what, event.at) for event in path] == [
        (What.SUBMITTED, NOW - 5),
        (What.PLACED, NOW - 5),
        (What.STARTED, NOW + 1),
        (What.FINISHED, NOW + 9),
    ]
    assert path[1].facts["pool"] == "gpu"
    assert path[2].facts["nodes"] == ["g1"]
    assert path[3].facts["state"] == "COMPLETED"
    assert path[3].facts["run_s"] == 8


def test_a_requeued_job_stays_one_life_though_slurm_submits_it_anew(stage: Stage) -> None:
    stage.see(running())
    stage.see(job(submit_at=NOW + 100, reason="BeginTime"))
    stage.see(replace(running(), submit_at=NOW + 100, start_at=NOW + 130))
    assert stage.path(17) == ["submitted", "placed", "started", "requeued", "started"]
    assert len({event.key for event in read_path(stage.root, 17)}) == 1


def steps_of(states: list[str]) -> list[str]:
    """What a job's path is when cycle after cycle sees these states, and then no job: told by hand."""
    path = ["submitted", "placed"]
    for state in states:
        if state == "RUNNING" and path[-1] != "started":
            path.append("started")
        elif state == "PENDING" and path[-1] == "started":
            path.append("requeued")
    return [*path, *(["started"] if path[-1] != "started" else []), "finished"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.lists(st.sampled_from(["PENDING", "RUNNING", "COMPLETING"]), min_size=1, max_size=6),
        ),
        max_size=4,
    ),
    st.integers(0, 9),
)
def test_each_step_is_told_once_however_jobs_come_and_go(
    lives: list[tuple[int, list[str]]], restart: int
) -> None:
    with tempfile.TemporaryDirectory() as root:
        stage = Stage(Path(root))
        for n in range(11):
            if n == restart:
                stage.events.close()
                stage.open()
            here = {}
            for job_id, (first, states) in enumerate(lives, start=1):
                if first <= n < first + len(states):
                    state = states[n - first]
                    more = {} if state == "PENDING" else {"start_at": NOW + n + 1, "node_names": ("g1",)}
                    here[job_id] = job(job_id, state, **more)
                elif n >= first:
                    over = replace(ended(job_id=job_id), start_at=NOW + 50, end_at=NOW + 60)
                    stage.queue.known[job_id] = over
            stage.see(*here.values())
        paths = [[str(what) for what in stage.path(job_id)] for job_id in range(1, len(lives) + 1)]
        stage.events.close()
    assert paths == [steps_of(states) for _, states in lives]


def test_a_controller_that_starts_again_goes_on_where_the_last_one_stopped(stage: Stage) -> None:
    stage.see(job())
    stage.see(running())
    stage.events.close()
    stage.open()
    stage.see(running())
    stage.queue.known[17] = ended("FAILED")
    stage.see()
    assert stage.path(17) == ["submitted", "placed", "started", "finished"]


def test_a_job_that_leaves_for_the_cloud_and_comes_home_says_so(stage: Stage) -> None:
    spilled = RECORD.replace('"pins"', '"res":5,"pins"')
    stage.see(job())
    stage.see(job(admin_comment=spilled))
    stage.see(job(admin_comment=spilled))
    stage.see(job())
    path = read_path(stage.root, 17)
    assert [event.what for event in path[2:]] == [What.SPILLED, What.CAME_HOME]
    assert path[2].facts["res"] == 5


def test_an_id_that_slurm_gives_away_again_is_another_life(stage: Stage) -> None:
    stage.see(job())
    stage.queue.known[17] = ended()
    stage.see()
    stage.see(job(submit_at=NOW + 5000), seconds=6000)
    assert stage.path(17) == ["submitted", "placed"]


def test_a_job_that_no_cycle_saw_has_its_path_from_the_history(stage: Stage) -> None:
    run = Run(21, NOW - 3, NOW - 2, 1.5, Ending.COMPLETED, "ann", "gpu", pool="gpu", node_names=("g1",))
    stage.lives.take_runs([run])
    stage.see()
    stage.lives.take_runs([run])
    stage.see()
    assert stage.path(21) == ["submitted", "placed", "started", "finished"]


def test_a_job_that_ended_unseen_and_was_forgotten_ends_as_unknown(stage: Stage) -> None:
    stage.see(job())
    del stage.queue.known[17]
    stage.see()
    assert stage.path(17) == ["submitted", "placed"]
    stage.see(seconds=FORGOTTEN_S + 1)
    last = read_path(stage.root, 17)[-1]
    assert (last.what, last.facts["state"]) == (What.FINISHED, "UNKNOWN")


def test_an_array_s_path_has_all_its_tasks(stage: Stage) -> None:
    stage.see(job(17, array_job_id=17, array_task="1-2"))
    stage.see(
        job(17, array_job_id=17, array_task="2"),
        replace(running(), job_id=18, array_job_id=17, array_task="1"),
    )
    moved = Event(JobKey(18, int(NOW - 5)), NOW + 2, What.MOVED, "sooner", "1", {"to": "cpu"})
    stage.events.add([moved])
    assert [(e.what, e.task) for e in read_path(stage.root, 17)] == [
        (What.SUBMITTED, "1-2"),
        (What.PLACED, "1-2"),
        (What.SUBMITTED, "1"),
        (What.PLACED, "1"),
        (What.STARTED, "1"),
        (What.MOVED, "1"),
    ]
    assert stage.path(18) == ["submitted", "placed", "started", "moved"]


def test_events_are_found_by_time_kind_user_and_job(stage: Stage) -> None:
    stage.see(job(17), job(18, user="bob"))

    def ids(since: float = 0.0, until: float = 2e9, **terms: object) -> list[int]:
        return [event.key.job_id for event in read_events(stage.root, since, until, **terms)]  # type: ignore[arg-type]

    assert ids() == [17, 17, 18, 18]
    assert ids(what=[What.PLACED]) == [17, 18]
    assert ids(user="bob") == [18, 18]
    assert ids(job_id=17) == [17, 17]
    assert ids(since=NOW) == []
    assert ids(until=NOW - 10) == []


def test_old_events_go_and_no_more_are_kept_than_fit(tmp_path: Path) -> None:
    clock = FixedClock(NOW)
    events = EventLog(tmp_path, log=Log("json", io.StringIO(), clock), clock=clock, most_rows=3)
    events.add([Event(JobKey(1, 1), NOW, What.SUBMITTED)])
    clock.advance(KEEP_S + 10)
    events.add([Event(JobKey(2, 2), clock.now(), What.SUBMITTED)])
    assert [event.key.job_id for event in events.between(0, 2e9)] == [2]
    clock.advance(4000)
    events.add([Event(JobKey(i, i), clock.now(), What.SUBMITTED) for i in range(3, 9)])
    assert [event.key.job_id for event in events.between(0, 2e9)] == [6, 7, 8]
    events.close()


def test_what_the_disk_refuses_is_stored_later_and_stops_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(stage.events, "_write", full)
        stage.see(job())
        stage.see(running())
    assert stage.said.getvalue().count("events not stored") == 1
    stage.see(running())
    stage.events.add([Event(JobKey(17, int(NOW - 5)), NOW + 3, What.ADVISED)])
    assert stage.path(17) == ["submitted", "placed", "started", "advised"]


def test_readers_need_no_write_permission_and_are_told_what_is_missing(
    stage: Stage, tmp_path: Path, make_reader: Callable[..., list[str]]
) -> None:
    stage.see(job())
    assert make_reader(events_path(stage.root), 17) == ["submitted", "placed"]
    with pytest.raises(HetslurmError, match="has a controller worked here"):
        read_events(tmp_path / "nowhere", 0, 1)


@pytest.fixture
def make_reader() -> Callable[..., list[str]]:
    """Read a path while folder and file allow only reading; root becomes nobody for it."""

    def read(path: Path, job_id: int) -> list[str]:
        path.chmod(0o444)
        for folder in (path.parent, path.parent.parent):
            folder.chmod(0o555)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for above in path.parents:
                    if not os.stat(above).st_mode & 0o001:
                        above.chmod(0o711)
                if os.geteuid() == 0:
                    os.setuid(65534)
                steps = [event.what for event in read_path(path.parent.parent, job_id)]
                os.write(writer, ",".join(steps).encode())
            finally:
                os._exit(0)
        os.close(writer)
        os.waitpid(pid, 0)
        with os.fdopen(reader) as told:
            return told.read().split(",")

    return read

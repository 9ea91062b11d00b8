"""What jobs were told of their wait is followed until it came true, over restarts, moves, cancellations."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.controller.cycle import Known, RecordedJob, plan_cycle
from hetslurm.controller.decisions import JobKey
from hetslurm.controller.habits import Habits
from hetslurm.controller.wait_metrics import wait_metrics
from hetslurm.controller.wait_store import WaitStore
from hetslurm.controller.waits import Waits, wait_status
from hetslurm.daemon.log import Log
from hetslurm.estimates.calibration import Waited
from hetslurm.site import Site
from hetslurm.slurm.record import parse_record

NOW = 1_800_000_000.0


def _job(
    job_id: int = 1, pool: str = "cpu", gen: int = 5, wait_s: float = 100.0, **more: object
) -> QueuedJob:
    record = {"hetslurm": 1, "state": "placed", "gen": gen, "pool": pool, "wait_s": wait_s}
    job = QueuedJob(
        job_id, "PENDING", "cpu", "ann", 1, 1, 0, 60, 10, NOW, None, None, admin_comment=json.dumps(record)
    )
    return replace(job, **more)  # type: ignore[arg-type]


def _started(job: QueuedJob, after_s: float) -> QueuedJob:
    return replace(job, state="RUNNING", start_at=NOW + after_s, node_names=("cpu1",))


class Scene:
    """A follower of waits on a state folder, and cycles as a test wants them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.generation = 5
        self.log = io.StringIO()
        self.open()

    def open(self) -> None:
        self.store = WaitStore(self.root)
        self.waits = Waits(self.store, log=Log("json", self.log, FixedClock()))

    def cycle(self, after_s: float, *jobs: QueuedJob) -> None:
        recorded = [
            RecordedJob(job, record)
            for job in jobs
            if (record := parse_record(job.admin_comment)) is not None
        ]
        cluster = Cluster("c", (22, 5, 8), NOW + after_s, (), (), jobs)
        self.waits.follow(recorded, cluster, self.generation)
        self.generation += 1

    def ended(self) -> list[Waited]:
        return self.store.waits()


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_wait_ends_when_the_job_starts(scene: Scene) -> None:
    scene.cycle(2, _job())
    scene.cycle(4, _job())
    assert scene.ended() == []
    scene.cycle(202, _started(_job(), 200.0))
    scene.cycle(204, _started(_job(), 200.0))
    assert scene.ended() == [Waited("cpu", NOW + 200, 100.0, 100.0, 200.0)]
    assert scene.waits.facts.all.n == 1


def test_a_job_that_started_before_any_cycle_saw_it_wait_counts_once(scene: Scene) -> None:
    for after_s in (2, 4):
        scene.cycle(after_s, _started(_job(wait_s=0.0), 1.0))
    assert scene.ended() == [Waited("cpu", NOW + 1, 0.0, 0.0, 1.0)]


def test_jobs_that_ran_when_the_controller_came_are_no_news(scene: Scene) -> None:
    scene.cycle(5000, _started(_job(), 1.0))
    assert scene.ended() == []


def test_slurm_s_own_first_estimate_is_kept_beside(scene: Scene) -> None:
    scene.cycle(2, _job())
    scene.cycle(4, _job(start_at=NOW + 900))
    scene.cycle(6, _job(start_at=NOW + 300))
    scene.cycle(202, _started(_job(), 200.0))
    assert [one.slurm_s for one in scene.ended()] == [900.0]


def test_a_job_that_is_cancelled_waited_at_least_so_long(scene: Scene) -> None:
    scene.cycle(2, _job())
    scene.cycle(302)
    assert scene.ended() == [Waited("cpu", NOW + 302, 100.0, 100.0, 302.0, cut=True)]


def test_a_job_that_moves_is_told_anew_and_its_old_wait_is_cut(scene: Scene) -> None:
    scene.cycle(2, _job())
    moved = _job(pool="gpu", gen=40, wait_s=50.0)
    scene.cycle(102, moved)
    scene.cycle(162, _started(moved, 160.0))
    assert scene.ended() == [
        Waited("cpu", NOW + 102, 100.0, 100.0, 102.0, cut=True),
        Waited("gpu", NOW + 160, 50.0, 50.0, 58.0),
    ]


def test_a_job_that_came_to_wait_for_something_else_says_nothing(scene: Scene) -> None:
    scene.cycle(2, _job())
    scene.cycle(4, _job(reason="JobHeldUser", priority=0))
    scene.cycle(6, _job())
    scene.cycle(5002, _started(_job(), 5000.0))
    assert scene.ended() == []


def test_promises_outlive_the_controller(scene: Scene) -> None:
    scene.cycle(2, _job())
    scene.store.close()
    scene.open()
    scene.cycle(302, _started(_job(), 300.0))
    assert [one.waited_s for one in scene.ended()] == [300.0]
    scene.store.close()
    scene.open()
    assert scene.waits.facts.all.n == 1


def test_what_is_compared_is_the_estimate_before_the_correction_of_its_own_snapshot(scene: Scene) -> None:
    """Every job is told 100 s times what is in force when it comes, and waits for 300 s."""
    for n in range(250):
        at = 1000.0 * n
        wait_s = 100.0 * scene.waits.factors.get("cpu", 1.0)
        told = replace(_job(n, gen=scene.generation, wait_s=wait_s), submit_at=NOW + at)
        scene.cycle(at + 2, told)
        scene.cycle(at + 302, _started(told, at + 300.0))
    assert {round(one.estimated_s, 6) for one in scene.ended()} == {100.0}
    assert scene.waits.factors["cpu"] == pytest.approx(3.0, rel=0.12)


def test_held_jobs_and_jobs_without_a_wait_promise_nothing(scene: Scene) -> None:
    held = replace(_job(), admin_comment='{"hetslurm":1,"state":"held","gen":5}')
    silent = replace(_job(2), admin_comment='{"hetslurm":1,"state":"placed","gen":5,"pool":"cpu"}')
    scene.cycle(2, held, silent)
    scene.cycle(4, _started(held, 3.0), _started(silent, 3.0))
    assert scene.ended() == []


def test_only_the_last_waits_of_a_pool_are_kept(scene: Scene) -> None:
    waits = [Waited("cpu", NOW + n, 100.0, 100.0, 100.0 + n) for n in range(250)]
    scene.store.change([*waits, Waited("gpu", NOW, 1.0, 1.0, 1.0)], {}, [], NOW)
    kept = scene.ended()
    assert [one.waited_s for one in kept if one.pool == "cpu"] == [100.0 + n for n in range(50, 250)]
    assert sum(one.pool == "gpu" for one in kept) == 1


def test_a_broken_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "waits.sqlite3").write_bytes(b"not a database, and long enough to be looked at" * 100)
    store = WaitStore(tmp_path)
    assert store.set_aside is not None
    assert store.waits() == []
    store.close()


def test_a_disk_that_refuses_is_said_once_and_corrections_go_on(scene: Scene) -> None:
    with sqlite3.connect(scene.root / "waits.sqlite3") as db:
        db.execute("DROP TABLE waited")
        db.execute("DROP TABLE promise")
    scene.cycle(2, _job())
    scene.cycle(202, _started(_job(), 200.0))
    assert scene.waits.facts.all.n == 1
    assert scene.log.getvalue().count("waits are not kept") == 1


def test_status_and_metrics_say_it_by_pool_and_in_all(scene: Scene) -> None:
    scene.cycle(2, _job(start_at=NOW + 400))
    scene.cycle(4, _job(start_at=NOW + 400))
    scene.cycle(202, _started(_job(), 200.0))
    status = wait_status(scene.waits.facts)
    assert status["error"] == pytest.approx(0.693, abs=0.001)
    assert status["slurm_error"] == pytest.approx(0.693, abs=0.001)
    assert status["pools"]["cpu"]["n"] == 1
    assert json.loads(json.dumps(status)) == status
    seen = {
        (sample.name, sample.labels["pool"]): sample.value
        for family in wait_metrics(scene.waits.facts)
        for sample in family.samples
    }
    assert seen["hetslurm_wait_error", ""] == seen["hetslurm_wait_error", "cpu"] == status["error"]
    assert seen["hetslurm_wait_slurm_coverage", "cpu"] == 1.0
    assert seen["hetslurm_wait_correction", "cpu"] == scene.waits.factors["cpu"]


def test_a_correction_reaches_the_snapshot_s_waits_and_the_queue_s_starts(
    small_cluster: Cluster, held_job: Callable[..., QueuedJob]
) -> None:
    del held_job
    busy = [
        replace(_job(n), state="RUNNING", start_at=NOW, end_at=NOW + 600, cpus=16, node_names=(f"cpu{n}",))
        for n in range(1, 5)
    ]
    nodes = tuple(
        replace(node, cpus_allocated=16) if node.name.startswith("cpu") else node
        for node in small_cluster.nodes
    )
    cluster = replace(small_cluster, nodes=nodes, jobs=(*busy, _job(9, cpus=64, nodes=4)))
    plain = plan_cycle(cluster, Site())
    doubled = plan_cycle(cluster, Site(), known=Known(wait_factor={"cpu": 2.0}))
    wait, twice = (next(p for p in plan.pools if p.name == "cpu").wait_s[0] for plan in (plain, doubled))
    assert (plain.starts[9], doubled.starts[9]) == (600.0, 1200.0)
    assert twice == 2 * wait > 0


class Watched:
    """Habits over cycles of a cluster."""

    def __init__(self, root: Path) -> None:
        self.clock = FixedClock(NOW)
        self.habits = Habits(root, log=Log("json", io.StringIO(), self.clock), clock=self.clock)

    def cycle(self, after_s: float, *jobs: QueuedJob) -> None:
        self.habits.follow(Cluster("c", (22, 5, 8), NOW + after_s, (), (), jobs))

    def count(self) -> float:
        return sum(self.habits.usage.everybody)


def test_a_job_that_leaves_the_queue_has_used_its_share(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for n in range(20):
        job = _started(_job(n), 1000.0 * n)
        watched.cycle(1000.0 * n + 10, job)
        watched.cycle(1000.0 * n + 895, job)
        watched.cycle(1000.0 * n + 905)
    run_s = watched.habits.usage.run_s("ann", 3600.0)
    assert run_s == pytest.approx(900.0, rel=0.25)


def test_what_ended_unseen_or_went_back_to_the_queue_says_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.cycle(0, _started(_job(), 0.0))
    watched.cycle(5000)  # nobody looked for longer than a job takes
    assert watched.count() == 0
    watched.cycle(5002, _started(_job(2), 5001.0))
    watched.cycle(5004, _job(2))
    assert watched.count() == 0


def test_habits_outlive_the_controller_and_a_broken_file_is_begun_anew(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.cycle(0, _started(_job(), 0.0))
    watched.cycle(2)
    watched.habits.save()
    assert Watched(tmp_path).count() == 1
    for text in ("{", '{"version": 1, "everybody": [1.0], "users": {}}', '{"version": 9}'):
        (tmp_path / "usage.json").write_text(text)
        assert Watched(tmp_path).count() == 0


def test_a_key_is_a_job_for_good(scene: Scene) -> None:
    """A number that Slurm gives out again is another job."""
    scene.cycle(2, _job())
    again = _job(submit_at=NOW + 10_000, wait_s=70.0)
    scene.cycle(10_002, again)
    assert [(one.cut, one.estimated_s) for one in scene.ended()] == [(True, 100.0)]
    assert scene.store.promises().keys() == {JobKey(1, int(NOW + 10_000))}

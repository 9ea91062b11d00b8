"""The daemon publishes what it reads, outlives Slurm's absences, and keeps a good configuration."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hetslurm.controller.decisions import read_decision
from hetslurm.controller.status import read_status
from hetslurm.errors import HetslurmError
from hetslurm.native.kernel import View
from hetslurm.slurm.fake import FakeSlurm
from hetslurm.snapshot import SnapshotWriter, read_view

Make = Callable[..., Any]
SCRIPT = "target=gpu:a100:1,time=10:00;target=cpu,cpus=16,time=1:00:00"


def view_of(root: Path) -> View:
    return View(read_view(root / "snapshot"))


def test_a_cycle_publishes_the_pools_that_slurm_has(make_bench: Make) -> None:
    bench = make_bench()
    assert bench.cycle()
    view = view_of(bench.root)
    assert sorted(zip(view.kinds, view.types, view.partitions, strict=True)) == [
        ("cpu", "", "cpu"),
        ("fpga", "u250", "fpga"),
        ("gpu", "a100", "gpu"),
    ]
    assert view.cluster == "test"


def test_the_generation_rises_over_a_restart(make_bench: Make) -> None:
    bench = make_bench()
    bench.cycle()
    first = view_of(bench.root).generation
    bench.cycle()
    assert view_of(bench.root).generation == first + 1


def test_the_status_file_tells_how_the_cycle_went(make_bench: Make) -> None:
    bench = make_bench()
    bench.cycle()
    status = read_status(bench.root / "state")
    assert status is not None
    assert (status["generation"], status["pools"], status["nodes"], status["last_error"]) == (1, 3, 7, None)
    assert status["slurm"] == "22.05.8"
    assert status["stopping"]


def test_without_slurm_the_snapshot_stays_as_it_was_and_grows_stale(make_bench: Make) -> None:
    bench = make_bench()
    bench.cycle()
    before = (bench.root / "snapshot").read_bytes()
    bench.slurm.is_down = True
    assert not bench.cycle()
    assert (bench.root / "snapshot").read_bytes() == before
    status = read_status(bench.root / "state")
    assert status is not None
    assert "Unable to contact slurm controller" in status["last_error"]
    bench.slurm.is_down = False
    assert bench.cycle()
    assert view_of(bench.root).generation == 2


def test_a_bug_in_a_cycle_does_not_end_the_daemon(make_bench: Make, small_cluster: Any) -> None:
    class Broken(FakeSlurm):
        def read_cluster(self) -> Any:
            raise KeyError("nonsense")

    bench = make_bench(slurm=Broken(small_cluster))
    assert not bench.cycle()
    assert "KeyError" in bench.logged("cycle failed")[0]["error"]


def test_a_wrong_configuration_keeps_the_old_in_force_and_shows_in_the_status(make_bench: Make) -> None:
    bench = make_bench()
    bench.cycle()
    (bench.root / "hetslurm.toml").write_text("currncy = 3")
    bench.cycle()
    status = read_status(bench.root / "state")
    assert status is not None
    assert 'did you mean "currency"' in status["config_error"]
    assert view_of(bench.root).generation == 2
    assert len(bench.logged("configuration refused, the old stays in force")) == 1


def test_a_change_of_the_configuration_reaches_the_next_snapshot(make_bench: Make) -> None:
    bench = make_bench(toml='currency = "EUR"')
    bench.cycle()
    config = bench.root / "hetslurm.toml"
    config.write_text(config.read_text().replace("EUR", "CHF"))
    bench.cycle()
    assert view_of(bench.root).currency == "CHF"


def test_a_snapshot_that_another_controller_writes_is_a_clear_error(make_bench: Make) -> None:
    bench = make_bench()
    with SnapshotWriter(bench.root / "snapshot"), pytest.raises(HetslurmError, match="another controller"):
        bench.cycle()


def test_the_daemon_stops_within_a_cycle(make_bench: Make) -> None:
    bench = make_bench()
    worker = threading.Thread(target=bench.controller.run)
    worker.start()
    bench.stop.request()
    worker.join(timeout=10)
    assert not worker.is_alive()
    assert bench.logged("stopped")


def test_the_candidates_of_a_placed_job_are_kept_for_explain(make_bench: Make, held_job: Make) -> None:
    job = held_job(1, SCRIPT)
    record = job.admin_comment.replace('"held","gen":0', '"placed","gen":1,"pool":"gpu","partition":"gpu"')
    bench = make_bench(replace(job, admin_comment=record, partition="gpu", priority=7, reason="Priority"))
    bench.cycle()
    noted = read_decision(bench.root / "state", 1)
    assert noted is not None
    assert (noted.by, noted.decided_generation, noted.recomputed_generation) == ("plugin", 1, 1)
    assert noted.explanation["job_id"] == 1
    assert {c["pool"] for c in noted.explanation["candidates"] if c["feasible"]} >= {"gpu"}


def test_a_cycle_over_its_budget_warns(make_bench: Make, small_cluster: Any) -> None:
    class Slow(FakeSlurm):
        def read_cluster(self) -> Any:
            bench.clock.advance(60)
            return FakeSlurm.read_cluster(self)

    bench = make_bench(slurm=Slow(small_cluster))
    bench.cycle()
    assert bench.logged("cycle over budget")[0]["budget_s"] == 2.0


def test_weights_that_cannot_be_kept_hold_up_no_job_and_are_said_once(
    make_bench: Make, held_job: Make
) -> None:
    bench = make_bench(held_job(7, SCRIPT))
    (bench.root / "state").mkdir()
    (bench.root / "state" / "steering.sqlite3").write_text("no database, and long enough to be seen" * 50)
    assert bench.cycle()
    assert bench.cycle()
    assert bench.record(7)["state"] == "placed"
    (said,) = bench.logged("no weight is set")
    assert "steering.sqlite3" in str(said["error"])

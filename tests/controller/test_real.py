"""The controller beside a real slurmctld."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hetslurm.controller.decisions import read_decision
from hetslurm.controller.status import read_status
from hetslurm.native.kernel import View
from hetslurm.sandbox import Sandbox
from hetslurm.snapshot import read_view

HETSLURM = [sys.executable, "-P", "-m", "hetslurm"]
pytestmark = pytest.mark.slurm
JOB = """#!/bin/bash
#HET target=gpu:a100:1 cpus=2 mem=64M time=5:00
#HET target=cpu cpus=1 time=10:00
echo "kind=$HET_KIND partition=$SLURM_JOB_PARTITION cpus=$SLURM_CPUS_ON_NODE"
"""


@pytest.fixture(scope="module")
def slurm(make_session_sandbox: Callable[..., Sandbox]) -> Iterator[Sandbox]:
    """A sandbox of these tests' own: they stop and kill its daemons."""
    sandbox = make_session_sandbox(nodes="cpu=2,gpu:a100=1")
    yield sandbox
    sandbox.down()


@pytest.fixture
def slurm_without_snapshot(slurm: Sandbox) -> Iterator[Sandbox]:
    """Nobody writes the snapshot, and the plugin has no copy of one."""
    slurm.kill_controller(signal.SIGTERM)
    aside = slurm.snapshot_path.with_suffix(".aside")
    slurm.snapshot_path.rename(aside)
    slurm.restart_slurmctld()
    yield slurm
    if not slurm.state.processes["controller"].alive():
        slurm.start_controller()
    aside.unlink()
    slurm.waiting.for_snapshot()


def generation(sandbox: Sandbox) -> int:
    return View(read_view(sandbox.snapshot_path)).generation


def record(sandbox: Sandbox, job_id: int) -> dict[str, object]:
    return dict(json.loads(sandbox.job(job_id)["AdminComment"]))


def test_the_snapshot_is_fresh_and_has_the_nodes_of_slurm(slurm: Sandbox) -> None:
    slurm.waiting.for_snapshot(after=generation(slurm))
    view = View(read_view(slurm.snapshot_path))
    assert time.time() - view.written_at < view.max_age_s
    assert set(zip(view.kinds, view.types, view.partitions, strict=True)) == {
        ("cpu", "", "cpu"),
        ("gpu", "a100", "gpu"),
    }


def test_held_jobs_are_placed_and_run_once_the_controller_is_back(slurm_without_snapshot: Sandbox) -> None:
    slurm = slurm_without_snapshot
    output = Path("/dev/shm") / f"hetslurm-held-{os.getpid()}.out"
    job_id = slurm.submit(JOB, f"--output={output}")
    assert slurm.job(job_id)["Reason"] == "JobHeldUser"
    assert record(slurm, job_id)["state"] == "held"
    slurm.start_controller()
    job = slurm.wait_job(job_id, {"COMPLETED"})
    text = output.read_text()
    output.unlink()
    assert (job["Partition"], record(slurm, job_id)["state"], record(slurm, job_id)["by"]) == (
        "gpu",
        "placed",
        "controller",
    )
    assert "kind=gpu partition=gpu cpus=2" in text


def test_a_held_job_that_names_its_partition_stays_there(slurm_without_snapshot: Sandbox) -> None:
    slurm = slurm_without_snapshot
    job_id = slurm.submit(JOB, "--partition=cpu", "--output=/dev/null")
    slurm.start_controller()
    assert slurm.wait_job(job_id, {"COMPLETED"})["Partition"] == "cpu"


def test_a_job_that_its_author_holds_is_placed_but_not_released(slurm_without_snapshot: Sandbox) -> None:
    slurm = slurm_without_snapshot
    job_id = slurm.submit(JOB, "--hold", "--output=/dev/null")
    slurm.start_controller()
    slurm.waiting.until("placement", lambda: record(slurm, job_id)["state"] == "placed")
    after = slurm.waiting.for_snapshot()
    slurm.waiting.for_snapshot(after=after + 1)
    assert slurm.job(job_id)["Reason"] == "JobHeldUser"
    slurm.run(["scontrol", "release", str(job_id)])
    slurm.wait_job(job_id, {"COMPLETED"})


def test_ten_held_jobs_do_not_all_go_to_the_one_gpu(slurm_without_snapshot: Sandbox) -> None:
    slurm = slurm_without_snapshot
    script = JOB.replace("echo", "sleep 2; echo").replace("time=10:00", "time=6:00")
    jobs = [slurm.submit(script, "--output=/dev/null") for _ in range(10)]
    slurm.start_controller()
    partitions = [slurm.wait_job(job, {"COMPLETED"}, timeout_s=90)["Partition"] for job in jobs]
    assert set(partitions) == {"cpu", "gpu"}


def test_the_controller_outlives_a_restart_of_slurmctld(slurm: Sandbox) -> None:
    pid = slurm.state.processes["controller"].pid
    slurm.restart_slurmctld(signal.SIGKILL)
    slurm.waiting.for_snapshot(after=generation(slurm), patience_s=60)
    assert slurm.state.processes["controller"].alive()
    assert slurm.state.processes["controller"].pid == pid
    # Jobs that ended just before the kill run again in slurmctld's eyes, on 24.11 and 26.05 for minutes.
    slurm.run(["scancel", "--me"])


def test_a_stop_ends_the_controller_in_a_moment_and_leaves_nothing(slurm: Sandbox) -> None:
    process = slurm.state.processes["controller"]
    begun = time.monotonic()
    slurm.kill_controller(signal.SIGTERM)
    # A moment on a machine that is not busy with other tests; after 15 s it would have been killed.
    assert time.monotonic() - begun < 15
    assert not process.alive()
    status = read_status(slurm.layout.controller_state)
    assert status is not None
    assert status["stopping"]
    slurm.start_controller()
    slurm.waiting.for_snapshot(after=status["generation"])


def test_a_second_controller_is_refused_in_one_line(slurm: Sandbox) -> None:
    done = slurm.run([*HETSLURM, "controller", "--once"], check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("hetslurm: another controller (pid ")
    assert len(done.stderr.splitlines()) == 1


def test_a_change_of_the_configuration_reaches_the_plugin_without_a_restart(slurm: Sandbox) -> None:
    config = slurm.layout.config
    text = config.read_text()
    config.write_text('currency = "CHF"\n' + text)
    slurm.waiting.until("the new currency", lambda: View(read_view(slurm.snapshot_path)).currency == "CHF")
    config.write_text("currncy = 3\n" + text)

    def refused() -> bool:
        status = read_status(slurm.layout.controller_state)
        return bool(status and status["config_error"])

    slurm.waiting.until("the refusal", refused)
    assert "did you mean" in slurm.run([*HETSLURM, "pools"]).stdout
    assert View(read_view(slurm.snapshot_path)).currency == "CHF"
    config.write_text(text)
    slurm.waiting.until("the repair", lambda: not refused())


def test_explain_shows_a_job_s_recorded_decision_with_its_candidates(slurm: Sandbox) -> None:
    job_id = slurm.submit(JOB.replace("echo", "sleep 600; echo"), "--output=/dev/null")
    slurm.waiting.until("the note", lambda: read_decision(slurm.layout.controller_state, job_id) is not None)
    slurm.run(["scancel", str(job_id)])
    report = json.loads(slurm.run([*HETSLURM, "explain", str(job_id), "--json"]).stdout)
    assert report["job_id"] == job_id
    assert report["chosen"]["partition"] == slurm.job(job_id)["Partition"]
    assert report["decided_by"] == "plugin"
    assert report["recomputed_from_generation"] >= 1
    assert {c["target"] for c in report["candidates"]} == {"gpu:a100:1", "cpu"}
    text = slurm.run([*HETSLURM, "explain", str(job_id)]).stdout
    assert "recomputed from generation" in text

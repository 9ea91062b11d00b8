"""Without a good snapshot no job is lost: the author's order decides, or the job waits for the controller."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hetslurm.sandbox.client import parse_fields
from hetslurm.slurm.stats import read_stats

pytestmark = pytest.mark.slurm

# By score the gpu wins; by the author's order, the cpu.
HET = "--het=target=cpu,cpus=1,time=30:00;target=gpu:a100:1,cpus=1,time=1:00"
UP = {"idle", "mix", "alloc", "comp"}


@pytest.fixture(scope="module")
def _lab(make_session_sandbox, cluster_of):
    """A sandbox of this module's own, whose snapshot is stale after two seconds."""
    return cluster_of(make_session_sandbox(nodes="cpu=2,gpu:a100=1", cycle_s=0.5, snapshot_max_age_s=2.0))


@pytest.fixture
def lab(_lab) -> Iterator[object]:
    """It, with its controller at work at the start of every test."""
    _lab.sandbox.kill_controller()
    _lab.sandbox.start_controller()
    _lab.await_published()
    yield _lab
    _lab.forget_jobs()


def counted(lab, name: str) -> int:
    return read_stats(lab.sandbox.stats_path).counters[name]


def restart_slurmctld_without(lab, damage) -> None:
    """The state after a boot: the plugin has no copy of an older snapshot."""
    lab.sandbox.kill_controller()
    damage(lab.sandbox.snapshot_path)
    lab.sandbox.restart_slurmctld()
    # A held job is bound once, by the nodes that are there.
    lab.wait_for("all nodes", lambda: set(lab.admin("sinfo", "-h", "-N", "-o", "%t").split()) <= UP)


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def scribble(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def writable_by_all(path: Path) -> None:
    path.chmod(0o666)


def given_away(path: Path) -> None:
    os.chown(path, 5, 5)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def test_fresh_snapshot_scores(lab) -> None:
    def placed():
        verdict = lab.submit(HET)
        return verdict if lab.record(verdict.job_id)["state"] == "placed" else None

    # Where a cycle takes longer than the two seconds that a snapshot is good for, the next one may not.
    assert lab.partition_of(lab.wait_for("a decision on a fresh snapshot", placed)) == "gpu"


def test_stale_snapshot_leaves_the_choice_to_the_authors_order(lab) -> None:
    lab.sandbox.kill_controller()
    before = counted(lab, "ordered")

    def ordered():
        verdict = lab.submit(HET)
        return verdict if counted(lab, "ordered") > before else None

    verdict = lab.wait_for("the snapshot to be stale", ordered)
    assert lab.partition_of(verdict) == "cpu"
    assert lab.record(verdict.job_id)["state"] == "ordered"
    assert "by the order of your targets" in verdict.words


def test_stale_snapshot_still_keeps_jobs_out_of_partitions_that_refuse_them(lab) -> None:
    lab.update_partition("cpu", MaxTime="5")
    try:
        lab.await_published()
        lab.sandbox.kill_controller()
        before = counted(lab, "ordered")

        def ordered():
            verdict = lab.submit(HET)
            return verdict if counted(lab, "ordered") > before else None

        assert lab.partition_of(lab.wait_for("the snapshot to be stale", ordered)) == "gpu"
    finally:
        lab.update_partition("cpu", MaxTime="UNLIMITED")


@pytest.mark.parametrize(
    "damage", [remove, truncate, scribble, writable_by_all, given_away, directory], ids=lambda d: d.__name__
)
def test_job_is_held_without_a_good_snapshot_and_placed_when_the_controller_is_back(lab, damage) -> None:
    restart_slurmctld_without(lab, damage)
    verdict = lab.submit(HET, hold=False)
    plain = lab.submit("-p", "cpu")

    job = lab.sandbox.job(verdict.job_id)
    assert (job["JobState"], job["Priority"]) == ("PENDING", "0")
    assert lab.record(verdict.job_id)["state"] == "held"
    assert "held: it will be placed" in verdict.words
    assert "hetslurm" not in plain.words
    assert lab.record(plain.job_id) == {}

    path = lab.sandbox.snapshot_path
    if path.is_dir():
        path.rmdir()
    lab.sandbox.start_controller()
    assert lab.finished(verdict.job_id)["JobState"] == "COMPLETED"
    assert lab.partition_of(verdict) == "gpu"
    assert lab.record(verdict.job_id)["state"] == "placed"


def test_author_held_job_stays_held_after_the_controller_has_placed_it(lab) -> None:
    restart_slurmctld_without(lab, remove)
    verdict = lab.submit(HET, hold=True)
    lab.sandbox.start_controller()

    lab.wait_for("the job to be placed", lambda: lab.record(verdict.job_id).get("state") == "placed")
    lab.await_published()
    job = lab.sandbox.job(verdict.job_id)
    assert (job["JobState"], job["Priority"], job["Partition"]) == ("PENDING", "0", "gpu")


def test_held_job_runs_with_the_devices_and_environment_of_its_placement(lab) -> None:
    restart_slurmctld_without(lab, remove)
    output = Path(lab.sandbox.root, "held.out")
    verdict = lab.submit(HET, f"--output={output}", script="#!/bin/sh\nenv -0\n", hold=False)
    lab.sandbox.start_controller()

    assert lab.finished(verdict.job_id)["JobState"] == "COMPLETED"
    inside = dict(entry.split("=", 1) for entry in output.read_text().split("\0") if "=" in entry)
    assert (inside["HET_KIND"], inside["HET_TYPE"], inside["SLURM_JOB_PARTITION"]) == ("gpu", "a100", "gpu")
    assert len(inside["CUDA_VISIBLE_DEVICES"].split(",")) == 1


def test_author_limits_on_partitions_hold_for_jobs_that_waited(lab) -> None:
    restart_slurmctld_without(lab, remove)
    verdict = lab.submit(HET, "-p", "cpu", hold=False)
    lab.sandbox.start_controller()

    assert lab.finished(verdict.job_id)["JobState"] == "COMPLETED"
    assert lab.partition_of(verdict) == "cpu"


def test_held_array_is_placed_as_a_whole(lab) -> None:
    restart_slurmctld_without(lab, remove)
    verdict = lab.submit(HET, "--array=1-3", hold=False)
    assert lab.record(verdict.job_id)["state"] == "held"
    lab.sandbox.start_controller()

    def states() -> set[str]:
        tasks = lab.admin("scontrol", "show", "job", "-o", str(verdict.job_id)).splitlines()
        return {f"{parse_fields(task)['JobState']} {parse_fields(task)['Partition']}" for task in tasks}

    lab.wait_for("all tasks to complete", lambda: states() == {"COMPLETED gpu"}, 180)


def test_held_heterogeneous_job_is_placed_component_by_component(lab, tmp_path) -> None:
    tmp_path.chmod(0o777)
    restart_slurmctld_without(lab, remove)
    gpu, cpu = "--het=target=gpu:a100:1,cpus=1,time=2:00", "--het=target=cpu,cpus=2,time=2:00"
    inside = "echo kind=$HET_KIND cpus=$SLURM_CPUS_ON_NODE"
    script = f"#!/bin/sh\nsrun -l --het-group=0,1,2 sh -c '{inside}'\n"
    plain = ("-p", "cpu", "-n1", "--mem=100M")
    verdict = lab.submit(gpu, ":", cpu, ":", *plain, f"--output={tmp_path}/out", script=script, hold=False)
    assert "1: hetslurm: held" in verdict.words
    lab.sandbox.start_controller()

    assert lab.finished(verdict.job_id)["JobState"] == "COMPLETED"
    records = [lab.record(verdict.job_id + n) for n in range(3)]
    assert [(record.get("state"), record.get("kind")) for record in records] == [
        ("placed", "gpu"),
        ("placed", "cpu"),
        (None, None),
    ]
    found = [line.partition(" ")[2] for line in sorted((tmp_path / "out").read_text().splitlines())]
    assert found == ["kind=gpu cpus=1", "kind=cpu cpus=2", "kind= cpus=1"]


@pytest.mark.parametrize("command", ["salloc", "srun"])
def test_interactive_jobs_wait_for_the_controller_too(lab, command: str) -> None:
    restart_slurmctld_without(lab, remove)
    words = ["sh", "-c", "echo kind=$HET_KIND partition=$SLURM_JOB_PARTITION"]
    words = words if command == "srun" else ["srun", *words]
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(lab.sandbox.run, [command, HET, *words], check=False)
        queued = lab.wait_for("the job", lambda: lab.admin("squeue", "-h", "-o", "%i %r").split())
        assert queued[1] == "JobHeldUser"
        lab.sandbox.start_controller()
        done = running.result()

    assert done.returncode == 0, done.stderr
    assert "held: it will be placed" in done.stderr
    assert "kind=gpu partition=gpu" in done.stdout


def test_one_warning_a_minute_however_many_jobs_come(lab) -> None:
    lab.sandbox.kill_controller()
    remove(lab.sandbox.snapshot_path)
    lab.sandbox.restart_slurmctld()
    log = lab.sandbox.layout.log / "slurmctld.log"
    seen = log.stat().st_size
    for _ in range(8):
        assert lab.submit(HET).job_id is not None

    with log.open() as text:
        text.seek(seen)
        warnings = [line for line in text if "no snapshot to place jobs by" in line]
    assert len(warnings) == 1
    assert counted(lab, "warnings") == 1
    assert counted(lab, "held") == 8


def test_site_may_choose_to_reject_instead(lab) -> None:
    settings = lab.sandbox.root / "job_submit_hetslurm.conf"
    before = settings.read_text()
    settings.write_text(f"{before}\nOnAbsent=reject\n")
    try:
        restart_slurmctld_without(lab, remove)
        refused = lab.submit(HET)
        assert refused.job_id is None
        assert "the cluster's state is not known now" in refused.words
        assert lab.submit("-p", "cpu").job_id is not None
    finally:
        settings.write_text(before)
        lab.sandbox.restart_slurmctld()

"""Real slurmctld, real instances: a job with money from its release to the last cent."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

import pytest

from hetslurm.cloudburst.provider.local.faults import read_faults

pytestmark = pytest.mark.slurm


def test_a_job_with_money_gets_its_instance_and_all_of_it_is_gone_and_paid_afterwards(
    cloud, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    job_id = cloud.held(f"echo $HET_KIND $HET_TARGET $HET_POOL $SLURMD_NODENAME > {said}\n")
    reservation = cloud.money(("cloud1",), job_id)
    record = json.loads(cloud.slurm.job(job_id)["AdminComment"])
    record |= {"state": "placed", "kind": "cpu", "type": "", "target": "cpu", "pool": "cloud"}
    comment = json.dumps(record, separators=(",", ":"))
    cloud.slurm.run(["scontrol", "update", f"JobId={job_id}", f"AdminComment={comment}"])
    cloud.send(job_id, "cloud1")

    assert cloud.slurm.wait_job(job_id, timeout_s=120)["JobState"] == "COMPLETED"
    assert len(cloud.alive("cloud1")) == 1
    cloud.until_powered_down("cloud1")

    assert said.read_text() == "cpu cpu cloud cloud1\n"
    assert [i.generation for i in cloud.instances("cloud1")] == [1]
    assert cloud.spent_micro(reservation.res_id) > 0


def test_resume_twice_and_at_once_starts_one_instance(cloud) -> None:
    cloud.money(("cloud2",))
    runs = [cloud.program("resume", "cloud2") for _ in range(4)]

    assert [run.wait(60) for run in runs] == [0, 0, 0, 0]
    assert len(cloud.alive("cloud2")) == 1
    assert len(cloud.instances("cloud2")) == 1

    ends = [cloud.program("suspend", "cloud2") for _ in range(4)]
    assert [end.wait(60) for end in ends] == [0, 0, 0, 0]
    cloud.until_powered_down("cloud2")


def test_resume_killed_at_any_moment_and_run_again_starts_one_instance(cloud) -> None:
    cloud.money(("cloud8",))
    for moment_s in (0.3, 0.5, 0.6, 0.7, 0.8, 1.0):
        run = cloud.program("resume", "cloud8")
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(moment_s)
        run.kill()
        run.wait(60)
        assert len(cloud.alive("cloud8")) <= 1

    assert cloud.program("resume", "cloud8").wait(60) == 0
    assert len(cloud.alive("cloud8")) == 1
    assert len(cloud.instances("cloud8")) == 1

    assert cloud.program("suspend", "cloud8").wait(60) == 0
    cloud.until_powered_down("cloud8")


def test_no_capacity_sends_the_job_back_at_once_and_says_so_on_the_node(cloud) -> None:
    faults = cloud.slurm.layout.cloud / "faults.json"
    faults.write_text(json.dumps({"launch": [{"how": "capacity", "node": "cloud3"}]}))
    assert read_faults(faults).launch
    job_id = cloud.held()
    cloud.money(("cloud3",), job_id)
    try:
        cloud.send(job_id, "cloud3")
        cloud.until("a reason", lambda: cloud.reason("cloud3").startswith("hetslurm: capacity: "))
    finally:
        faults.unlink()
    job = cloud.slurm.job(job_id)
    assert job["JobState"] == "PENDING"
    cloud.slurm.run(["scancel", str(job_id)])
    cloud.until_powered_down("cloud3")
    assert cloud.reason("cloud3").startswith("hetslurm: capacity: ")
    assert not cloud.instances("cloud3") or cloud.instances("cloud3")[-1].cost_micro == 0


def test_a_boot_that_never_joins_is_ended_paid_and_its_offering_rests(cloud) -> None:
    faults = cloud.slurm.layout.cloud / "faults.json"
    faults.write_text(json.dumps({"launch": [{"how": "never-joins", "node": "late1"}]}))
    job_id = cloud.held()
    reservation = cloud.money(("late1",), job_id)
    try:
        cloud.send(job_id, "late1")
        cloud.until("a reason", lambda: cloud.reason("late1").startswith("hetslurm: boot: local-"))
    finally:
        faults.unlink()
        cloud.slurm.run(["scancel", str(job_id)])
    assert cloud.reason("late1").endswith("did not join the cluster within 2 s")
    cloud.until_powered_down("late1")
    assert cloud.spent_micro(reservation.res_id) > 0
    assert ("late", "configuration") in [(rest.partition, rest.trouble) for rest in cloud.book.cooled()]

"""No route reaches an instance without money that was set aside: each is tried on a real Slurm."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.slurm

PLAIN = "#!/bin/sh\nsleep 60\n"
TOLD = "jobs get to this partition only through hetslurm"


@pytest.mark.parametrize("user", ["nobody", "root"])
@pytest.mark.parametrize("partition", ["cloud", "cpu,cloud"])
def test_sbatch_that_names_the_partition_is_refused_and_told_what_to_write(cloud, user, partition) -> None:
    done = cloud.slurm.run(["sbatch", "-p", partition, "--wrap", "true"], user=user, check=False)
    assert done.returncode != 0
    assert TOLD in done.stderr
    assert "#HET burst=allow (or burst=only) preemptible=yes" in done.stderr


@pytest.mark.parametrize("user", ["nobody", "root"])
@pytest.mark.parametrize("command", ["srun", "salloc"])
def test_srun_and_salloc_are_refused(cloud, user, command) -> None:
    done = cloud.slurm.run([command, "-p", "cloud", "-w", "cloud4", "true"], user=user, check=False)
    assert done.returncode != 0
    assert TOLD in done.stderr


def test_another_spelling_is_another_partition(cloud) -> None:
    done = cloud.slurm.run(["sbatch", "-p", "CLOUD", "--wrap", "true"], check=False)
    assert done.returncode != 0
    assert "invalid partition" in done.stderr.lower()


def test_the_environment_is_no_way_in(cloud) -> None:
    done = cloud.slurm.run(
        ["sbatch", "--wrap", "true"], user="nobody", check=False, env={"SBATCH_PARTITION": "cloud"}
    )
    assert done.returncode != 0
    assert TOLD in done.stderr


def test_a_user_s_own_job_that_may_only_burst_waits_held_out_of_the_cloud_s_partitions(cloud) -> None:
    for named in ((), ("-p", "cloud"), ("-p", "cloud,cpu")):
        job_id = cloud.held("true\n", *named, user="nobody")
        job = cloud.slurm.job(job_id)
        assert (job["JobState"], job["Partition"], job["Priority"]) == ("PENDING", "cpu", "0")
        assert '"state":"held"' in job["AdminComment"]
        cloud.slurm.run(["scancel", str(job_id)])


def test_a_user_moves_no_job_there(cloud) -> None:
    job_id = cloud.slurm.submit(PLAIN, "-H", "-o", "/dev/null", user="nobody")
    for partition in ("cloud", "cpu,cloud"):
        done = cloud.slurm.run(
            ["scontrol", "update", f"JobId={job_id}", f"Partition={partition}"], user="nobody", check=False
        )
        assert done.returncode != 0
        assert cloud.slurm.job(job_id)["Partition"] == "cpu"
    cloud.slurm.run(["scancel", str(job_id)])


def test_a_node_that_somebody_powers_up_starts_nothing(cloud) -> None:
    cloud.slurm.run(["scontrol", "update", "NodeName=cloud4", "State=POWER_UP"])
    cloud.until("a reason", lambda: cloud.reason("cloud4") != "")
    assert cloud.reason("cloud4") == "hetslurm: refused: no money is set aside for it"
    cloud.until_powered_down("cloud4")
    assert not cloud.instances("cloud4")


def test_a_job_that_root_moves_there_without_money_is_sent_back(cloud) -> None:
    job_id = cloud.slurm.submit(PLAIN, "-H", "-o", "/dev/null")
    cloud.send(job_id, "cloud5")
    cloud.until("a reason", lambda: cloud.reason("cloud5") != "")
    assert cloud.reason("cloud5") == "hetslurm: refused: no money is set aside for it"
    assert cloud.slurm.job(job_id)["JobState"] == "PENDING"
    cloud.slurm.run(["scancel", str(job_id)])
    cloud.until_powered_down("cloud5")
    assert not cloud.instances("cloud5")


def test_another_job_s_money_starts_nothing_for_a_job_without(cloud) -> None:
    job_id = cloud.slurm.submit(PLAIN, "-H", "-o", "/dev/null")
    cloud.money(("cloud6",), job_id + 100_000)
    cloud.send(job_id, "cloud6")
    cloud.until("a reason", lambda: cloud.reason("cloud6") != "")
    assert cloud.reason("cloud6") == (
        f"hetslurm: refused: its money is for job {job_id + 100_000}, not for job {job_id}"
    )
    cloud.slurm.run(["scancel", str(job_id)])
    cloud.until_powered_down("cloud6")
    assert not cloud.instances("cloud6")


def test_nothing_starts_while_nobody_would_end_it(cloud) -> None:
    job_id = cloud.slurm.submit(PLAIN, "-H", "-o", "/dev/null")
    cloud.money(("cloud7",), job_id)
    cloud.book.note("heartbeat", repr(time.time() - 3600))
    cloud.send(job_id, "cloud7")
    cloud.until("a reason", lambda: cloud.reason("cloud7") != "")
    assert cloud.reason("cloud7").startswith(
        "hetslurm: refused: the hetslurm controller does not live (last said so 36"
    )
    cloud.slurm.run(["scancel", str(job_id)])
    cloud.until_powered_down("cloud7")
    assert not cloud.instances("cloud7")

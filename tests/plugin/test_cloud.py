"""Cloud partitions: only hetslurm sends jobs there; what asks for a cloud instance waits for the money."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.cluster import Partition
from hetslurm.slurm.stats import read_stats

PLAIN = "#!/bin/sh\nhostname\n"
HET = "#!/bin/sh\n#HET target=gpu:a100:1 cpus=2 time=10\n#HET target=cpu cpus=2 time=1:00:00\n"
ONLY = f"{HET}#HET burst=only preemptible=yes\n"
ALLOW = f"{HET}#HET burst=allow preemptible=yes\n"
CLOUD = "CloudPartitions=cloud, cloud-gpu\n"
HELD = "hetslurm: held: waits for a cloud instance within the budget"
OPEN = ("min_nodes", "max_nodes", "num_tasks", "cpus_per_task", "pn_min_memory", "time_limit")


@pytest.fixture
def clouded(slurmctld):
    slurmctld.settings = CLOUD
    return slurmctld


@pytest.mark.parametrize("age_s", [0.0, 3600.0, None], ids=["fresh", "stale", "absent"])
def test_a_job_that_may_only_burst_is_held_whatever_is_known_of_the_cluster(clouded, age_s) -> None:
    if age_s is not None:
        clouded.publish(age_s=age_s)

    job = clouded.submit(ONLY)

    assert (job.rc, job.message, job["priority"]) == (0, HELD, "0")
    assert (job.record["state"], job.record["pins"]) == ("held", "")
    assert "burst=only" in job.record["het"]
    assert (job["partition"], job["tres_per_node"]) == ("", "")
    assert all(job[name] == "open" for name in OPEN)


def test_a_site_that_rejects_without_a_snapshot_still_takes_what_waits_for_the_cloud(clouded) -> None:
    clouded.settings += "OnAbsent=reject\n"

    assert clouded.submit(ONLY).message == HELD


def test_the_cloud_partition_that_it_names_is_kept_in_the_record_only(clouded) -> None:
    clouded.publish()

    job = clouded.submit(ONLY, partition="cloud-gpu")

    assert (job.rc, job.message, job["partition"]) == (0, HELD, "")
    assert (job.record["cloud"], job.record["pins"]) == ("cloud-gpu", "")


def test_a_job_that_may_only_burst_is_refused_where_there_is_no_cloud(slurmctld) -> None:
    slurmctld.publish()

    job = slurmctld.submit(ONLY)

    assert job.rc != 0
    assert "this cluster has no cloud partition" in job.message


def test_a_job_that_may_burst_starts_out_on_premises_as_any_other(clouded) -> None:
    clouded.publish()

    assert clouded.submit(ALLOW)["partition"] == "gpu"


@pytest.mark.parametrize("script", [PLAIN, HET, ALLOW, None, f"{HET}#HET burst=never\n"])
@pytest.mark.parametrize("partition", ["cloud", "cpu,cloud-gpu", " cloud", "cloud,cpu"])
def test_a_job_that_names_a_cloud_partition_is_refused_and_told_what_to_write(
    clouded, script, partition
) -> None:
    for known in (False, True):
        if known:
            clouded.publish()
        job = clouded.submit(script, partition=partition, user_id=0)
        assert job.rc != 0
        assert "#HET burst=allow (or burst=only) preemptible=yes" in job.message
        assert (job["partition"], job["priority"], job["admin_comment"]) == (partition, "open", "")


@pytest.mark.parametrize("partition", ["cloudy", "cloud-", "clou", "cpu", "cpu,gpu", "", ","])
def test_a_job_of_another_partition_is_not_touched(clouded, partition) -> None:
    job = clouded.submit(PLAIN, partition=partition)

    assert (job.rc, job.message, job["partition"]) == (0, "", partition)


def test_directives_turned_off_are_no_way_in(clouded) -> None:
    job = clouded.submit(ONLY, partition="cloud", spank="_SLURM_SPANK_OPTION_hetslurm_het=off")

    assert job.rc != 0
    assert "only through hetslurm" in job.message


def test_scoring_sends_not_even_root_to_a_cloud_partition(clouded) -> None:
    cloud = replace(clouded.pools[0], name="cloud", partition="cloud", node_names=("cloud1", "cloud2"))
    clouded.partitions += (Partition("cloud", cloud.node_names, root_only=True),)
    clouded.pools = [cloud]
    clouded.publish()

    job = clouded.submit("#!/bin/sh\n#HET target=cpu cpus=2 time=10\n", user_id=0)

    assert job.rc != 0
    assert "the partition is for root" in job.message


def test_what_is_refused_and_held_for_the_cloud_is_counted(clouded) -> None:
    page = clouded.stats.with_name("stats.copy")

    clouded.submit(ONLY)
    assert read_stats(page).counters["held_for_cloud"] == 1
    clouded.submit(PLAIN, partition="cloud", repeat=3)
    assert read_stats(page).counters["refused_cloud"] == 3

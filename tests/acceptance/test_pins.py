"""What the author named himself restricts the choice, and is never overridden."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.slurm

GPU = "target=gpu:a100:1,cpus=2,mem=100M,time=1:00"
ANY = f"{GPU};target=cpu,cpus=2,mem=200M,time=30:00;target=fpga:1,time=5:00"


@pytest.mark.parametrize("partition", ["cpu", "gpu", "fpga"])
def test_named_partition_is_where_the_job_goes(cluster, partition: str) -> None:
    verdict = cluster.submit(f"--het={ANY}", "-p", partition)

    assert cluster.partition_of(verdict) == partition
    assert cluster.record(verdict.job_id)["kind"] == partition


def test_partition_in_the_script_counts_like_one_on_the_command_line(cluster) -> None:
    script = "#!/bin/sh\n#SBATCH -p fpga\n#HET target=gpu:1 time=1:00\n#HET target=fpga:1 time=5:00\ntrue\n"

    assert cluster.partition_of(cluster.submit(script=script)) == "fpga"


def test_named_partition_without_a_fitting_target_is_refused(cluster) -> None:
    verdict = cluster.submit("--het=target=gpu:a100:1,time=1:00", "-p", "cpu")

    assert verdict.job_id is None
    assert "the author named another partition" in verdict.words


@pytest.mark.parametrize(("gres", "kind"), [("gpu:1", "gpu"), ("fpga:u250:1", "fpga")])
def test_named_gres_decides_the_kind(cluster, gres: str, kind: str) -> None:
    verdict = cluster.submit(f"--het={ANY}", f"--gres={gres}")

    assert cluster.partition_of(verdict) == kind
    assert cluster.sandbox.job(verdict.job_id)["TresPerNode"].replace("/", ":") == f"gres:{gres}"


def test_gres_that_no_target_wants_is_refused(cluster) -> None:
    verdict = cluster.submit("--het=target=cpu,time=1:00", "--gres=gpu:1")

    assert verdict.job_id is None
    assert "the author named another GRES" in verdict.words


def node_of(cluster, partition: str) -> str:
    return cluster.admin("sinfo", "-h", "-N", "-p", partition, "-o", "%N").split()[-1]


@pytest.mark.parametrize("partition", ["cpu", "gpu", "fpga"])
def test_named_node_decides_the_pool(cluster, partition: str) -> None:
    node = node_of(cluster, partition)
    verdict = cluster.submit(f"--het={ANY}", "-w", node)

    assert cluster.partition_of(verdict) == partition
    assert cluster.sandbox.job(verdict.job_id)["ReqNodeList"] == node


@pytest.fixture
def featured(cluster) -> Iterator[None]:
    """The fpga node has the feature "odd", a cpu node has "far"."""
    before = {}
    for partition, feature in (("fpga", "odd"), ("cpu", "far")):
        node = node_of(cluster, partition)
        shown = cluster.admin("scontrol", "show", "node", node)
        before[node] = re.search(r"AvailableFeatures=(\S+)", shown)[1].replace("(null)", "")
        set_features(cluster, node, feature)
    cluster.await_published()
    yield
    for node, features in before.items():
        set_features(cluster, node, features)


def set_features(cluster, node: str, features: str) -> None:
    settings = (f"AvailableFeatures={features}", f"ActiveFeatures={features}")
    cluster.admin("scontrol", "update", f"NodeName={node}", *settings)


FEATURES = [
    ("odd", "fpga"),
    ("far", "cpu"),
    ("odd|far", "fpga"),
    ("[odd|far]", "fpga"),
    ("(far|odd)", "fpga"),
]


@pytest.mark.parametrize(("constraint", "partition"), FEATURES, ids=[row[0] for row in FEATURES])
def test_named_feature_decides_the_pool(cluster, featured, constraint: str, partition: str) -> None:
    verdict = cluster.submit(f"--het={ANY}", "-C", constraint)

    assert cluster.partition_of(verdict) == partition
    assert cluster.sandbox.job(verdict.job_id)["Features"] == constraint


def test_features_that_no_pool_has_together_are_refused(cluster, featured) -> None:
    verdict = cluster.submit(f"--het={ANY}", "-C", "odd&far")

    assert verdict.job_id is None
    assert "its nodes lack the features" in verdict.words


PINNED = [
    (("-c", "1"), {"CPUs/Task": "1", "NumCPUs": "1"}),
    (("--mem=50M",), {"MinMemoryNode": "50M"}),
    (("--mem-per-cpu=50M",), {"MinMemoryCPU": "50M"}),
    (("-t", "17"), {"TimeLimit": "00:17:00"}),
    (("-n", "3", "-c", "1"), {"NumTasks": "3", "CPUs/Task": "1"}),
    (("-N", "2"), {"NumNodes": "2-2"}),
]


@pytest.mark.parametrize(("options", "kept"), PINNED, ids=[" ".join(options) for options, _ in PINNED])
def test_own_option_is_kept_over_what_the_target_says(cluster, options, kept) -> None:
    verdict = cluster.submit("--het=target=cpu,cpus=2,mem=200M,time=30:00", *options)
    job = cluster.sandbox.job(verdict.job_id)

    assert {key: job[key] for key in kept} == kept
    if "-t" not in options:
        assert job["TimeLimit"] == "00:30:00"


def test_open_numbers_are_the_targets(cluster) -> None:
    job = cluster.sandbox.job(cluster.submit("--het=target=cpu,nodes=2,cpus=2,mem=200M,time=30:00").job_id)

    assert job["NumNodes"].split("-")[0] == "2"
    assert (job["NumCPUs"], job["CPUs/Task"], job["MinMemoryNode"]) == ("4", "2", "200M")
    assert job["TimeLimit"] == "00:30:00"


def test_own_hold_stays_a_hold(cluster) -> None:
    verdict = cluster.submit(f"--het={ANY}", "--hold")
    cluster.await_published()

    job = cluster.sandbox.job(verdict.job_id)
    assert (job["JobState"], job["Priority"], job["Reason"]) == ("PENDING", "0", "JobHeldUser")


def test_own_comment_and_name_are_kept(cluster) -> None:
    verdict = cluster.submit(f"--het={ANY}", "--comment=mine", "-J", "mine")
    job = cluster.sandbox.job(verdict.job_id)

    assert (job["Comment"], job["JobName"]) == ("mine", "mine")

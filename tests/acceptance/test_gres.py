"""The GRES that a job asked for is the GRES that it got, seen from inside the job and by Slurm."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.slurm


def gres_in(details: str) -> str:
    """The GRES that `scontrol show job -d` says the job has on its node: "gpu:a100:2", or "".

    Slurm writes gpu:a100:2(IDX:0-1) of devices with files, fpga:u250(CNT:2) of those that it counts.
    """
    found = re.search(r"^\s+Nodes=\S+ .*GRES=(\S*)", details, re.MULTILINE)
    assert found, details
    return re.sub(r"\(CNT:(\d+)\)", r":\1", re.sub(r"\(IDX:.*?\)", "", found[1]))


SHOW = "#!/bin/sh\nenv -0\nprintf 'DETAILS='\nscontrol show job -d $SLURM_JOB_ID\nprintf '\\0'\n"
DEVICES = [
    ("gpu:1", "gpu", "a100", 1),
    ("gpu:2", "gpu", "a100", 2),
    ("gpu:a100:1", "gpu", "a100", 1),
    ("gpu:a100:2", "gpu", "a100", 2),
    ("fpga:1", "fpga", "u250", 1),
    ("fpga:u250:1", "fpga", "u250", 1),
    ("fpga:u250:2", "fpga", "u250", 2),
]


@pytest.mark.parametrize(("target", "kind", "device", "count"), DEVICES, ids=[row[0] for row in DEVICES])
def test_job_gets_the_devices_it_asked_for(cluster, target: str, kind: str, device: str, count: int) -> None:
    inside = cluster.environment_of(f"--het=target={target},cpus=1,time=2:00", script=SHOW)

    assert gres_in(inside["DETAILS"]) == f"{kind}:{device}:{count}"
    assert inside["SLURM_JOB_PARTITION"] == kind
    assert (inside["HET_KIND"], inside["HET_TYPE"], inside["HET_TARGET"]) == (kind, device, target)
    assert inside["HET_POOL"] == cluster.record(int(inside["_job"]))["pool"]
    if kind == "gpu":
        assert len(inside["SLURM_JOB_GPUS"].split(",")) == count
        assert len(inside["CUDA_VISIBLE_DEVICES"].split(",")) == count
    else:
        assert "SLURM_JOB_GPUS" not in inside


def test_cpu_target_gets_no_device(cluster) -> None:
    inside = cluster.environment_of("--het=target=cpu,cpus=2,time=2:00;target=gpu:9", script=SHOW)

    assert gres_in(inside["DETAILS"]) == ""
    assert (inside["HET_KIND"], inside["HET_TYPE"], inside["HET_TARGET"]) == ("cpu", "", "cpu")
    assert "SLURM_JOB_GPUS" not in inside
    assert not inside.get("CUDA_VISIBLE_DEVICES")
    assert inside["SLURM_CPUS_ON_NODE"] == "2"
    assert inside["SLURM_CPUS_PER_TASK"] == "2"


@pytest.mark.parametrize(
    "option", ["--gres=gpu:a100:2", "--gres=gpu:2", "--gpus-per-node=2", "--gpus=a100:2"]
)
def test_authors_own_gres_is_the_one_that_counts(cluster, option: str) -> None:
    inside = cluster.environment_of(
        "--het=target=cpu,time=2:00;target=fpga,time=1:00;target=gpu,time=3:00", "-N1", option, script=SHOW
    )

    assert gres_in(inside["DETAILS"]) == "gpu:a100:2"
    assert inside["HET_KIND"] == "gpu"
    assert len(inside["CUDA_VISIBLE_DEVICES"].split(",")) == 2


def test_more_devices_than_any_node_has_is_refused(cluster) -> None:
    verdict = cluster.submit("--het=target=gpu:a100:64,time=2:00")

    assert verdict.job_id is None
    assert "too few devices" in verdict.words


def test_type_that_is_nowhere_is_refused(cluster) -> None:
    verdict = cluster.submit("--het=target=gpu:h100:1,time=2:00")

    assert verdict.job_id is None
    assert "no pool offers this kind and type" in verdict.words


def test_inner_srun_of_a_placed_job_sees_the_same_devices(cluster) -> None:
    inside = cluster.environment_of(
        "--het=target=gpu:a100:2,cpus=1,time=2:00", script="#!/bin/sh\nexec srun -n1 env -0\n"
    )

    assert len(inside["CUDA_VISIBLE_DEVICES"].split(",")) == 2
    assert inside["HET_KIND"] == "gpu"

"""A held job that is bound to a device gets that device, seen from inside the job."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from hetslurm.cluster import Gres
from hetslurm.sandbox import Sandbox
from hetslurm.slurm import JobUpdate
from hetslurm.slurm.commands import CommandAdapter

pytestmark = pytest.mark.slurm

INSIDE = """#!/bin/sh
echo "partition=$SLURM_JOB_PARTITION nodes=$SLURM_JOB_NUM_NODES"
echo "cpus=$SLURM_CPUS_ON_NODE mem=$SLURM_MEM_PER_NODE"
echo "gpus=$CUDA_VISIBLE_DEVICES"
scontrol show job -d -o $SLURM_JOB_ID
"""


@pytest.fixture(scope="module")
def sandbox(make_session_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_session_sandbox(nodes="cpu=2,gpu:a100:2=2,fpga:u250=1", controller=False)


def _one_node(partition: str, cpus: int, mem_mb: int, *gres: Gres) -> JobUpdate:
    return JobUpdate(partition, gres, 1, 1, cpus, cpus, mem_mb, 4)


@pytest.mark.parametrize("options", [[], ["-c", "2"], ["-N", "1", "-n", "1", "--mem-per-cpu=50"]])
@pytest.mark.parametrize(
    ("update", "tres", "visible"),
    [
        (_one_node("gpu", 3, 500, Gres("gpu", "a100", 1)), "gpu:a100:1", r"gpus=\d\n"),
        (_one_node("gpu", 1, 500, Gres("gpu", "a100", 2)), "gpu:a100:2", r"gpus=\d,\d\n"),
        (_one_node("fpga", 2, 300, Gres("fpga", "u250", 1)), "fpga:u250:1", r"gpus=\n"),
        (_one_node("cpu", 5, 700), "(null)", r"gpus=\n"),
    ],
    ids=["gpu", "two-gpus", "fpga", "cpu"],
)
def test_a_bound_job_has_what_it_was_bound_to(
    sandbox: Sandbox, tmp_path: Path, options: list[str], update: JobUpdate, tres: str, visible: str
) -> None:
    adapter = CommandAdapter(slurm_conf=str(sandbox.layout.slurm_conf))
    out = tmp_path / "out"
    memory = [] if any("mem" in o for o in options) else ["--mem=100"]
    job_id = sandbox.submit(INSIDE, "-H", "-p", "cpu", "-t", "9", *memory, *options, "-o", str(out))
    adapter.update_job(job_id, update)
    adapter.release(job_id)
    sandbox.wait_job(job_id)
    text = out.read_text()
    assert (
        f"partition={update.partition} nodes=1\ncpus={update.cpus_per_node} mem={update.mem_mb_per_node}"
        in text
    )
    assert f"JOB_GRES={tres} " in text
    assert "TimeLimit=00:04:00" in text
    assert re.search(visible, text)


@pytest.mark.parametrize("options", [[], ["-c", "2"]])
def test_every_node_of_a_bound_job_gives_the_same(
    sandbox: Sandbox, tmp_path: Path, options: list[str]
) -> None:
    adapter = CommandAdapter(slurm_conf=str(sandbox.layout.slurm_conf))
    out = tmp_path / "out"
    job_id = sandbox.submit(INSIDE, "-H", "-p", "cpu", "-t", "9", "--mem=100", *options, "-o", str(out))
    adapter.update_job(job_id, JobUpdate("gpu", (Gres("gpu", "a100", 2),), 2, 2, 3, 3, 400, 4))
    adapter.release(job_id)
    sandbox.wait_job(job_id)
    text = out.read_text()
    assert "TRES=cpu=6,mem=800M,node=2" in text
    assert "JOB_GRES=gpu:a100:4 " in text

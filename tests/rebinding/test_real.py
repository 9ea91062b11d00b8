"""On a real Slurm: a job leaves a pool that is away, knows where it landed, and explains itself."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hetslurm.sandbox import Sandbox
from hetslurm.slurm.record import Record, parse_record

pytestmark = pytest.mark.slurm

PATIENCE_S = 90.0
CONFIG = """
[history]
use = false

[rebind]
mode = "on"
min_gain_s = 1
settle_s = 1
"""
SCRIPT = """#!/bin/sh
#HET target=cpu cpus=2 time=1:00
#HET target=gpu:a100:1 cpus=1 mem=500M time=5:00
echo "$HET_KIND $HET_TYPE $HET_TARGET $HET_POOL $SLURM_JOB_PARTITION $SLURM_JOB_GPUS $SLURM_CPUS_ON_NODE"
"""


@pytest.fixture(scope="module")
def sandbox(make_session_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """One cpu node, one node with two GPUs."""
    return make_session_sandbox(nodes="cpu=1,gpu:a100:2=1", config_toml=CONFIG, cycle_s=0.5)


@pytest.fixture
def full(sandbox: Sandbox) -> Iterator[Callable[..., int]]:
    """`full(partition)`: a job that has all of it; gone at the end, and what is left of others with it."""

    def fill(partition: str) -> int:
        job_id = sandbox.submit(
            "#!/bin/sh\nsleep 600\n", "-p", partition, "--exclusive", "-o", "/dev/null", "--time=300"
        )
        sandbox.wait_job(job_id, ["RUNNING"])
        sandbox.waiting.for_snapshot(after=sandbox.waiting.for_snapshot() + 1)
        return job_id

    yield fill
    sandbox.run(["scancel", "--user=root"], check=False)
    sandbox.run(["scontrol", "update", "NodeName=cpu1", "State=UNDRAIN"], check=False)
    _await(lambda: not sandbox.run(["squeue", "-h"]).stdout.strip())


def _await(met: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := met()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return answer


def _record(sandbox: Sandbox, job: int | str) -> Record:
    record = parse_record(sandbox.job(job)["AdminComment"])
    assert record is not None
    return record


def test_a_job_leaves_a_drained_pool_and_runs_right_where_it_lands(
    sandbox: Sandbox, full: Callable[..., int], tmp_path: Path
) -> None:
    both = [full("gpu"), full("cpu")]
    sandbox.run(["scontrol", "update", f"JobId={both[1]}", "TimeLimit=1"])
    sandbox.waiting.for_snapshot(after=sandbox.waiting.for_snapshot() + 1)
    job_id = sandbox.submit(SCRIPT, f"--output={tmp_path}/out")
    assert _record(sandbox, job_id).pool == "cpu"
    sandbox.run(["scancel", str(both[0])])
    sandbox.run(["scontrol", "update", "NodeName=cpu1", "State=DRAIN", "Reason=maintenance"])
    job = sandbox.wait_job(job_id, timeout_s=PATIENCE_S)

    assert (job["JobState"], job["Partition"]) == ("COMPLETED", "gpu")
    record = _record(sandbox, job_id)
    assert (record.kind, record.type, record.pool, record.alt, record.moves) == ("gpu", "a100", "gpu", 1, 1)
    kind, type_, target, pool, partition, gpus, cpus = (tmp_path / "out").read_text().split()
    assert (kind, type_, target, pool, partition) == ("gpu", "a100", "gpu:a100:1", "gpu", "gpu")
    assert (gpus, cpus) == ("0", "1")
    assert "TimeLimit=00:05:00" in sandbox.run(["scontrol", "show", "job", str(job_id)]).stdout
    explain = [sys.executable, "-P", "-m", "hetslurm", "explain", str(job_id)]
    path = _await(lambda: "moved" in (text := sandbox.run([*explain, "--json"]).stdout) and text)
    moved = [step for step in json.loads(path)["path"] if step["what"] == "moved"]
    assert len(moved) == 1
    assert "gpu:a100:1 on gpu: done in" in moved[0]["why"]


def test_an_array_moves_by_task_and_what_stays_is_as_it_was(
    sandbox: Sandbox, full: Callable[..., int], tmp_path: Path
) -> None:
    gpu, cpu = full("gpu"), full("cpu")
    # Longer here than there: a few tasks gain by going.
    script = SCRIPT.replace("cpus=2 time=1:00", "cpus=16 time=10:00")
    sandbox.run(["scontrol", "update", f"JobId={cpu}", "TimeLimit=1"])
    sandbox.waiting.for_snapshot(after=sandbox.waiting.for_snapshot() + 1)
    array = sandbox.submit(script, "--array=1-6", f"--output={tmp_path}/%a")
    assert _record(sandbox, array).pool == "cpu"
    sandbox.run(["scancel", str(gpu)])

    def tasks() -> dict[str, str]:
        rows = sandbox.run(
            ["squeue", "-h", "-r", "-t", "all", "-j", str(array), "-O", "ArrayTaskID:8,Partition:8"]
        )
        return dict(line.split() for line in rows.stdout.splitlines())

    _await(lambda: Counter(tasks().values())["gpu"] >= 2)
    sandbox.run(["scancel", str(cpu)])
    _await(lambda: len(list(tmp_path.iterdir())) == 6 and all(p.read_text() for p in tmp_path.iterdir()))
    for task, partition in tasks().items():
        assert (tmp_path / task).read_text().split()[0] == partition, "it did not know where it ran"
    assert tasks()["1"] == "gpu"

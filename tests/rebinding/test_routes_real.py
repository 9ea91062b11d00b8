"""Every route, on the Slurm that is here: seen from inside the job that took it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from hetslurm.cluster import Gres
from hetslurm.config import load_site
from hetslurm.rebinding.capability import Holding, Moves, read_moves
from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.sandbox.machine import slurm_version
from hetslurm.slurm import JobUpdate
from hetslurm.slurm.binding import differences
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.routes import steps

pytestmark = pytest.mark.slurm

# A job that leaves nothing behind.
QUIET = ("--output=/dev/null", "--chdir=/tmp", "--wrap", "true")

INSIDE = """#!/bin/sh
echo "partition=$SLURM_JOB_PARTITION gpus=${SLURM_JOB_GPUS:-none}"
scontrol show job -d -o $SLURM_JOB_ID | tr ' ' '\\n' | grep ^JOB_GRES
"""
GRES = {"cpu": (), "gpu": (Gres("gpu", "a100", 1),), "fpga": (Gres("fpga", "u250", 1),)}


@pytest.fixture(scope="module")
def sandbox(make_session_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """What lets every release make every move: fillers, and before 24.11 dummies."""
    dummies = tuple(slurm_version()[:2]) < (24, 11)
    nodes = parse_nodes("cpu=1,gpu:a100:2=1,fpga:u250=1")
    return make_session_sandbox(Spec(nodes, controller=False, filler=True, dummies=dummies))


@pytest.fixture(scope="module")
def adapter(sandbox: Sandbox) -> CommandAdapter:
    return CommandAdapter(slurm_conf=str(sandbox.layout.slurm_conf))


@pytest.fixture(scope="module")
def moves(sandbox: Sandbox, adapter: CommandAdapter) -> Moves:
    return read_moves(adapter.read_cluster(), load_site(sandbox.layout.config))


def _move(adapter: CommandAdapter, moves: Moves, job_id: int, partition: str) -> None:
    job = adapter.read_job(job_id).job
    way = moves.way(Holding(job.gres, job.gres_per_job), GRES[partition], partition)
    assert way.is_open, way.why
    for update in steps(JobUpdate(partition), way):
        adapter.update_job(job_id, update)
        assert differences(update, adapter.read_job(job_id).job) == []


def test_a_job_gets_where_it_was_moved_and_has_that_device_alone(
    sandbox: Sandbox, adapter: CommandAdapter, moves: Moves, tmp_path: Path
) -> None:
    tours = [
        *itertools.permutations(GRES, 2),
        ("gpu", "fpga", "cpu"),
        ("fpga", "cpu", "gpu"),
        ("--gpus", "cpu"),
    ]
    jobs = {}
    for number, tour in enumerate(tours):
        out = tmp_path / str(number)
        options = {"cpu": [], "gpu": ["--gres=gpu:a100:1"], "fpga": ["--gres=fpga:u250:1"]}
        first = "gpu" if tour[0] == "--gpus" else tour[0]
        asked = ["--gpus=a100:1"] if tour[0] == "--gpus" else options[first]
        job_id = sandbox.submit(INSIDE, "-H", "-t", "5", "--mem=100", "-p", first, *asked, "-o", str(out))
        for partition in tour[1:]:
            _move(adapter, moves, job_id, partition)
        adapter.release(job_id)
        jobs[job_id] = (tour, out)
    for job_id, (tour, out) in jobs.items():
        assert sandbox.wait_job(job_id)["JobState"] == "COMPLETED", tour
        where, gres = out.read_text().split("\n")[:2]
        gpus = {"0", "1"} if tour[-1] == "gpu" else {"none"}
        assert where in {f"partition={tour[-1]} gpus={one}" for one in gpus}, tour
        # 22.05 goes on asking for none of what it had.
        has = {word for word in gres.removeprefix("JOB_GRES=").split(",") if not word.endswith(":0")}
        expected = {
            "cpu": [set(), {"(null)"}, {"slot:1"}],
            "gpu": [{"gpu:a100:1"}],
            "fpga": [{"fpga:u250:1"}],
        }
        assert has in expected[tour[-1]], tour


def test_nobody_gets_a_dummy_by_asking(sandbox: Sandbox, moves: Moves) -> None:
    if moves.version[:2] >= (24, 11):
        done = sandbox.run(["sbatch", "-p", "cpu", "--gres=gpu:a100:1", *QUIET], check=False)
        assert done.returncode  # there is none
        return
    for words in (
        ["-p", "cpu", "--gres=gpu:a100:1"],
        ["--gpus=1"],
        ["-p", "gpu,cpu", "--gpus-per-node=a100:1"],
    ):
        done = sandbox.run(["sbatch", *words, *QUIET], check=False)
        assert done.returncode, words
        assert "only dummies" in done.stderr
    for words in (["-p", "gpu", "--gres=gpu:a100:1"], ["-p", "cpu"], ["-p", "fpga", "--gres=fpga:1"]):
        sandbox.submit("#!/bin/sh\n", *words)

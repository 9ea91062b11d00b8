"""An instance is a real slurmd that joins, runs jobs, and takes its steps and their processes with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hetslurm.cloudburst.provider.local import family
from hetslurm.cloudburst.provider.protocol import SeenState
from hetslurm.sandbox import Sandbox

from .conftest import Here, order, wait_for

pytestmark = pytest.mark.slurm


@pytest.fixture
def cluster(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """One node whose slurmd nobody started yet."""
    return make_sandbox(nodes="cpu=1", plugins=False, start_slurmd=False)


@pytest.fixture
def here(make_here: Callable[..., Here], cluster: Sandbox) -> Here:
    """Instances of that cluster."""
    return make_here(
        start_command=("slurmd", "-D", "-N", "{node}"), slurm_conf=str(cluster.layout.slurm_conf)
    )


def running(cluster: Sandbox, folder: Path) -> Iterator[family.Member]:
    """Start a job whose processes leave their parents, and find every one of them."""
    pids = folder / "pids"
    script = folder / "job.sh"
    script.write_text(
        f"#!/bin/sh\nsetsid sleep 603 &\necho $! >>{pids}\nsleep 602 &\necho $! $$ >>{pids}\nwait\n"
    )
    script.chmod(0o755)
    cluster.run(["sbatch", "-w", "cpu1", "--chdir", str(folder), "-o", "/dev/null", str(script)])
    wait_for("the job runs", lambda: pids.exists() and len(pids.read_text().split()) == 3, patience_s=90)
    for pid in pids.read_text().split():
        one = family.member(int(pid))
        assert one is not None
        yield one


@pytest.mark.parametrize("how", ["told to end", "taken away unseen", "its own process killed"])
def test_a_slurmd_joins_runs_a_job_and_takes_all_of_it_with_it(
    cluster: Sandbox, here: Here, tmp_path: Path, how: str
) -> None:
    launched = here.launch(order("cpu1"))
    wait_for("it joins", lambda: cluster.node("cpu1")["State"] == "IDLE", patience_s=90)
    job = set(running(cluster, tmp_path))
    folder = here.folder(launched.instance_id)
    wait_for("its family is known", lambda: job <= here.family(launched.instance_id))
    everything = job | here.processes(launched.instance_id)
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid, _ in everything}
    assert {"slurmd", "slurmstepd", "sleep"} <= names
    if how == "told to end":
        here.provider.terminate([launched.instance_id])
    elif how == "taken away unseen":
        folder.write("notice.json", {"action": "terminate", "time": 0})
    else:
        os.kill(int(str(folder.read("begun.json")["pid"])), signal.SIGKILL)
    here.wait_for(launched.instance_id, SeenState.ENDED)
    wait_for("all of it ends", lambda: not [one for one in everything if family.alive(one)])

"""Hundreds of moves on a real Slurm under load, slurmctld and controller ended in between: no job is lost.

Three partitions take turns at being the only one that works, so that the whole queue moves again and again,
over every route that this release has; jobs begin all the while, and more are submitted.
`HETSLURM_STORM_MOVES=500 pytest tests/rebinding/test_storm.py` plays a longer one than the suite does.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.sandbox.client import FINAL_STATES, parse_fields
from hetslurm.sandbox.machine import slurm_version
from hetslurm.slurm.rebound import NEVER_RUNS
from hetslurm.slurm.record import parse_record

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

MOVES = int(os.environ.get("HETSLURM_STORM_MOVES", "120"))
JOBS = 60
PATIENCE_S = 240.0
KINDS = ("cpu", "gpu", "fpga")
CONFIG = """
[history]
use = false

[rebind]
mode = "on"
min_gain_s = 1
min_gain = 0.01
settle_s = 0.2
moves_per_minute = 100000
moves_per_job = 1000000
"""


class Storm:
    """A queue whose partitions come and go."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder = sandbox, folder
        self.over = threading.Event()
        self.ids: list[int] = []
        self.never_runs: Counter[str] = Counter()
        self._asked_at = 0.0
        self._calm = folder / "calm"
        self._script = f"""#!/bin/sh
#HET target=cpu cpus=1 time=9:00
#HET target=gpu:a100:1 cpus=1 time=9:00
#HET target=fpga:u250:1 cpus=1 time=9:00
echo "$SLURM_JOB_ID $HET_KIND $SLURM_JOB_PARTITION" >> {folder}/said
[ -e {self._calm} ] || sleep 4
"""

    def submit(self) -> None:
        """One job; slurmctld may be away."""
        command = ["sbatch", "--parsable", "--output=/dev/null", "--chdir=/tmp"]
        done = self.sandbox.run(command, input=self._script, check=False)
        if done.returncode == 0:
            self.ids.append(int(done.stdout.split(";")[0]))

    def open_only(self, kind: str) -> None:
        """One partition takes new jobs, the others do not; slurmctld may be away."""
        for other in KINDS:
            state = ["State=UNDRAIN"] if other == kind else ["State=DRAIN", "Reason=storm"]
            self.sandbox.run(["scontrol", "update", f"NodeName={other}1", *state], check=False)

    def moves(self) -> int:
        """Moves that were seen to be made."""
        path = self.sandbox.layout.controller_state / "audit.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum('"action": "move"' in line and '"result": "moved"' in line for line in lines)

    def load(self) -> None:
        """What users and admins do meanwhile."""
        while not self.over.wait(0.4):
            self.submit()
            text = self.sandbox.run(["squeue", "-h", "-o", "%r"], check=False).stdout
            self.never_runs.update(set(text.split("\n")) & NEVER_RUNS)

    def tide(self) -> None:
        """Until it is over, the queue's way out changes."""
        for kind in itertools.cycle(KINDS):
            self.open_only(kind)
            if self.over.wait(5.0):
                return

    def calm(self) -> None:
        """Everything works again, and what waits is done quickly."""
        self._calm.touch()
        for kind in KINDS:
            self.sandbox.run(["scontrol", "update", f"NodeName={kind}1", "State=UNDRAIN"])

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that slurmctld knows."""
        lines = self.sandbox.run(["scontrol", "show", "job", "-o"]).stdout.splitlines()
        return [parse_fields(line) for line in lines]

    def are_over(self) -> bool:
        """All jobs have ended. Of those that "run" and never began, the nodes are asked.

        A slurmctld that ends between a job's start and its launch loses the launch, moved or not (seen on
        22.05.8). It finds out when the node next registers, and runs the job again; that may be in an hour.
        """
        left = [job for job in self.jobs() if job["JobState"] not in FINAL_STATES]
        began = self.said()
        lost = [job for job in left if job["JobState"] == "RUNNING" and int(job["JobId"]) not in began]
        if lost and time.monotonic() - self._asked_at > 15.0:
            self._asked_at = time.monotonic()
            self.sandbox.run(["scontrol", "reconfigure"])
        return not left

    def what_is_left(self) -> str:
        """Jobs that are not over, and what slurmctld and the nodes say of them."""
        left = [job for job in self.jobs() if job["JobState"] not in FINAL_STATES]
        logs = [path for path in self.sandbox.root.rglob("*.log") if path.name.startswith("slurm")]
        lines = [
            f"{path.name}: {line}"
            for path in logs
            for line in path.read_text(errors="replace").splitlines()
            if any(job["JobId"] in line.replace("=", " ").split() for job in left)
        ]
        return "\n".join([*(json.dumps(job) for job in left), *lines])

    def said(self) -> dict[int, list[list[str]]]:
        """What each job said of itself when it began: (kind, partition)."""
        found: dict[int, list[list[str]]] = {}
        path = self.folder / "said"
        for line in path.read_text().splitlines() if path.exists() else []:
            job_id, *words = line.split()
            found.setdefault(int(job_id), []).append(words)
        return found


@pytest.fixture
def storm(make_sandbox: Callable[..., Sandbox], tmp_path: Path) -> Iterator[Storm]:
    """The cluster; its threads end with the test."""
    version = slurm_version()
    spec = Spec(
        parse_nodes("cpu=1,gpu:a100:2=1,fpga:u250:2=1", cpus=2, mem_mb=8_000),
        config_toml=CONFIG,
        cycle_s=1.5,
        dummies=version < (24, 11),
        filler=(24, 11) <= version < (26, 5),
    )
    made = Storm(make_sandbox(spec), tmp_path)
    threads = [threading.Thread(target=work) for work in (made.load, made.tide)]
    for _ in range(JOBS):
        made.submit()
    for thread in threads:
        thread.start()
    yield made
    made.over.set()
    for thread in threads:
        if thread.is_alive():
            thread.join()


def await_(met: Callable[[], Any], what: Callable[[], object]) -> None:
    """Return when it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < deadline, what()
        time.sleep(0.3)


def test_moves_under_load_and_two_restarts_lose_no_job(storm: Storm) -> None:
    sandbox = storm.sandbox

    def await_moves(share: float) -> None:
        await_(lambda: storm.moves() >= share * MOVES, lambda: f"{storm.moves()} moves")

    await_moves(0.25)
    sandbox.restart_slurmctld()
    await_moves(0.5)
    sandbox.kill_controller()  # in the middle of whatever it does
    sandbox.start_controller()
    await_moves(0.75)
    sandbox.restart_slurmctld()
    await_moves(1.0)
    storm.over.set()
    storm.calm()
    await_(
        storm.are_over,
        storm.what_is_left,
    )
    jobs, said = {int(job["JobId"]): job for job in storm.jobs()}, storm.said()
    assert set(storm.ids) <= jobs.keys(), "a job is lost"
    for job_id, job in jobs.items():
        record = parse_record(job["AdminComment"])
        assert record is not None
        assert job["JobState"] == "COMPLETED", json.dumps(job)
        # It began once, where Slurm and its record say that it ended, and knew.
        assert said[job_id] == [[record.kind, record.partition]], json.dumps(job)
        assert record.partition == job["Partition"]
    assert sum('"moves":' in job["AdminComment"] for job in jobs.values()) > JOBS / 3
    assert not storm.never_runs

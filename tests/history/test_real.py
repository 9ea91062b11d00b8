"""Jobs run on a real Slurm, with slurmdbd and without; the next one is placed by how long they took."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hetslurm.controller.status import read_status
from hetslurm.sandbox import Sandbox
from hetslurm.sandbox.process import end
from hetslurm.slurm import JobUpdate
from hetslurm.slurm.commands import CommandAdapter

HETSLURM = [sys.executable, "-P", "-m", "hetslurm"]
pytestmark = pytest.mark.slurm


def script(app: str, seconds: float = 1.0) -> str:
    return (
        f"#!/bin/sh\n#HET app={app} work=100\n#HET target=gpu:a100:1 cpus=1 mem=64M time=10:00\n"
        f"sleep {seconds}\n"
    )


@pytest.fixture(params=["sacct", "observed"])
def site(request: pytest.FixtureRequest) -> Iterator[tuple[Sandbox, str]]:
    sandbox = request.getfixturevalue("accounting_slurm" if request.param == "sacct" else "slurm")
    yield sandbox, request.param
    if not sandbox.state.processes["controller"].alive():
        sandbox.start_controller()
        sandbox.waiting.for_snapshot()


def history(sandbox: Sandbox, *words: str) -> Any:
    return json.loads(sandbox.run([*HETSLURM, "history", *words]).stdout)


def exported(sandbox: Sandbox, app: str) -> list[dict[str, Any]]:
    done = sandbox.run([*HETSLURM, "history", "export", "--app", app], check=False)
    return [json.loads(line) for line in done.stdout.splitlines()]


def wait_for_runs(sandbox: Sandbox, app: str, count: int) -> list[dict[str, Any]]:
    sandbox.waiting.until(
        f"{count} runs of {app}", lambda: len(exported(sandbox, app)) >= count, patience_s=60
    )
    return exported(sandbox, app)


def run_term(sandbox: Sandbox, path: Path) -> dict[str, Any]:
    """The run time that the next job would be placed by."""
    report = json.loads(sandbox.run([*HETSLURM, "explain", str(path), "--json"]).stdout)
    (candidate,) = [c for c in report["candidates"] if c["terms"]]
    return dict(candidate["terms"]["run_s"])


def test_runs_reach_the_history_and_the_next_job_is_placed_by_them_until_they_are_forgotten(
    site: tuple[Sandbox, str], tmp_path: Path
) -> None:
    sandbox, source = site
    app, other = f"learnt-{source}", f"kept-{source}"
    path = tmp_path / "job.sh"
    path.write_text(script(app))
    nobodys = {"n": 0, "log_sd": None, "class": None}
    assert run_term(sandbox, path) == {"value": 600.0, "source": "declared", **nobodys}
    jobs = [sandbox.submit(path.read_text(), "--output=/dev/null") for _ in range(4)]
    failed = sandbox.submit(script(app).replace("sleep 1.0", "exit 3"), "--output=/dev/null")
    array = sandbox.submit(script(other), "--array=1-2", "--output=/dev/null")
    runs = {run["job_id"]: run for run in wait_for_runs(sandbox, app, 5)}
    assert runs.keys() == {*jobs, failed}
    assert {runs[job]["ending"] for job in jobs} == {"completed"}
    assert (runs[failed]["ending"], runs[failed]["exit_code"]) == ("failed", 3)
    one = runs[jobs[0]]
    assert (one["kind"], one["type"], one["pool"], one["work"], one["declared_s"]) == (
        "gpu",
        "a100",
        "gpu",
        100,
        600,
    )
    assert 1 <= one["run_s"] < 60
    assert len(one["node_names"]) == 1
    assert array in {run["job_id"] for run in wait_for_runs(sandbox, other, 2)}

    (row,) = history(sandbox, "show", "--json", "--app", app)
    assert (row["kind"], row["type"], row["n"], row["failures"]) == ("gpu", "a100", 5, 1)
    sandbox.waiting.until(
        "the estimate", lambda: run_term(sandbox, path)["source"] == "measured", patience_s=60
    )
    learnt = run_term(sandbox, path)
    assert learnt["value"] < 200
    assert (3 <= learnt["n"] <= 4, learnt["class"]) == (True, "app")

    assert history(sandbox, "forget", "--app", app, "--yes", "--json") == {"deleted": 5}
    sandbox.waiting.until(
        "to be unlearnt", lambda: run_term(sandbox, path)["source"] != "measured", patience_s=60
    )
    assert exported(sandbox, app) == []
    assert len(exported(sandbox, other)) == 2


def test_what_ends_while_the_controller_is_killed_and_what_is_requeued_are_runs(
    site: tuple[Sandbox, str],
) -> None:
    sandbox, source = site
    adapter = CommandAdapter(slurm_conf=str(sandbox.layout.slurm_conf))
    app, twice = f"missed-{source}", f"twice-{source}"
    job = sandbox.submit(script(app, 2), "--output=/dev/null")
    again = sandbox.submit(script(twice, 30), "--requeue", "--output=/dev/null")
    for running in (job, again):
        sandbox.wait_job(running, {"RUNNING", "COMPLETED"})
    after = sandbox.waiting.for_snapshot()
    sandbox.waiting.for_snapshot(after=after + 2)
    sandbox.run(["scontrol", "requeue", str(again)])
    sandbox.wait_job(again, {"PENDING"})
    (first,) = wait_for_runs(sandbox, twice, 1)
    assert (first["job_id"], first["ending"]) == (again, "cancelled")
    sandbox.kill_controller()
    sandbox.wait_job(job, {"COMPLETED"})
    adapter.update_job(again, JobUpdate(start_now=True))
    sandbox.wait_job(again, {"RUNNING"})
    sandbox.run(["scancel", str(again)])
    sandbox.start_controller()
    (run,) = wait_for_runs(sandbox, app, 1)
    assert (run["job_id"], run["ending"]) == (job, "completed")
    runs = wait_for_runs(sandbox, twice, 2)
    assert [run["ending"] for run in runs] == ["cancelled", "cancelled"]
    assert runs[0]["submit_at"] < runs[1]["submit_at"]


def test_a_slurmdbd_that_is_away_delays_no_snapshot_and_its_runs_come_later(
    accounting_slurm: Sandbox,
) -> None:
    sandbox = accounting_slurm
    end(sandbox.state.processes["slurmdbd"])
    try:
        job = sandbox.submit(script("late"), "--output=/dev/null")
        sandbox.wait_job(job, {"COMPLETED"})
        sandbox.waiting.until(
            "the trouble", lambda: "Connection refused" in (learning(sandbox)["error"] or "")
        )
        before = sandbox.waiting.for_snapshot()
        sandbox.waiting.for_snapshot(after=before + 2)
        assert exported(sandbox, "late") == []
    finally:
        socket = str(sandbox.layout.mysql_socket)
        sandbox._start("slurmdbd", ["slurmdbd", "-D"], env={"MYSQL_UNIX_PORT": socket})
    (run,) = wait_for_runs(sandbox, "late", 1)
    assert run["job_id"] == job
    sandbox.waiting.until("the trouble's end", lambda: learning(sandbox)["error"] is None)


def learning(sandbox: Sandbox) -> dict[str, Any]:
    status = read_status(sandbox.layout.controller_state)
    return dict(status["history"]) if status else {"error": None}

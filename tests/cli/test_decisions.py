"""`decisions` lists what was decided; `explain` shows one job's whole path."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hetslurm.cli.app import build
from hetslurm.cli.explain_job import has_task
from hetslurm.clock import FixedClock
from hetslurm.cluster import Cluster
from hetslurm.controller.decisions import JobKey
from hetslurm.controller.event import Event, What
from hetslurm.controller.events import EventLog
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError
from hetslurm.slurm.fake import FakeSlurm

NOW = 1_000_000.0
PLACE = {"target": "gpu:a100:1", "pool": "gpu"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Job 17 of ann moved once and ended; 18 is task 1 of array 20 of bob."""
    clock = FixedClock(NOW + 500)
    log = EventLog(tmp_path / "state", log=Log("json", io.StringIO(), clock), clock=clock)
    ann, bob = {"user": "ann"}, {"user": "bob", "array": 20}
    log.add(
        [
            Event(JobKey(17, int(NOW)), NOW, What.SUBMITTED, "", "", ann),
            Event(JobKey(17, int(NOW)), NOW, What.PLACED, "scored best", "", ann | PLACE),
            Event(JobKey(17, int(NOW)), NOW + 60, What.MOVED, "done 5m sooner", "", {"to": "cpu on cpu"}),
            Event(
                JobKey(17, int(NOW)), NOW + 90, What.STARTED, "", "", ann | {"pool": "cpu", "nodes": ["c1"]}
            ),
            Event(JobKey(17, int(NOW)), NOW + 290, What.FINISHED, "completed", "", ann | {"run_s": 200.0}),
            Event(JobKey(20, int(NOW)), NOW + 1, What.SUBMITTED, "", "1-3", bob),
            Event(JobKey(18, int(NOW)), NOW + 2, What.STARTED, "", "1", bob),
            Event(JobKey(19, int(NOW)), NOW + 3, What.STARTED, "", "2", bob),
        ]
    )
    log.close()
    path = tmp_path / "hetslurm.toml"
    path.write_text(f'[controller]\nstate_dir = "{tmp_path}/state"\n[snapshot]\npath = "{tmp_path}/none"\n')
    empty = FakeSlurm(Cluster("c", (22, 5, 8), NOW, (), (), ()))
    monkeypatch.setattr("hetslurm.cli.explain_job.choose_adapter", lambda name: empty)
    return path


def run(*words: str) -> str:
    return CliRunner().invoke(build(), list(words), catch_exceptions=False).output


def test_decisions_are_listed_by_time_job_kind_and_user(config: Path) -> None:
    def ids(*words: str) -> list[tuple[int, str]]:
        listed = json.loads(
            run("decisions", "--since", "1970-01-01", "--config", str(config), "--json", *words)
        )
        return [(row["job_id"], row["what"]) for row in listed]

    assert ids("--what", "moved") == [(17, "moved")]
    assert ids("--user", "bob") == [(20, "submitted"), (18, "started"), (19, "started")]
    assert ids("--job", "17", "--until", "1970-01-12T13:46:40Z") == [(17, "submitted"), (17, "placed")]
    assert ids("--job", "20", "--what", "started") == [(18, "started"), (19, "started")]


def test_an_unknown_step_is_named_with_those_there_are(config: Path) -> None:
    with pytest.raises(HetslurmError, match="'mved' is no step; there are: submitted"):
        run("decisions", "--what", "mved", "--config", str(config))
    with pytest.raises(HetslurmError, match="--since: 'yesterday' is no time"):
        run("decisions", "--since", "yesterday", "--config", str(config))


def test_people_see_who_and_where_even_where_a_step_does_not_say(config: Path) -> None:
    text = run("decisions", "--since", "1970-01-01", "--config", str(config))
    moved = next(line for line in text.splitlines() if "moved" in line)
    assert all(word in moved for word in ("17", "ann", "cpu on cpu", "done 5m sooner"))
    assert "20_1" in text
    assert "nothing" in run("decisions", "--since", "1s", "--config", str(config))


def test_explain_shows_a_job_s_whole_path_with_times_and_reasons(config: Path) -> None:
    report = json.loads(run("explain", "17", "--config", str(config), "--json"))
    assert [step["what"] for step in report["path"]] == [
        "submitted",
        "placed",
        "moved",
        "started",
        "finished",
    ]
    assert report["path"][2]["why"] == "done 5m sooner"
    assert report["path"][2]["at"] == NOW + 60
    text = run("explain", "17", "--config", str(config))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "1970-01-12 13:47:40 +1m moved cpu on cpu: done 5m sooner" in lines
    assert "1970-01-12 13:51:30 +3m finished completed after 3m" in lines


def test_explain_of_a_task_shows_that_task_s_path(config: Path) -> None:
    report = json.loads(run("explain", "20_1", "--config", str(config), "--json"))
    assert [(step["job_id"], step["what"]) for step in report["path"]] == [(20, "submitted"), (18, "started")]
    everything = json.loads(run("explain", "20", "--config", str(config), "--json"))
    assert len(everything["path"]) == 3


@pytest.mark.parametrize(
    ("tasks", "has", "lacks"),
    [("1-3", 2, 4), ("1-9:2,20%3", 9, 8), ("7", 7, 1), ("0-100%5", 0, 101), ("", 0, 1)],
)
def test_a_task_is_found_in_what_slurm_writes(tasks: str, has: int, lacks: int) -> None:
    assert has_task(tasks, has) == bool(tasks)
    assert not has_task(tasks, lacks)

"""What `hetslurm history` shows, writes and deletes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from math import log
from pathlib import Path
from statistics import stdev

import pytest
from typer.testing import CliRunner

from hetslurm.cli.app import build
from hetslurm.history import HistoryStore
from hetslurm.history.export import Format, render
from hetslurm.history.summary import summarize
from hetslurm.runs import Ending, Run

from .conftest import NOW

MakeRun = Callable[..., Run]
runner = CliRunner()


@pytest.fixture
def history(tmp_path: Path, make_run: MakeRun) -> Callable[..., str]:
    """Ten runs of align (one failed), two of bob's without an app; `history(words…)` runs the command."""
    store = HistoryStore(tmp_path, keep_runs=1000, keep_days=3650)
    runs = [make_run(n, ended=NOW - 100 + n, run_s=10.0 * n, work=10.0, limit_s=600.0) for n in range(1, 10)]
    runs.append(make_run(10, ended=NOW - 50, run_s=1.0, ending=Ending.FAILED, user="eve"))
    runs += [
        make_run(20 + n, ended=NOW - 5000, app="", user="bob", kind="cpu", type="", units=8) for n in (0, 1)
    ]
    store.add(runs, now=NOW)
    store.close()
    (tmp_path / "hetslurm.toml").write_text(f'[controller]\nstate_dir = "{tmp_path}"\n')

    def run(*words: str, code: int = 0, typed: str = "") -> str:
        config = ["--config", str(tmp_path / "hetslurm.toml")]
        result = runner.invoke(
            build("history"), ["history", *words, *config], input=typed, catch_exceptions=False
        )
        assert result.exit_code == code, result.output
        return result.output

    return run


def test_a_class_has_its_times_its_spread_and_its_failures(make_run: MakeRun) -> None:
    runs = [make_run(n, run_s=10.0 * n, work=5.0 if n % 2 else 0.0) for n in range(1, 12)]
    runs.append(make_run(50, run_s=9999.0, ending=Ending.TIMEOUT))
    runs.append(make_run(51, run_s=0.0, ending=Ending.CANCELLED, ended=NOW))
    (one,) = summarize(iter(runs))
    assert (one.app, one.user, one.n, one.failures) == ("align", "", 13, 1)
    assert (one.median_s, one.mean_s, one.q90_s) == (60.0, 60.0, 100.0)
    assert one.spread == pytest.approx(100 / 60)
    assert one.completed == 11
    assert one.log_sd == pytest.approx(stdev(log(10.0 * n) for n in range(1, 12)))
    assert one.per_work_s == 12.0
    assert one.endings == {"cancelled": 1, "completed": 11, "timeout": 1}
    assert one.last_at == NOW


def test_a_class_of_which_no_run_completed_has_no_times(make_run: MakeRun) -> None:
    (one,) = summarize([make_run(1, ending=Ending.OUT_OF_MEMORY)])
    assert (one.median_s, one.mean_s, one.spread, one.failures) == (None, None, None, 1)
    assert (one.completed, one.log_sd) == (0, None)


def test_show_has_a_row_an_app_and_a_row_a_user_without_one(history: Callable[..., str]) -> None:
    rows = json.loads(history("show", "--json"))
    assert [(r["app"], r["user"], r["kind"], r["n"], r["failures"]) for r in rows] == [
        ("", "bob", "cpu", 2, 0),
        ("align", "", "gpu", 10, 1),
    ]
    assert rows[1]["median_s"] == 50.0
    text = history("show")
    assert "align" in text
    assert "(user bob)" in text


def test_show_takes_filters(history: Callable[..., str]) -> None:
    assert [r["n"] for r in json.loads(history("show", "--json", "--user", "eve"))] == [1]
    assert [r["n"] for r in json.loads(history("show", "--json", "--app", "align"))] == [10]
    assert "no such run" in history("show", "--app", "nothing")
    assert "is no time" in history("show", "--since", "yesterday-ish", code=2)


def test_exported_lines_are_the_runs(history: Callable[..., str], make_run: MakeRun) -> None:
    rows = [json.loads(line) for line in history("export").splitlines()]
    assert len(rows) == 12
    assert {row["job_id"] for row in rows} == {*range(1, 11), 20, 21}
    assert [row["start_at"] + row["run_s"] for row in rows] == sorted(
        row["start_at"] + row["run_s"] for row in rows
    )
    table = list(csv.DictReader(io.StringIO(history("export", "--format", "csv", "--app", "align"))))
    assert len(table) == 10
    assert (table[0]["app"], table[0]["node_names"], table[0]["energy_j"]) == ("align", "gpu1 gpu2", "")


def test_swf_is_by_submission_with_numbers_for_names(make_run: MakeRun) -> None:
    first = make_run(8, ended=NOW, run_s=500.0, units=4, limit_s=600.0, account="lab")
    second = make_run(9, ended=NOW - 10, user="bob", app="", ending=Ending.CANCELLED)
    lines = [line for line in render([first, second], Format.SWF) if not line.startswith(";")]
    assert lines == [
        "1 0 10 500 4 -1 -1 4 600 -1 1 1 1 1 -1 -1 -1 -1\n",
        "2 440 10 50 1 -1 -1 1 -1 -1 5 2 -1 -1 -1 -1 -1 -1\n",
    ]
    assert all("ann" not in line for line in lines)


def test_forget_asks_first_and_then_deletes(history: Callable[..., str]) -> None:
    assert "Delete 1 runs" in history("forget", "--user", "eve", typed="n\n", code=2)
    assert len(history("export").splitlines()) == 12
    assert "1 runs are deleted" in history("forget", "--user", "eve", typed="y\n")
    assert json.loads(history("forget", "--app", "align", "--yes", "--json")) == {"deleted": 9}
    assert "say which runs" in history("forget", "--yes", code=2)
    assert "leave it out" in history("forget", "--all", "--app", "x", "--yes", code=2)
    history("forget", "--all", "--yes")
    assert history("export") == ""

"""`hetslurm history evaluate`: its JSON is a contract."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hetslurm.cli.app import build
from hetslurm.errors import WorkloadError


def swf(path: Path, jobs: int = 40, extra: str = "") -> Path:
    lines = [
        f"{n} {n * 500} 10 {100 + 10 * (n % 3)} 4 -1 -1 4 3600 -1 1 {n % 2} 1 {n % 2} -1 -1 -1 -1"
        for n in range(jobs)
    ]
    path.write_bytes(gzip.compress(("; Version: 2.2\n" + "\n".join(lines) + "\n" + extra).encode()))
    return path


def test_the_contract(tmp_path: Path) -> None:
    answer = CliRunner().invoke(
        build("history"), ["history", "evaluate", str(swf(tmp_path / "a.swf.gz")), "--json"]
    )
    assert answer.exit_code == 0, answer.output
    report = json.loads(answer.stdout)
    assert report["jobs"] == 40
    for key in ("accuracy_mean", "accuracy_second_half", "coverage_90", "mae_s"):
        assert math.isfinite(report[key])
    assert report["accuracy_second_half"] > 0.85
    assert report["mae_s"] < 1000
    assert report["skipped_lines"] == 0


def test_broken_lines_are_said_and_the_rest_counts(tmp_path: Path) -> None:
    path = swf(tmp_path / "a.swf.gz", extra="what is this\n")
    answer = CliRunner().invoke(build("history"), ["history", "evaluate", str(path), "--json"])
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["skipped_lines"] == 1
    assert f"{path}: skipped line 42: 3 fields where SWF has 18" in answer.stderr


def test_people_get_a_table(tmp_path: Path) -> None:
    path = swf(tmp_path / "a.swf.gz")
    answer = CliRunner().invoke(build("history"), ["history", "evaluate", str(path), "--apps"])
    assert answer.exit_code == 0
    assert "accuracy second half" in answer.stdout


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "readme"
    path.write_text("hello\n")
    answer = CliRunner().invoke(build("history"), ["history", "evaluate", str(path), "--json"])
    assert isinstance(answer.exception, WorkloadError)
    assert "line 1: 1 fields where SWF has 18" in str(answer.exception)


@pytest.mark.parametrize("as_json", [True, False])
def test_the_carry_over_is_scored(tmp_path: Path, as_json: bool) -> None:
    rates = {
        device: {f"app{n}": {"null": (n + 1.0) * speed} for n in range(12)}
        for device, speed in (("k80", 1.0), ("v100", 4.0), ("v100_unconsolidated", 3.0))
    }
    (tmp_path / "t.json").write_text(json.dumps(rates))
    answer = CliRunner().invoke(
        build("history"),
        ["history", "evaluate", str(tmp_path / "t.json"), "--gavel", *(["--json"] if as_json else [])],
    )
    assert answer.exit_code == 0, answer.output
    if as_json:
        report = json.loads(answer.stdout)
        assert (report["cells"], report["with_unconsolidated"]["cells"]) == (24, 36)
        assert report["median_relative_error"] < 0.02
    else:
        assert "accelerators" in answer.stdout

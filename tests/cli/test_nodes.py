"""`hetslurm nodes` shows how nodes are, why, and how old that is."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hetslurm.bus.board import Board
from hetslurm.bus.board_file import BoardFile
from hetslurm.bus.wire import Report, facts_of, probe_report
from hetslurm.cli.app import build
from hetslurm.errors import HetslurmError
from hetslurm.health.judge import judge
from hetslurm.health.memory import Memory
from hetslurm.site import HealthSite
from hetslurm.telemetry import ProbeState, Row, Sample

runner = CliRunner()


@dataclass(frozen=True)
class Arrived:
    received_at: float
    report: Report


def report(node: str, seq: int, now: float, *, ecc: float = 0.0) -> Arrived:
    gpu = Sample(
        "gpu",
        ProbeState.OK,
        (Row({"ecc_uncorrected": ecc, "temperature_c": 41.0}, {"id": f"GPU-{node}", "name": "pretended"}),),
    )
    fpga = Sample("fpga", ProbeState.ABSENT, message="no card")
    probes = [probe_report(one, runs=seq, age_s=0.1, took_s=0.01) for one in (gpu, fpga)]
    return Arrived(now, Report(node, 7, seq, now, 5.0, probes, facts_of([gpu, fpga])))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site whose board knows n1, which is well, and n2, whose GPU just lost memory."""
    now = time.time()
    board, memory = Board(), Memory(now - 60)
    for seq, ecc in enumerate((0.0, 2.0, 2.0, 2.0), start=1):
        at = now - 5 + seq
        board.take([report("n1", seq, at), report("n2", seq, at, ecc=ecc)])
        judgement = judge(board, memory, HealthSite(), at)
    BoardFile(tmp_path / "board").write(board, judgement, {}, now)
    path = tmp_path / "hetslurm.toml"
    path.write_text(f'[snapshot]\npath = "{tmp_path}/snapshot"\n')
    return path


def nodes(config: Path, *words: str) -> str:
    done = runner.invoke(build("nodes"), ["nodes", *words, "--config", str(config)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def node_json(config: Path, *words: str) -> Any:
    return json.loads(nodes(config, *words, "--json"))


def test_the_sick_node_comes_first_with_its_reason(config: Path) -> None:
    text = nodes(config)
    assert text.index("n2") < text.index("n1")
    assert "uncorrect" in text
    assert "(hard)" in text
    assert "2 nodes; the board is" in text


def test_json_has_health_findings_and_ages_of_every_node(config: Path) -> None:
    document = node_json(config)
    assert set(document) == {"written_at", "age_s", "bus_suspected", "nodes"}
    well, sick = document["nodes"]
    assert (well["node"], well["health"], well["findings"]) == (
        "n1",
        {"cpu": 1.0, "gpu": 1.0, "fpga": 1.0},
        [],
    )
    assert sick["health"] == {"cpu": 1.0, "gpu": 0.0, "fpga": 1.0}
    assert [(f["probe"], f["index"], f["hard"]) for f in sick["findings"]] == [("gpu", 0, True)]
    assert 0 <= sick["report_age_s"] < 60
    assert sick["probes"]["gpu"]["state"] == "ok"
    assert (sick["probes"]["fpga"]["state"], sick["probes"]["fpga"]["message"]) == ("absent", "no card")


def test_only_the_sick(config: Path) -> None:
    assert [row["node"] for row in node_json(config, "--sick")["nodes"]] == ["n2"]


def test_one_node_shows_every_metric_and_unknown_is_null_not_0(config: Path) -> None:
    (device,) = node_json(config, "n2")["probes"]["gpu"]["rows"]
    assert device["facts"] == {"id": "GPU-n2", "name": "pretended"}
    assert device["values"]["temperature_c"] == {"value": 41.0, "unit": "°C", "baseline": None}
    assert device["values"]["ecc_uncorrected"]["value"] == 2.0
    assert device["values"]["power_w"]["value"] is None
    text = nodes(config, "n2")
    assert "temperature_c" in text
    assert "unknown: " in text
    assert "power_w" in text.split("unknown: ")[1]


def test_a_node_that_never_reported_is_said_to_be_unknown(config: Path) -> None:
    with pytest.raises(HetslurmError, match="no report of a node 'n3' ever came"):
        nodes(config, "n3")


def test_without_a_board_the_reason_is_said(tmp_path: Path) -> None:
    config = tmp_path / "hetslurm.toml"
    config.write_text(f'[snapshot]\npath = "{tmp_path}/snapshot"\n')
    with pytest.raises(HetslurmError, match="there is no board"):
        nodes(config)

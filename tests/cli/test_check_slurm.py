"""`check slurm.conf` says which moves a site has, and its lines really give it more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hetslurm.cli.app import build
from hetslurm.cluster import Node
from hetslurm.errors import SlurmError
from hetslurm.rebinding.advice import fold_names
from hetslurm.slurm.version import SlurmVersion

CONF = """\
ClusterName=c
JobSubmitPlugins=hetslurm
SelectType=select/cons_tres   # as it should be
GresTypes=gpu,fpga
NodeName=DEFAULT CPUs=16 RealMemory=64000
NodeName=cpu[1-4]{cpu}
NodeName=gpu[1-2] \\
    Gres=gpu:a100:2{gpu}
NodeName=fpga1 Gres=fpga:u250:1{fpga}
PartitionName=cpu Nodes=cpu[1-4] Default=YES
PartitionName=gpu Nodes=gpu[1-2]
PartitionName=fpga Nodes=fpga1
"""
V22, V24, V26 = SlurmVersion(22, 5, 8), SlurmVersion(24, 11, 5), SlurmVersion(26, 5, 5)


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`check(version, toml=…, cpu=…, …)`: the report of a slurm.conf with these GRES added to its nodes."""

    def run(version: SlurmVersion, toml: str = "", as_json: bool = True, **more: str) -> Any:
        words = {name: more.get(name, "") for name in ("cpu", "gpu", "fpga")}
        (tmp_path / "slurm.conf").write_text(CONF.format(**words))
        (tmp_path / "hetslurm.toml").write_text(toml)
        monkeypatch.setattr("hetslurm.slurm.plugin.installed_version", lambda: version)
        arguments = ["check", str(tmp_path / "slurm.conf"), "--config", str(tmp_path / "hetslurm.toml")]
        done = CliRunner().invoke(build(), arguments + ["--json"] * as_json, catch_exceptions=False)
        assert done.exit_code == 0
        return json.loads(done.output)["slurm"][0] if as_json else done.output

    return run


def closed(report: Any) -> set[str]:
    return {f"{move['from']}>{move['to']}" for move in report["moves"] if not move["possible"]}


def test_a_new_release_has_every_move_and_needs_no_lines(check: Any) -> None:
    report = check(V26)
    assert closed(report) == set()
    assert report["lines"] == []
    assert report["warnings"] == []
    assert {"cpu>gpu:a100", "gpu:a100>cpu", "gpu:a100>fpga:u250", "cpu>cpu"} <= {
        f"{move['from']}>{move['to']}" for move in report["moves"]
    }


def test_24_11_needs_a_filler_and_the_lines_for_it_open_what_was_closed(check: Any) -> None:
    report = check(V24)
    assert closed(report) == {"gpu:a100>cpu", "fpga:u250>cpu"}
    lines = [line for part in report["lines"] for line in part["lines"]]
    assert lines == [
        "GresTypes=fpga,gpu,slot",
        "NodeName=cpu[1-4] … Gres=slot:64   # added to its line",
        "NodeName=cpu[1-4] Name=slot Count=64 Flags=CountOnly",
    ]
    assert closed(check(V24, cpu=" Gres=slot:64")) == set()


def test_22_05_needs_dummies_and_the_lines_for_them_open_everything(check: Any) -> None:
    report = check(V22)
    assert closed(report) == {"gpu:a100>cpu", "fpga:u250>cpu", "gpu:a100>fpga:u250", "fpga:u250>gpu:a100"}
    parts = {part["file"]: part["lines"] for part in report["lines"]}
    assert "NodeName=cpu[1-4] … Gres=…,fpga:u250:1,gpu:a100:1   # added to its line" in parts["slurm.conf"]
    assert "NodeName=cpu[1-4] Name=fpga Type=u250 Count=1" in parts["gres.conf"]
    assert parts["job_submit_hetslurm.conf"] == [
        "DummyGres=cpu:fpga:u250,:fpga:u250,cpu:gpu:a100,:gpu:a100,gpu:fpga:u250,fpga:gpu:a100"
    ]
    toml = "\n".join(parts["hetslurm.toml"])
    after = check(
        V22,
        toml=toml,
        cpu=" Gres=fpga:u250:1,gpu:a100:1",
        gpu=",fpga:u250:1",
        fpga=",gpu:a100:1",
    )
    assert closed(after) == set()
    assert any("DummyGres must say so" in warning for warning in after["warnings"])


def test_people_see_the_table_the_reasons_and_the_lines(check: Any) -> None:
    text = check(SlurmVersion(23, 11, 4), as_json=False)
    assert "Slurm 23.11 cannot take its gpu:a100 away" in " ".join(text.split())
    assert "Slurm 23.11 was not measured: it counts as 22.05" in text
    assert "slurm.conf, so that" in text


def test_what_would_fail_in_silence_is_said(check: Any, tmp_path: Path) -> None:
    report = check(V24, cpu=" Gres=slot:4")
    assert any("cpu1 has fewer slot than cpus" in warning for warning in report["warnings"])


def test_what_is_no_slurm_conf_says_so(tmp_path: Path) -> None:
    from hetslurm.slurm.conf_text import read_conf

    empty = tmp_path / "slurm.conf"
    empty.write_text("ClusterName=c\n")
    with pytest.raises(SlurmError, match="no NodeName line"):
        read_conf(empty, V24)
    empty.write_text("Include nowhere.conf\n")
    with pytest.raises(SlurmError, match=r"nowhere\.conf: cannot be read"):
        read_conf(empty, V24)


def test_names_of_nodes_are_folded_as_slurm_writes_them() -> None:
    names = ["n1", "n2", "n3", "n10", "login", "m08", "m09", "x7"]
    nodes = {name: Node(name, 1, 1, frozenset()) for name in names}
    assert fold_names(nodes) == "login,m[08-09],n[1-3,10],x7"


def test_a_file_that_is_not_there_is_not_answered_with_the_running_slurm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hetslurm.slurm.plugin.installed_version", lambda: V24)
    result = CliRunner().invoke(build("check"), ["check", str(tmp_path / "slurm.conf")])
    assert result.exit_code != 0
    assert "cannot be read: No such file" in str(result.exception) + result.output

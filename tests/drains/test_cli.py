"""`hetslurm drains` shows the ledger to people and programs, and lets an admin close the breaker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hetslurm.cli.app import build
from hetslurm.cluster import Cluster, Partition
from hetslurm.errors import HetslurmError
from hetslurm.slurm.fake import FakeSlurm

from .scenes import ECC, Room, health_site, node

runner = CliRunner()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    names = tuple(f"n{i}" for i in range(1, 9))
    cluster = Cluster("c", (22, 5, 8), 0.0, tuple(node(n) for n in names), (Partition("p", names),), ())
    made = Room(FakeSlurm(cluster), tmp_path)
    (tmp_path / "hetslurm.toml").write_text(f'[controller]\nstate_dir = "{tmp_path}"\n')
    yield made
    made.ledger.close()


def _run(room: Room, *words: str) -> str:
    config = ["--config", str(room.state_dir / "hetslurm.toml")]
    result = runner.invoke(build("drains"), ["drains", *words, *config], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_drains_withheld_nodes_and_history_are_shown_as_json(room: Room) -> None:
    room.adapter.drain_node("n2", "an admin's")
    room.fail("n1", "n2")
    room.cycle()
    facts = json.loads(_run(room, "--json"))
    assert facts["mode"] == "on"
    assert not facts["breaker"]["open"]
    (ours,) = facts["drains"]
    assert (ours["node"], ours["state"], ours["findings"]) == ("n1", "drained", ["gpu/0/ecc"])
    assert ours["reason"] == room.adapter.read_node("n1").reason
    assert facts["withheld"] == [{"node": "n2", "why": "drained by slurm: an admin's"}]
    assert [(h["node"], h["state"]) for h in facts["history"]] == [("n1", "drained"), ("n1", "intent")]


def test_people_see_what_dry_run_would_do(room: Room) -> None:
    room.site = health_site(mode="dry-run")
    room.fail("n1")
    room.cycle()
    shown = _run(room)
    assert "mode: dry-run" in shown
    assert "no node is drained by hetslurm" in shown
    assert ECC in shown


def test_an_open_breaker_is_shouted_and_closed_on_an_admin_s_word(room: Room) -> None:
    room.site = health_site(burst_share=0.1)
    room.fail("n1", "n2", "n3", "n4")
    room.cycle()
    assert "BREAKER OPEN" in _run(room)
    _run(room, "close-breaker")
    room.cycle()
    facts = json.loads(_run(room, "--json"))
    assert not facts["breaker"]["open"]
    assert len(facts["drains"]) == 4


def test_where_there_is_no_ledger_it_says_so(tmp_path: Path) -> None:
    config = tmp_path / "hetslurm.toml"
    config.write_text(f'[controller]\nstate_dir = "{tmp_path}"\n')
    with pytest.raises(HetslurmError, match="no ledger of drains"):
        runner.invoke(build("drains"), ["drains", "--config", str(config)], catch_exceptions=False)

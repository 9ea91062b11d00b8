"""`hetslurm sandbox cloud` plays the cloud of a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from typer.testing import CliRunner

from hetslurm.cli.sandbox import app
from hetslurm.cloudburst.provider.local.faults import Faults, LaunchFault, read_faults
from hetslurm.cloudburst.provider.local.provider import LocalProvider
from hetslurm.cloudburst.provider.local.settings import LocalSettings
from hetslurm.errors import SandboxError
from hetslurm.sandbox import CloudGroup, Sandbox, Spec, parse_nodes

from .conftest import order, wait_for

pytestmark = pytest.mark.slurm


def test_the_clouds_troubles_are_told_by_commands(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(
        Spec(
            parse_nodes("cpu=1"),
            plugins=False,
            controller=False,
            start_slurmd=False,
            cloud=(CloudGroup(1),),
        )
    )

    def run(*words: str, fails: bool = False) -> str:
        result = CliRunner().invoke(app, ["cloud", *words, "--dir", str(sandbox.root)])
        assert bool(result.exit_code) is fails, result.output
        return result.output

    def faults() -> Faults:
        return read_faults(sandbox.layout.cloud / "faults.json")

    run("fault", "capacity", "--purchase", "spot", "--times", "2")
    run("price", "spot/a", "0.35")
    run("price", "on-demand", "none")
    run("down", "silent")
    assert faults() == Faults(
        down="silent",
        launch=(LaunchFault("capacity", purchase="spot", times=2),),
        prices={"spot/a": 350_000, "on-demand": None},
    )
    run("heal")
    assert faults() == Faults()
    assert "bad-image" in run("fault", "capacitee", fails=True)
    assert "refuse or silent" in run("down", "softly", fails=True)
    _instances_are_taken(sandbox, run)


def _instances_are_taken(sandbox: Sandbox, run: Callable[..., str]) -> None:
    provider = LocalProvider(LocalSettings(sandbox.layout.cloud, start_command=("sleep", "600")))
    first, second = order("cloud1", 1), order("cloud1", 2)
    provider.launch([first])
    run("notice", "cloud1", "--in", "0")
    wait_for("it is taken away", lambda: _states(provider) == ["ended"])
    provider.launch([second])
    run("lose", "cloud1")
    wait_for("it is lost", lambda: _states(provider) == ["ended"])


def _states(provider: LocalProvider) -> Sequence[str]:
    return [seen.state.value for seen in provider.seen()]


def test_a_sandbox_without_cloud_nodes_says_so(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(nodes="cpu=1", plugins=False, start_slurmd=False)
    result = CliRunner().invoke(app, ["cloud", "heal", "--dir", str(sandbox.root)])
    assert isinstance(result.exception, SandboxError)
    assert "has no cloud nodes" in str(result.exception)

"""Of two nodes that fit, Slurm takes the well one: weights follow health, on real Slurm with real agents."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from socket import socket
from typing import Any

import pytest

from hetslurm.bus.board_view import read_board_file
from hetslurm.gpu import fake as gpu_fake
from hetslurm.sandbox import Sandbox

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

PATIENCE_S = 90.0
SLEEP = """#!/bin/sh
#HET target=gpu:a100:1 cpus=1 time=8
sleep 600
"""


@pytest.fixture(scope="module")
def metrics_port() -> int:
    with socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.fixture(scope="module")
def site(make_session_sandbox: Callable[..., Sandbox], metrics_port: int) -> Sandbox:
    """Two nodes with a GPU each; Slurm takes gpu1 first."""
    return make_session_sandbox(
        nodes="cpu=1,gpu:a100=2",
        agents=True,
        beat_s=1.0,
        cycle_s=0.5,
        config_toml=f"[metrics]\ncontroller_port = {metrics_port}\n",
    )


@pytest.fixture(autouse=True)
def healed(site: Sandbox) -> Iterator[None]:
    """Every test finds both nodes well, idle and with their weight of slurm.conf, and leaves them so."""
    eventually("no weight is raised", lambda: weights(site) == (1, 1))
    yield
    site.run(["scancel", "--partition=gpu"])
    switch(site, on=True)
    for name in ("gpu1", "gpu2"):
        site.heal(name)
        if not site.state.processes[f"agent-{name}"].alive():
            site.start_agent(name)
    if not site.state.processes["controller"].alive():
        site.start_controller()
    eventually("both nodes are idle", lambda: all(state(site, n) == "IDLE" for n in ("gpu1", "gpu2")))


def eventually(what: str, met: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := met()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_S:.0f} s in vain: {what}")
        time.sleep(0.05)
    return answer


def weight(site: Sandbox, name: str) -> int:
    return int(site.node(name)["Weight"])


def weights(site: Sandbox) -> tuple[int, int]:
    return weight(site, "gpu1"), weight(site, "gpu2")


def state(site: Sandbox, name: str) -> str:
    return site.node(name)["State"]


def throttle(site: Sandbox, name: str = "gpu1") -> None:
    gpu_fake.break_fake(site.layout.node(name) / "gpu.json", "throttle")
    eventually("the weight is raised", lambda: weight(site, name) == 1_001)


def run_job(site: Sandbox) -> str:
    """Start a job that goes on; the node on which it runs."""
    job = site.submit(SLEEP, "--output=/dev/null", cwd="/tmp")
    eventually("it runs", lambda: site.job(job)["JobState"] == "RUNNING")
    return site.job(job)["NodeList"]


def switch(site: Sandbox, *, on: bool) -> None:
    """Set `health.steer` in the controller's configuration, which it follows."""
    text = site.layout.config.read_text().replace("steer = false\n", "")
    if not on:
        text = text.replace("\n[health]\n", "\n[health]\nsteer = false\n")
        assert "steer = false" in text
    site.layout.config.write_text(text)


def is_throttled(site: Sandbox, name: str) -> bool:
    """Whether the newest board says so."""
    found = read_board_file(site.layout.board).node(name)
    return found is not None and any(one.rule == "gpu_throttle_thermal" for one in found.findings)


def cycle(site: Sandbox) -> None:
    """Await the controller's next board; weights of the one before have been set by then."""
    before = read_board_file(site.layout.board).written_at
    eventually("a cycle", lambda: read_board_file(site.layout.board).written_at > before)


def set_weights(site: Sandbox) -> list[dict[str, Any]]:
    """What the audit log has of weights."""
    path = site.layout.controller_state / "audit.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["action"] == "set weight"]


def test_without_a_fault_slurm_takes_its_first_node(site: Sandbox) -> None:
    assert run_job(site) == "gpu1"


def test_a_throttled_node_is_taken_last_but_taken_and_comes_first_again_when_it_is_well(
    site: Sandbox, metrics_port: int
) -> None:
    throttle(site)
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as answer:
        assert "hetslurm_nodes_steered 1.0" in answer.read().decode()
    assert run_job(site) == "gpu2"
    assert run_job(site) == "gpu1"
    assert "DRAIN" not in state(site, "gpu1")
    site.run(["scancel", "--partition=gpu"])
    site.heal("gpu1")
    eventually("its own weight is back", lambda: weights(site) == (1, 1))
    eventually("both nodes are idle", lambda: all(state(site, n) == "IDLE" for n in ("gpu1", "gpu2")))
    assert run_job(site) == "gpu1"


def test_a_silent_node_is_behind_a_throttled_one(site: Sandbox) -> None:
    site.kill_agent("gpu1")
    eventually("it is silent", lambda: weight(site, "gpu1") == 1_000_001)
    throttle(site, "gpu2")
    assert run_job(site) == "gpu2"
    site.start_agent("gpu1")
    eventually("it is heard", lambda: weight(site, "gpu1") == 1)


def test_an_admin_s_weight_is_raised_from_there_and_is_what_comes_back(site: Sandbox) -> None:
    throttle(site)
    site.run(["scontrol", "update", "nodename=gpu1", "weight=50"])
    try:
        eventually("raised from there", lambda: weight(site, "gpu1") == 1_050)
        site.heal("gpu1")
        eventually("the admin's weight", lambda: weight(site, "gpu1") == 50)
    finally:
        site.run(["scontrol", "update", "nodename=gpu1", "weight=1"])


@pytest.mark.parametrize("how", ["killed", "reconfigured"])
def test_a_weight_that_slurmctld_dropped_is_set_again(site: Sandbox, how: str) -> None:
    throttle(site)
    before = len(set_weights(site))
    if how == "killed":
        site.restart_slurmctld(signal.SIGKILL)
    else:
        site.run(["scontrol", "reconfigure"])
    again = eventually("it is set again", lambda: set_weights(site)[before:])
    assert again[-1]["before"] == {"gpu1": 1}
    eventually("it is there", lambda: weight(site, "gpu1") == 1_001)


def test_a_controller_that_was_killed_is_followed_by_one_that_gives_the_weight_back(site: Sandbox) -> None:
    throttle(site)
    site.kill_controller(signal.SIGKILL)
    site.heal("gpu1")
    assert weight(site, "gpu1") == 1_001
    site.start_controller()
    eventually("its own weight is back", lambda: weight(site, "gpu1") == 1)


def test_switched_off_it_gives_weights_back_and_changes_none(site: Sandbox) -> None:
    throttle(site)
    switch(site, on=False)
    eventually("its own weight is back", lambda: weight(site, "gpu1") == 1)
    done = len(set_weights(site))
    gpu_fake.break_fake(site.layout.node("gpu2") / "gpu.json", "throttle")
    eventually("it is found", lambda: is_throttled(site, "gpu2"))
    for _ in range(4):
        cycle(site)  # each enough for a weight to be raised
    assert weights(site) == (1, 1)
    assert len(set_weights(site)) == done
    assert run_job(site) == "gpu1"

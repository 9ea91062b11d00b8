"""A node that is slow, sick or silent loses work before it loses a job, on a real Slurm with real agents."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hetslurm.bus.authority import Authority
from hetslurm.bus.board_view import read_board_file
from hetslurm.clock import SystemClock
from hetslurm.errors import BusError
from hetslurm.fpga import fake as fpga_fake
from hetslurm.gpu import fake as gpu_fake
from hetslurm.sandbox import Sandbox

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

NODES = "cpu=1,gpu:a100=2,fpga:u250=1"
BEAT_S = 1.0
PATIENCE_S = 90.0
ALIGN = """#!/bin/sh
#HET target=gpu:a100:1 cpus=1 time=8
#HET target=cpu cpus=1 time=12
true
"""


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def site(make_session_sandbox: Callable[..., Sandbox], metrics_port: int) -> Sandbox:
    """A cluster with an agent for every node."""
    return make_session_sandbox(
        nodes=NODES,
        agents=True,
        beat_s=BEAT_S,
        cycle_s=0.5,
        config_toml=f"[metrics]\ncontroller_port = {metrics_port}\n",
    )


@pytest.fixture(autouse=True)
def healed(site: Sandbox) -> Iterator[None]:
    """Every test finds all nodes well, and leaves them so."""
    yield
    for group in site.state.spec.groups:
        for node in group.node_names():
            site.heal(node)
            if not site.state.processes[f"agent-{node}"].alive():
                site.start_agent(node)
    if not site.state.processes["controller"].alive():
        site.start_controller()
    eventually("all nodes are well again", lambda: all_well(site))


def eventually(what: str, met: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := met()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_S:.0f} s in vain: {what}")
        time.sleep(0.05)
    return answer


def hetslurm(site: Sandbox, *words: str, check: bool = True) -> str:
    return str(site.run([sys.executable, "-P", "-m", "hetslurm", *words], check=check).stdout)


def node(site: Sandbox, name: str) -> dict[str, Any]:
    return dict(json.loads(hetslurm(site, "nodes", name, "--json")))


def pool(site: Sandbox, name: str) -> dict[str, Any]:
    pools = json.loads(hetslurm(site, "pools", "--json"))["pools"]
    return next(dict(found) for found in pools if found["pool"] == name)


def rules(site: Sandbox, name: str) -> set[str]:
    return {finding["rule"] for finding in node(site, name)["findings"] if finding["counts"]}


def known(site: Sandbox, name: str, rule: str) -> bool:
    """Whether the newest board has this finding; as quick as can be."""
    found = read_board_file(site.layout.board).node(name)
    return found is not None and any(finding.rule == rule for finding in found.findings)


def all_well(site: Sandbox) -> bool:
    try:
        board = list(read_board_file(site.layout.board))
    except BusError:
        return False
    well = all(one.heard and not any(finding.counts for finding in one.findings) for one in board)
    return well and not site.run(["sinfo", "-h", "-R"]).stdout.strip() and pool(site, "gpu")["units"] == 2


def state(site: Sandbox, name: str) -> str:
    return site.node(name)["State"]


def reports(site: Sandbox, name: str) -> int:
    """How many reports of a node the newest board has."""
    found = read_board_file(site.layout.board).node(name)
    return 0 if found is None else found.reports


def hear(site: Sandbox, name: str, count: int) -> None:
    """Await so many more reports of a node, each judged, and whatever follows from them."""
    wanted = reports(site, name) + count
    eventually(f"{count} reports of {name}", lambda: reports(site, name) >= wanted)
    judged = read_board_file(site.layout.board).written_at
    eventually("the next cycle", lambda: read_board_file(site.layout.board).written_at > judged)


def counted(port: int, name: str) -> float:
    """A number of the controller's page; 0 where the page does not have it, or is not there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0.0
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def messages(port: int, what: str) -> float:
    """One of the bus's counters."""
    return counted(port, f'hetslurm_bus_messages_total{{what="{what}"}}')


def test_a_throttled_gpu_loses_health_and_speed_and_is_not_drained(site: Sandbox) -> None:
    before = pool(site, "gpu")
    gpu = site.layout.node("gpu1") / "gpu.json"
    gpu_fake.break_fake(gpu, "throttle")
    gpu_fake.change_fake(gpu, 0, utilization_percent=90)
    eventually("the finding", lambda: "gpu_throttle_thermal" in rules(site, "gpu1"))
    now = eventually("the pool knows", lambda: (p := pool(site, "gpu"))["health"] < before["health"] and p)
    assert 0 < now["health"] < before["health"]
    assert now["speed"] < before["speed"]
    hear(site, "gpu1", 6)  # more than any rule waits for before it is hard
    assert "DRAIN" not in state(site, "gpu1")


def test_an_erring_gpu_loses_placements_within_two_beats_and_then_its_node(site: Sandbox) -> None:
    units = pool(site, "gpu")["units"]
    assert units == 2
    heard, began = reports(site, "gpu1"), time.time()
    gpu_fake.change_fake(site.layout.node("gpu1") / "gpu.json", 0, ecc_uncorrected=3)
    eventually("the board knows", lambda: known(site, "gpu1", "gpu_ecc_uncorrected"))
    beats = reports(site, "gpu1") - heard
    eventually("the finding", lambda: "gpu_ecc_uncorrected" in rules(site, "gpu1"))
    since = next(f["since"] for f in node(site, "gpu1")["findings"] if f["rule"] == "gpu_ecc_uncorrected")
    # What the controller knows at `since` is in the snapshot that it writes in the same cycle. Where the
    # machine is too busy for a beat a second, the agent's own beats are what counts.
    assert since - began <= 2 * BEAT_S or beats <= 2
    assert pool(site, "gpu")["units"] == 1
    reason = eventually("the drain", lambda: "DRAIN" in state(site, "gpu1") and site.node("gpu1")["Reason"])
    assert reason.startswith("hetslurm: gpu 0: 3 uncorrectable ECC errors")
    assert "gpu1" in hetslurm(site, "drains")


def test_a_lost_gpu_sends_the_job_elsewhere_and_the_node_comes_back_when_it_does(site: Sandbox) -> None:
    for name in ("gpu1", "gpu2"):
        gpu_fake.change_fake(site.layout.node(name) / "gpu.json", 0, ecc_uncorrected=1)
    eventually("no GPU is left", lambda: pool(site, "gpu")["units"] == 0)
    job = site.submit(ALIGN, "--hold", "--output=/dev/null", cwd="/tmp")
    assert site.job(job)["Partition"] == "cpu"
    site.run(["scancel", str(job)])
    for name in ("gpu1", "gpu2"):
        site.heal(name)
    eventually("both GPUs are back", lambda: pool(site, "gpu")["units"] == 2)
    job = site.submit(ALIGN, "--hold", "--output=/dev/null", cwd="/tmp")
    assert site.job(job)["Partition"] == "gpu"
    site.run(["scancel", str(job)])


def test_a_node_whose_agent_dies_gets_no_new_job_and_is_not_drained(site: Sandbox, metrics_port: int) -> None:
    site.kill_agent("gpu2")
    eventually("it is silent", lambda: node(site, "gpu2")["silent"])
    eventually("its GPU is out of the pool", lambda: pool(site, "gpu")["units"] == 1)
    eventually("it is counted", lambda: counted(metrics_port, "hetslurm_nodes_silent") == 1)
    assert "DRAIN" not in state(site, "gpu2")
    site.start_agent("gpu2")
    eventually("it is heard", lambda: node(site, "gpu2")["heard"])
    eventually("its GPU is back", lambda: pool(site, "gpu")["units"] == 2)
    assert node(site, "gpu2")["restarts"] >= 1


def test_a_stopped_agent_is_silent_and_one_that_goes_on_is_heard(site: Sandbox) -> None:
    process = site.state.processes["agent-gpu2"]
    os.kill(process.pid, signal.SIGSTOP)
    try:
        eventually("it is silent", lambda: node(site, "gpu2")["silent"])
    finally:
        os.kill(process.pid, signal.SIGCONT)
    eventually("it is heard", lambda: node(site, "gpu2")["heard"])


def test_agents_outlive_the_controller_and_a_new_one_knows_what_the_old_one_knew(
    site: Sandbox, metrics_port: int
) -> None:
    gpu_fake.break_fake(site.layout.node("gpu1") / "gpu.json", "throttle")
    eventually("the finding", lambda: "gpu_throttle_thermal" in rules(site, "gpu1"))
    agents = {name: p.pid for name, p in site.state.processes.items() if name.startswith("agent-")}
    site.kill_controller(signal.SIGKILL)
    written = read_board_file(site.layout.board).written_at
    site.start_controller()
    eventually("a new board", lambda: read_board_file(site.layout.board).written_at > written)
    assert "gpu_throttle_thermal" in rules(site, "gpu1")
    eventually("all are heard", lambda: all(one.heard for one in read_board_file(site.layout.board)))
    eventually("all came back", lambda: messages(metrics_port, "handshakes_ok") >= len(agents))
    assert {name: p.pid for name, p in site.state.processes.items() if name.startswith("agent-")} == agents
    assert all(site.state.processes[name].alive() for name in agents)


@pytest.mark.parametrize(
    ("fault", "label"), [("hang", "timed out"), ("crash", "crashed"), ("flood", "crashed")]
)
def test_a_probe_that_hangs_crashes_or_floods_takes_neither_the_agent_nor_the_other_probes_down(
    site: Sandbox, metrics_port: int, fault: str, label: str
) -> None:
    gpu_fake.break_fake(site.layout.node("gpu1") / "gpu.json", fault)
    eventually("the probe's state", lambda: node(site, "gpu1")["probes"]["gpu"]["state"] == label)
    runs = node(site, "gpu1")["probes"]["host"]["runs"]
    found = eventually(
        "the host's next", lambda: (n := node(site, "gpu1"))["probes"]["host"]["runs"] > runs and n
    )
    assert found["heard"]
    assert found["probes"]["host"]["state"] == "ok"
    name = 'hetslurm_findings{hard="false",rule="gpu_probe_failed"}'
    eventually("it is counted", lambda: counted(metrics_port, name) == 1)


def test_a_revoked_key_is_not_believed_though_its_connection_is_open(
    site: Sandbox, metrics_port: int
) -> None:
    refused = messages(metrics_port, "revoked")
    authority = Authority(site.layout.keys, SystemClock())
    authority.revoke(["gpu2"])
    try:
        eventually("gpu2 is silent", lambda: node(site, "gpu2")["silent"])
        assert messages(metrics_port, "revoked") > refused
    finally:
        site.kill_agent("gpu2")
        (key,) = authority.issue(["gpu2"])
        key.replace(site.layout.node("gpu2") / "node.key")
        site.start_agent("gpu2")
    eventually("gpu2 is heard", lambda: node(site, "gpu2")["heard"])


def test_the_loaded_bitstream_is_startup_time_for_jobs_that_need_another(site: Sandbox) -> None:
    fpga_fake.change_fake(site.layout.node("fpga1") / "fpga.json", 0, xclbin="align.xclbin")

    def startup(xclbin: str) -> float:
        script = f"#!/bin/sh\n#HET target=fpga:u250:1 cpus=1 time=5 xclbin={xclbin}\ntrue\n"
        path = site.layout.run / "job.sh"
        path.write_text(script)
        candidates = json.loads(hetslurm(site, "explain", str(path), "--json"))["candidates"]
        return float(next(c for c in candidates if c["pool"] == "fpga")["terms"]["startup_s"]["value"])

    eventually("the board knows the bitstream", lambda: startup("/opt/align.xclbin") == 0.0)
    assert startup("sort.xclbin") == 4.0


def test_the_controllers_metrics_show_nodes_bus_and_drains(site: Sandbox, metrics_port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert "hetslurm_nodes_heard 4.0" in text
    assert 'hetslurm_bus_messages_total{what="accepted"}' in text
    assert "hetslurm_drain_breaker_open 0.0" in text
    assert 'hetslurm_pool_health{kind="gpu",pool="gpu",type="a100"}' in text

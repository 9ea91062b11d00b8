"""The agent as it is started: real probes of this machine, a real controller's end."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from hetslurm.agent.usage import read_usage
from hetslurm.bus.keys import write_node_key
from hetslurm.bus.wire import Report, decode
from hetslurm.telemetry import PROBES

from .conftest import PATIENCE_S, AgentProcess, Hub, is_alive, until, write_config

StartAgent = Callable[..., AgentProcess]
QUICK = 'probes = ["host", "link", "mount"]\nmounts = ["/"]'


def _take(hub: Hub, enough: Callable[[Report], bool] = lambda report: True) -> Report:
    """The first report that is enough."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        report = decode(hub.take())
        if enough(report):
            return report
    raise AssertionError("no such report came")


def _all_ok(report: Report) -> bool:
    return all(probe.state == 1 for probe in report.probes)


def test_it_reports_what_the_probes_of_this_machine_see(hub: Hub, start_agent: StartAgent) -> None:
    start_agent(hub, agent='mounts = ["/"]')
    report = _take(
        hub, lambda report: all(probe.runs for probe in report.probes) and "mount" in (report.facts or {})
    )
    assert report.node == "n1"
    assert tuple(probe.probe for probe in report.probes) == PROBES
    states = {probe.probe: probe.state for probe in report.probes}
    assert (states["host"], states["mount"]) == (1, 1)
    assert report.facts is not None
    assert report.facts["mount"][0]["id"] == "/"


def test_sequence_and_life_tell_reports_and_restarts_apart(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, agent=QUICK)
    first, second = _take(hub), _take(hub)
    assert second.seq > first.seq
    assert second.agent == first.agent
    agent.process.terminate()
    agent.process.wait()
    hub.stop()
    hub.listen()
    start_agent(hub, agent=QUICK)
    assert _take(hub).agent != first.agent


def test_sigterm_ends_it_and_all_children_within_a_second(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, agent=QUICK)
    _take(hub, _all_ok)
    family = agent.family()
    assert len(family) == 5
    begun = time.monotonic()
    agent.process.terminate()
    assert agent.process.wait(PATIENCE_S) == 0
    # A second on a machine that is not busy with other tests.
    assert time.monotonic() - begun < 15
    assert not any(is_alive(pid) for pid in family)


def test_an_agent_that_is_killed_takes_its_children_along(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, agent=QUICK)
    _take(hub, _all_ok)
    family = agent.family()
    agent.process.kill()
    agent.process.wait()
    until(lambda: not any(is_alive(pid) for pid in family), "the children's death")


def test_a_probe_whose_child_is_killed_is_said_to_have_crashed_and_comes_back(
    hub: Hub, start_agent: StartAgent
) -> None:
    agent = start_agent(hub, agent='probes = ["host"]', beat_s=0.5)
    _take(hub, _all_ok)
    child = agent.family()[2]
    os.kill(child, signal.SIGSTOP)
    _take(hub, lambda report: report.probes[0].age_s > 0.9)
    os.kill(child, signal.SIGKILL)
    crashed = _take(hub, lambda report: report.probes[0].state == 5)
    assert crashed.probes[0].message == "died of SIGKILL"
    assert crashed.probes[0].values
    _take(hub, _all_ok)
    assert agent.family()[2] != child


def test_the_loss_of_the_nursery_ends_it_with_an_error(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, agent=QUICK)
    _take(hub, _all_ok)
    os.kill(agent.family()[1], signal.SIGKILL)
    assert agent.process.wait(PATIENCE_S) == 2
    assert agent.said("the process that starts probes is gone")


def test_a_restarted_controller_hears_again_from_the_same_agent(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, agent=QUICK)
    before = _take(hub)
    hub.stop()
    until(lambda: agent.said("connection lost"), "the loss")
    hub.listen()
    after = _take(hub)
    assert (after.agent, after.seq > before.seq) == (before.agent, True)


def test_sighup_takes_a_new_configuration_and_keeps_the_old_where_it_is_wrong(
    hub: Hub, start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = start_agent(hub, agent='probes = ["host"]')
    first = _take(hub, _all_ok)
    write_config(tmp_path, hub, agent='probes = ["host", "lnk"]')
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: agent.said("the old stays in force"), "the refusal")
    assert [probe.probe for probe in _take(hub).probes] == ["host"]
    write_config(tmp_path, hub, agent='probes = ["host", "link"]', beat_s=0.2)
    agent.process.send_signal(signal.SIGHUP)
    after = _take(hub, lambda report: len(report.probes) == 2 and _all_ok(report))
    assert after.agent == first.agent
    assert after.beat_s == 0.2


def test_sighup_takes_a_new_key(hub: Hub, start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent(hub, agent='probes = ["host"]')
    _take(hub)
    write_node_key(tmp_path / "node.key", hub.node_key())
    agent.process.send_signal(signal.SIGHUP)
    until(lambda: agent.said("configuration read"), "the new key")
    until(lambda: agent.log().count("connected endpoint") == 2, "a second connection")


def test_once_sends_one_report_of_all_probes(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, "--once", agent=QUICK)
    report = _take(hub)
    assert (report.seq, [probe.runs for probe in report.probes]) == (1, [1, 1, 1])
    assert agent.process.wait(PATIENCE_S) == 0


def test_once_fails_where_nobody_listens(hub: Hub, start_agent: StartAgent) -> None:
    hub.stop()
    agent = start_agent(hub, "--once", agent='probes = ["host"]')
    assert agent.process.wait(60) == 1
    assert agent.said("reached nobody")


def test_a_key_of_another_node_is_refused_at_the_start(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, "--node", "n2")
    assert agent.process.wait(PATIENCE_S) == 2
    assert agent.said("it is the key of node n1, and this is n2")


def test_a_key_that_others_can_read_is_refused(hub: Hub, start_agent: StartAgent, tmp_path: Path) -> None:
    write_node_key(tmp_path / "open.key", hub.node_key())
    (tmp_path / "open.key").chmod(0o644)
    agent = start_agent(hub, "--key", str(tmp_path / "open.key"))
    assert agent.process.wait(PATIENCE_S) == 2
    assert agent.said("chmod 600")


def test_a_configuration_without_a_controller_is_refused(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, "--config", "/dev/null")
    assert agent.process.wait(PATIENCE_S) == 2
    assert agent.said("[bus] connect names no controller")


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        yield line


def test_the_service_manager_is_told(hub: Hub, start_agent: StartAgent, manager: socket.socket) -> None:
    agent = start_agent(hub, agent='probes = ["host"]', beat_s=100)
    assert manager.recv(4096).startswith(b"READY=1\nSTATUS=0 reports")
    for _ in range(3):
        assert manager.recv(4096).startswith(b"WATCHDOG=1\nSTATUS=")
    agent.process.terminate()
    while (message := manager.recv(4096)) != b"STOPPING=1":
        assert message.startswith(b"WATCHDOG=1")


def _scrape(port: int) -> dict[str, float]:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
    except OSError:
        return {}
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")
    }


def test_prometheus_finds_reports_runs_and_values(hub: Hub, start_agent: StartAgent) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # In a changed root, "/" is no mount.
    start_agent(hub, agent=QUICK.replace('"/"', '"/proc"'), toml=f"[metrics]\nagent_port = {port}")
    endpoint = f'{{endpoint="{hub.endpoint}"}}'
    until(
        lambda: (
            {f"hetslurm_agent_connected{endpoint}", 'hetslurm_mount_mounted{device="/proc"}'}
            <= _scrape(port).keys()
        ),
        "a page with all probes",
    )
    until(lambda: _scrape(port)[f"hetslurm_agent_reports_sent_total{endpoint}"] > 0, "a report")
    page = _scrape(port)
    assert page[f"hetslurm_agent_connected{endpoint}"] == 1
    assert page['hetslurm_agent_probe_state{probe="host",state="ok"}'] == 1
    assert page['hetslurm_agent_probe_runs_total{probe="host",state="ok",task="sample"}'] > 0
    assert 0 <= page['hetslurm_agent_probe_age_seconds{probe="host"}'] < PATIENCE_S
    assert page['hetslurm_mount_mounted{device="/proc"}'] == 1
    total = next(value for name, value in page.items() if name.startswith("hetslurm_host_mem_total_bytes"))
    assert total == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.05)
    assert page["hetslurm_agent_cpu_seconds_total"] > 0
    assert page["hetslurm_agent_memory_bytes"] > 1 << 20


def test_a_metrics_port_that_is_taken_costs_only_the_page(hub: Hub, start_agent: StartAgent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        agent = start_agent(hub, agent='probes = ["host"]', toml=f"[metrics]\nagent_port = {port}")
        _take(hub)
        assert agent.said("no metrics page")


def test_it_stays_small_and_quiet(hub: Hub, start_agent: StartAgent) -> None:
    # Ten beats a second are fifty times what the budget of 0.2 % at 5 s is for.
    agent = start_agent(hub, agent=QUICK, beat_s=0.1)
    _take(hub, lambda report: report.seq > 20)
    before, begun = read_usage(agent.family()), time.monotonic()
    _take(hub, lambda report: report.seq > 120)
    after, seconds = read_usage(agent.family()), time.monotonic() - begun
    assert after.memory_bytes < 60 << 20
    assert after.memory_bytes < before.memory_bytes + (4 << 20)
    assert (after.cpu_s - before.cpu_s) / seconds < 50 * 0.002 * 2


def test_what_only_people_need_is_not_in_memory(hub: Hub, start_agent: StartAgent) -> None:
    agent = start_agent(hub, agent=QUICK)
    _take(hub, _all_ok)
    for pid in agent.family():
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert not any(library in maps for library in ("numpy", "typer", "rich", "_ssl.", "libcuda"))

"""A probe that hangs, crashes or floods: what the bus hears of it, and where it is counted."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

from hetslurm.bus.wire import Report, decode
from hetslurm.gpu.fake import break_fake, heal_fake, write_fake
from hetslurm.telemetry import ProbeState

from .conftest import PATIENCE_S, AgentProcess, Hub, until

PROBES = 'probes = ["host", "gpu"]'


def _await_report(hub: Hub, holds: Callable[[Report], bool]) -> Report:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        report = decode(hub.take())
        if holds(report):
            return report
    raise AssertionError("no such report came")


def _runs(port: int, label: str) -> float:
    """How many runs of the GPU's probe ended so, by the agent's page."""
    name = f'hetslurm_agent_probe_runs_total{{probe="gpu",state="{label}",task="sample"}} '
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as page:
        lines = page.read().decode().splitlines()
    return next((float(line.removeprefix(name)) for line in lines if line.startswith(name)), 0.0)


@pytest.mark.parametrize(
    ("fault", "state", "said"),
    [
        ("hang", ProbeState.TIMED_OUT, "no answer after"),
        ("crash", ProbeState.CRASHED, "ended by itself with code 70"),
        ("flood", ProbeState.CRASHED, "at most"),
    ],
)
def test_a_probe_that_fails_is_told_and_counted_and_keeps_no_other_from_reporting(
    hub: Hub,
    start_agent: Callable[..., AgentProcess],
    tmp_path: Path,
    fault: str,
    state: ProbeState,
    said: str,
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    gpus = tmp_path / "gpu.json"
    write_fake(gpus)
    agent = start_agent(
        hub,
        agent=f'{PROBES}\nfake_dir = "{tmp_path}"\ndeadline_s = 2',
        toml=f"[metrics]\nagent_port = {port}",
        beat_s=0.2,
    )
    well = _await_report(hub, lambda report: all(probe.state == ProbeState.OK for probe in report.probes))
    break_fake(gpus, fault)
    sick = _await_report(hub, lambda report: report.probes[1].state == state)
    assert said in sick.probes[1].message
    # The last good rows stay, with their age; the host's go on.
    assert len(sick.probes[1].values) == len(well.probes[1].values)
    later = _await_report(hub, lambda report: report.probes[0].runs > sick.probes[0].runs)
    assert later.probes[0].state == ProbeState.OK
    assert later.agent == well.agent
    until(lambda: _runs(port, state.label) >= 1, "the count")
    heal_fake(gpus)
    again = _await_report(hub, lambda report: report.probes[1].state == ProbeState.OK)
    assert again.agent == well.agent
    assert agent.process.poll() is None

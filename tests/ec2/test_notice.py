"""How a node comes to know, and the controller after it, that its cloud takes it away."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hetslurm.agent.once import run_probe
from hetslurm.bus.board import Board
from hetslurm.bus.wire import Report, decode, encode, probe_report
from hetslurm.clock import SystemClock
from hetslurm.errors import ProbeError
from hetslurm.health.notices import Notice, notices, rebalances
from hetslurm.host.imds import Imds
from hetslurm.host.instance import ACTION, REBALANCE, InstanceProbe, is_ec2, open_instance_probe
from hetslurm.host.notice import parse_action
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState, Row, Sample

from .fake_imds import FakeImds

NOW = 1_800_000_000.0
LATER = datetime.fromtimestamp(NOW + 120, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _probe(endpoint: str = "", notice_file: str = "") -> InstanceProbe:
    return InstanceProbe(notice_file=notice_file, endpoint=endpoint, clock=lambda: NOW)


def _values(probe: InstanceProbe) -> dict[str, float]:
    sample = probe.sample()
    assert sample.state is ProbeState.OK
    (row,) = sample.rows
    return dict(row.values)


def test_an_instance_without_a_notice_says_so(imds: FakeImds) -> None:
    assert _values(_probe(imds.endpoint)) == {"interrupted": 0, "rebalance": 0}


def test_a_spot_action_is_seen_with_the_time_that_is_left(imds: FakeImds) -> None:
    imds.told[ACTION] = json.dumps({"action": "terminate", "time": LATER})
    assert _values(_probe(imds.endpoint)) == {"interrupted": 1, "rebalance": 0, "interrupt_in_s": 120}


def test_a_rebalance_recommendation_is_seen(imds: FakeImds) -> None:
    imds.told[REBALANCE] = json.dumps({"noticeTime": LATER})
    assert _values(_probe(imds.endpoint)) == {"interrupted": 0, "rebalance": 1}


def test_a_token_is_asked_for_once_and_again_when_its_time_is_up(imds: FakeImds) -> None:
    probe = _probe(imds.endpoint)
    _values(probe)
    _values(probe)
    assert len(imds.tokens) == 1
    imds.forget_tokens()
    imds.told[ACTION] = json.dumps({"action": "stop", "time": LATER})
    assert _values(probe)["interrupted"] == 1
    assert len(imds.tokens) == 1


def test_a_service_that_hangs_costs_a_second(imds: FakeImds) -> None:
    imds.hangs_s = 3.0
    begun = time.monotonic()
    with pytest.raises(ProbeError, match="no answer of the instance metadata service"):
        Imds(imds.endpoint).get(ACTION)
    assert time.monotonic() - begun < 2.5


def test_a_service_that_is_gone_is_a_failure_and_no_absence(imds: FakeImds) -> None:
    probe = _probe(imds.endpoint)
    _values(probe)
    imds.close()
    with pytest.raises(ProbeError, match="no answer"):
        probe.sample()


def test_a_machine_of_no_cloud_is_absent_and_asks_nobody(tmp_path: Path) -> None:
    probe = open_instance_probe(AgentSite(), root=tmp_path, environ={})
    assert probe.sample().state is ProbeState.ABSENT


@pytest.mark.parametrize(
    ("file", "text", "is_there"),
    [
        ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n", True),
        ("sys/class/dmi/id/bios_version", "4.11.amazon\n", True),
        ("sys/hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef\n", True),
        ("sys/class/dmi/id/sys_vendor", "Dell Inc.\n", False),
    ],
)
def test_the_firmware_says_whether_there_is_a_service(
    tmp_path: Path, file: str, text: str, is_there: bool
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert is_ec2(tmp_path) is is_there


def test_the_sdks_switch_turns_it_off(tmp_path: Path, imds: FakeImds) -> None:
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.endpoint, "AWS_EC2_METADATA_DISABLED": "true"}
    assert open_instance_probe(AgentSite(), tmp_path, environ).sample().state is ProbeState.ABSENT
    del environ["AWS_EC2_METADATA_DISABLED"]
    assert open_instance_probe(AgentSite(), tmp_path, environ).sample().state is ProbeState.OK


def test_a_notice_file_says_it_on_any_other_cloud(tmp_path: Path) -> None:
    file = tmp_path / "notice"
    probe = open_instance_probe(AgentSite(notice_file=str(file)), root=tmp_path, environ={})
    (row,) = probe.sample().rows
    assert row.values["interrupted"] == 0
    file.write_text(json.dumps({"action": "terminate", "time": time.time() + 60}))
    (row,) = probe.sample().rows
    assert row.values["interrupted"] == 1
    assert 50 < row.values["interrupt_in_s"] <= 60


def test_a_notice_file_that_is_no_notice_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "notice"
    file.write_text("soon")
    with pytest.raises(ProbeError, match="expected an object"):
        _probe(notice_file=str(file)).sample()
    os.remove(file)
    file.mkdir()
    with pytest.raises(ProbeError, match="cannot be read"):
        _probe(notice_file=str(file)).sample()


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ('{"action": "terminate", "time": 1800000060.5}', NOW + 60.5),
        (f'{{"action": "hibernate", "time": "{LATER}"}}', NOW + 120),
        ('{"action": "terminate"}', NOW),
        ('{"action": "terminate", "time": "soon"}', NOW),
        ('{"action": "none"}', None),
    ],
)
def test_what_goes_without_a_time_goes_now(text: str, at: float | None) -> None:
    assert parse_action(text, "here", NOW) == at


def test_it_runs_in_the_agents_own_child(
    tmp_path: Path, imds: FakeImds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.endpoint)
    imds.told[ACTION] = json.dumps({"action": "terminate", "time": "2020-01-01T00:00:00Z"})
    run = run_probe("instance", AgentSite(), clock=SystemClock())
    assert run.sample.state is ProbeState.OK
    assert run.sample.rows[0].values["interrupted"] == 1
    assert run.sample.rows[0].values["interrupt_in_s"] < 0


class Arrival:
    """As the receiver hands it out."""

    def __init__(self, at: float, report: Report) -> None:
        self.received_at = at
        self.report = decode(encode(report))


def _reported(board: Board, seq: int, node: str, values: dict[str, float], *, at: float = NOW) -> None:
    sample = Sample("instance", ProbeState.OK, (Row(values),))
    probes = [probe_report(sample, runs=seq, age_s=1.0, took_s=0.0)]
    board.take([Arrival(at, Report(node, 1, seq, at, 5.0, probes))])


def test_the_board_says_which_node_goes_and_when() -> None:
    board = Board()
    _reported(board, 1, "c1", {"interrupted": 1, "interrupt_in_s": 120, "rebalance": 1})
    _reported(board, 1, "c2", {"interrupted": 0, "rebalance": 1})
    _reported(board, 1, "c3", {"interrupted": 1})
    assert notices(board) == {"c1": Notice(NOW - 1 + 120, NOW - 1), "c3": Notice(NOW - 1, NOW - 1)}
    assert rebalances(board) == {"c1", "c2"}


def test_a_notice_says_when_it_was_said_so_that_the_nodes_next_instance_is_not_taken_for_it() -> None:
    board = Board()
    _reported(board, 1, "c1", {"interrupted": 1, "interrupt_in_s": 120})
    _reported(board, 2, "c1", {"interrupted": 1, "interrupt_in_s": 100}, at=NOW + 400)
    assert notices(board) == {"c1": Notice(NOW + 499, NOW + 399)}


def test_a_notice_that_was_taken_back_is_gone() -> None:
    board = Board()
    _reported(board, 1, "c1", {"interrupted": 1, "interrupt_in_s": 120})
    _reported(board, 2, "c1", {"interrupted": 0})
    assert notices(board) == {}

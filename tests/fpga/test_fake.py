"""Cards that a file pretends: every fault shows, and nothing unknown is taken."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hetslurm.errors import ProbeError
from hetslurm.fpga.fake import (
    EXIT_CRASH,
    FAULTS,
    FILE,
    break_fake,
    change_fake,
    heal_fake,
    parse_fake,
    write_fake,
)
from hetslurm.fpga.probe import FpgaProbe, open_probe
from hetslurm.site import AgentSite
from hetslurm.telemetry import FPGA, Meaning, Probe, ProbeState

METRICS = {metric.name for metric in FPGA}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two healthy cards."""
    write_fake(tmp_path / FILE, cards=2)
    return tmp_path / FILE


@pytest.fixture
def probe(path: Path) -> Probe:
    """The agent's probe over them."""
    return open_probe(AgentSite(fake_dir=str(path.parent)))


def test_healthy_cards_say_everything(probe: Probe) -> None:
    sample = probe.sample()
    assert (sample.probe, sample.state, sample.message) == ("fpga", ProbeState.OK, "")
    rates = {metric.name for metric in FPGA if metric.meaning is Meaning.RATE}
    for row in sample.rows:
        assert set(row.values) == METRICS - rates - {"measured_age_s"}
    first, second = (row.facts["id"] for row in sample.rows)
    assert (first[:4], first[-4:], second[-4:]) == ("XFL1", "0000", "0001")
    assert [row.facts["bdf"] for row in sample.rows] == ["0000:3b:00.1", "0000:3c:00.1"]
    assert sample.rows[0].facts["xclbin_uuid"] == "5f9d2a54-7e5c-4d12-9c40-2f6f1f0d7a11"


@pytest.mark.parametrize(
    ("fault", "metric", "value"),
    [
        ("hot", "temperature_c", 99.0),
        ("pcie", "pcie_gen", 1.0),
        ("pcie", "pcie_width", 4.0),
        ("firewall", "firewall_level", 2.0),
        ("errors", "errors", 7.0),
        ("not-ready", "ready", 0.0),
        ("unloaded", "loaded", 0.0),
    ],
)
def test_a_fault_shows_at_the_next_look_and_goes_when_healed(
    probe: Probe, path: Path, fault: str, metric: str, value: float
) -> None:
    healthy = probe.sample()
    break_fake(path, fault, index=1)
    broken = probe.sample()
    assert broken.rows[0] == healthy.rows[0]
    assert broken.rows[1].values[metric] == value
    assert healthy.rows[1].values[metric] != value
    heal_fake(path)
    assert probe.sample() == healthy


def test_a_card_that_is_not_ready_says_nothing_else(probe: Probe, path: Path) -> None:
    break_fake(path, "not-ready")
    sample = probe.sample()
    assert dict(sample.rows[0].values) == {"ready": 0.0}
    assert sample.message == "0000:3b:00.1: not ready: its shell does not answer"


def test_what_the_file_does_not_know_is_unknown(probe: Probe, path: Path) -> None:
    unknown = ("temperature_c", "power_w", "power_limit_w", "firewall_level", "errors", "memory_banks")
    change_fake(path, 0, **dict.fromkeys(unknown), pcie_gen=None, pcie_width=None)
    values = probe.sample().rows[0].values
    assert not {*unknown, "pcie_gen", "pcie_width", "memory_total_mb", "memory_used_mb"} & set(values)


def test_a_benchmark_finds_the_cards_rates(probe: Probe, path: Path) -> None:
    break_fake(path, "slow", index=1)
    sample = probe.measure()
    assert sample.state is ProbeState.OK
    assert [row.values["dma_write_gbs"] for row in sample.rows] == pytest.approx([11.4, 1.4])
    assert [row.values["dma_read_gbs"] for row in sample.rows] == pytest.approx([12.0, 1.5])


@pytest.mark.parametrize(
    ("fault", "words"),
    [("busy", "in use: 1 open contexts"), ("unloaded", "no bitstream is loaded"), ("not-ready", "not ready")],
)
def test_a_card_that_is_not_idle_is_left_alone(probe: Probe, path: Path, fault: str, words: str) -> None:
    break_fake(path, fault)
    sample = probe.measure()
    assert sample.state is ProbeState.OK
    assert sample.rows[0].values == {}
    assert set(sample.rows[1].values) == {"dma_write_gbs", "dma_read_gbs"}
    assert sample.message.startswith("0000:3b:00.1: ")
    assert words in sample.message


def test_bytes_that_come_back_wrong_are_a_fault_of_that_card(probe: Probe, path: Path) -> None:
    break_fake(path, "mismatch", index=1)
    sample = probe.measure()
    assert sample.state is ProbeState.FAILED
    assert sample.message == (
        "0000:3c:00.1: DMA: 1 of 8192 pages came back wrong, the first byte at 0x1000000"
    )
    assert set(sample.rows[0].values) == {"dma_write_gbs", "dma_read_gbs"}
    assert sample.rows[1].values == {}


def test_no_card_is_absent(probe: Probe, path: Path) -> None:
    break_fake(path, "absent")
    for sample in (probe.sample(), probe.measure()):
        assert (sample.state, sample.rows) == (ProbeState.ABSENT, ())
        assert "no FPGA" in sample.message


SAMPLE_ONCE = """
import sys
from hetslurm.fpga.probe import open_probe
from hetslurm.site import AgentSite
print("started", flush=True)
open_probe(AgentSite(fake_dir=sys.argv[1])).sample()
"""


def _start(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", SAMPLE_ONCE, str(path.parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_crash_takes_the_probes_process(path: Path) -> None:
    break_fake(path, "crash")
    with _start(path) as process:
        assert process.wait(60) == EXIT_CRASH


def test_a_hang_lasts_until_the_process_is_killed(path: Path) -> None:
    break_fake(path, "hang")
    with _start(path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.kill()
        assert process.wait(60) == -9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[]", "expected an object"),
        ('{"cards": [], "falut": ""}', "unknown key 'falut', did you mean 'fault'?"),
        (
            '{"cards": [{"temprature_c": 1}]}',
            "card 0: unknown key 'temprature_c', did you mean 'temperature_c'?",
        ),
        ('{"cards": [{"temperature_c": "hot"}]}', "temperature_c"),
        ('{"cards": [{"temperature_c": -1}]}', "temperature_c is -1"),
        ('{"cards": [{"memory_bank_mb": 1e300}]}', "memory_bank_mb is 1e+300"),
        ('{"cards": [{"power_w": NaN}]}', "power_w is nan"),
        ('{"cards": [{"dma_read_gbs": 0}]}', "dma_read_gbs must be above 0"),
        ('{"cards": [7]}', "card 0: expected an object"),
        ('{"cards": [], "fault": "tired"}', "fault 'tired', expected one of hang, crash, absent"),
    ],
)
def test_what_is_not_known_is_refused(text: str, words: str) -> None:
    with pytest.raises(ProbeError) as refused:
        parse_fake(text)
    assert words in str(refused.value)


def test_a_change_that_makes_no_sense_leaves_the_file_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    for change in ({"temprature_c": 1}, {"temperature_c": math.inf}, {"bdf": 7}):
        with pytest.raises(ProbeError):
            change_fake(path, 0, **change)
    with pytest.raises(ProbeError, match="no fault 'tired'"):
        break_fake(path, "tired")
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [FILE]


def test_a_file_that_goes_away_is_a_probes_error(probe: Probe, path: Path) -> None:
    path.unlink()
    with pytest.raises(ProbeError, match=FILE):
        probe.sample()


def test_every_fault_is_of_fields_that_a_card_has(path: Path) -> None:
    known = set(json.loads(path.read_text())["cards"][0])
    assert {field for changes in FAULTS.values() for field in changes} <= known


def test_a_reader_never_sees_half_a_file(path: Path) -> None:
    """The writer replaces the file: who has the old one open reads it to its end."""
    with path.open() as old:
        change_fake(path, 0, temperature_c=77.0)
        assert parse_fake(old.read()).cards[0].temperature_c == 41.0
        assert os.fstat(old.fileno()).st_nlink == 0
    assert parse_fake(path.read_text()).cards[0].temperature_c == 77.0


def test_a_probe_is_what_agents_take(probe: Probe) -> None:
    assert isinstance(probe, FpgaProbe)
    probe.close()


def test_cards_of_two_nodes_have_names_of_their_own(tmp_path: Path) -> None:
    serials = set()
    for node in ("fpga1", "fpga2"):
        (tmp_path / node).mkdir()
        write_fake(tmp_path / node / "fpga.json")
        serials.add(json.loads((tmp_path / node / "fpga.json").read_text())["cards"][0]["serial"])
    assert len(serials) == 2

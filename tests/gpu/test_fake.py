"""Devices out of a file: every fault shows in the sample, and what the file does not know is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hetslurm.errors import ProbeError
from hetslurm.gpu.fake import EXIT_CRASH, FAULTS, break_fake, change_fake, heal_fake, parse_fake, write_fake
from hetslurm.gpu.probe import open_probe
from hetslurm.site import AgentSite
from hetslurm.telemetry import GPU, Meaning, Probe, ProbeState

RATES = {metric.name for metric in GPU if metric.meaning is Meaning.RATE}
# What each fault must show in the row of its device.
SHOWS = {
    "ecc": {"ecc_uncorrected": 3, "xid_hard": 1},
    "remap": {"remap_pending": 1, "xid_soft": 2, "xid_hard": 0},
    "remap-failed": {"remap_failed": 1, "xid_hard": 1},
    "xid": {"xid_hard": 1, "xid_last": 62},
    "xid-soft": {"xid_hard": 0, "xid_soft": 2, "xid_last": 13},
    "throttle": {"throttle_hw": 1, "throttle_thermal": 1, "sm_clock_mhz": 210},
    "hot": {"temperature_c": 88},
    "pcie": {"pcie_width": 4, "pcie_width_max": 16},
    "nvlink": {"nvlinks": 12, "nvlinks_up": 11, "nvlink_errors": 1200},
    "lost": {"lost": 1, "xid_last": 79},
    "busy": {"processes": 1, "utilization_ratio": 0.97},
    "slow": {},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two healthy devices."""
    path = tmp_path / "gpu.json"
    write_fake(path, gpus=2)
    return path


@pytest.fixture
def probe(path: Path) -> Probe:
    """The probe over them, opened as an agent opens it."""
    return open_probe(AgentSite(fake_dir=str(path.parent)))


def test_healthy_devices_say_everything_and_have_names_for_life(path: Path, probe: Probe) -> None:
    sample = probe.sample()
    assert (sample.state, sample.message, len(sample.rows)) == (ProbeState.OK, "", 2)
    state = {metric.name for metric in GPU} - RATES - {"measured_age_s", "xid_last"}
    assert set(sample.rows[0].values) == state
    ids = [row.facts["id"] for row in sample.rows]
    assert len(set(ids)) == 2
    write_fake(path, gpus=2)
    assert [row.facts["id"] for row in probe.sample().rows] == ids


def test_every_fault_of_a_device_is_tested() -> None:
    assert set(SHOWS) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_shows_in_its_device_alone_and_heals(path: Path, probe: Probe, fault: str) -> None:
    healthy = probe.sample()
    break_fake(path, fault, 1)
    first, second = probe.sample().rows
    assert first == healthy.rows[0]
    assert {name: second.values[name] for name in SHOWS[fault]} == pytest.approx(SHOWS[fault])
    heal_fake(path)
    assert probe.sample() == healthy


def test_measuring_gives_the_rates_of_the_file(probe: Probe) -> None:
    sample = probe.measure()
    assert sample.state is ProbeState.OK
    assert sample.message == ""
    assert [set(row.values) for row in sample.rows] == [RATES, RATES]


def test_a_slow_device_measures_slower_than_itself(path: Path, probe: Probe) -> None:
    before = probe.measure().rows
    break_fake(path, "slow", 0)
    after = probe.measure().rows
    assert after[1] == before[1]
    for name in RATES:
        assert after[0].values[name] == pytest.approx(0.6 * before[0].values[name])


def test_a_busy_device_is_not_measured(path: Path, probe: Probe) -> None:
    break_fake(path, "busy", 0)
    sample = probe.measure()
    assert sample.rows[0].values == {}
    assert set(sample.rows[1].values) == RATES
    assert sample.message == "gpu 0: in use by a process"


def test_devices_without_rates_are_as_without_cupy(path: Path, probe: Probe) -> None:
    change_fake(path, 0, rates=None)
    change_fake(path, 1, rates=None)
    sample = probe.measure()
    assert (sample.state, sample.message) == (ProbeState.OK, "no CuPy: state only")


def test_a_field_that_is_null_is_unknown(path: Path, probe: Probe) -> None:
    change_fake(path, 0, temperature_c=None, xids=None)
    assert not {"temperature_c", "xid_hard", "xid_soft"} & set(probe.sample().rows[0].values)


def test_a_driver_that_goes_fails_and_comes_back(path: Path, probe: Probe) -> None:
    break_fake(path, "gone")
    gone = probe.sample()
    assert (gone.state, gone.rows) == (ProbeState.FAILED, ())
    assert "driver went away" in gone.message
    assert probe.measure().state is ProbeState.FAILED
    heal_fake(path)
    assert probe.sample().state is ProbeState.OK


def test_no_devices_are_absent(path: Path, probe: Probe) -> None:
    write_fake(path, gpus=0)
    assert probe.sample().state is ProbeState.ABSENT
    assert probe.sample().message == "no NVIDIA GPU: the driver lists none"


RUN = (
    "import sys; from hetslurm.site import AgentSite; from hetslurm.gpu.probe import open_probe;"
    "print('looks', flush=True); open_probe(AgentSite(fake_dir=sys.argv[1])).sample(); print('saw')"
)


def run_probe(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", RUN, str(path.parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_crash_ends_the_process(path: Path) -> None:
    break_fake(path, "crash")
    with run_probe(path) as process:
        said, _ = process.communicate(timeout=60)
        assert (process.returncode, said) == (EXIT_CRASH, "looks\n")


def test_a_hang_hangs_until_it_is_killed(path: Path) -> None:
    break_fake(path, "hang")
    with run_probe(path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "looks\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.kill()
        assert process.stdout.read() == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "gpu.json: "),
        ("[]", 'expected an object with "devices"'),
        ('{"devices": {}}', 'expected an object with "devices"'),
        ('{"devices": [], "falut": ""}', "unknown key 'falut', did you mean 'fault'?"),
        (
            '{"devices": [], "fault": "fire"}',
            "fault 'fire', expected one of hang, crash, flood, gone, absent",
        ),
        (
            '{"devices": [{"temprature_c": 3}]}',
            "device 0: unknown key 'temprature_c', did you mean 'temperature_c'?",
        ),
        ('{"devices": [{"temperature_c": "hot"}]}', "Expected `int | null`"),
        ('{"devices": [{"xids": {"79": 1}}]}', "Expected `array | null`"),
        ('{"devices": [{"rates": {"copy_gb": 1}}]}', "unknown key 'copy_gb', did you mean 'copy_gbs'?"),
        ('{"devices": [{"speed": "slow"}]}', "Expected `float`"),
        ('{"devices": [3]}', "device 0: expected an object"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_words(
    path: Path, probe: Probe, text: str, words: str
) -> None:
    with pytest.raises(ProbeError) as refused:
        parse_fake(text)
    assert words in str(refused.value)
    path.write_text(text)
    sample = probe.sample()
    assert sample.state is ProbeState.FAILED
    assert words in sample.message
    assert probe.measure().state is ProbeState.FAILED


def test_a_file_that_is_gone_fails_the_sample(path: Path, probe: Probe) -> None:
    path.unlink()
    assert probe.sample().state is ProbeState.FAILED


def test_a_change_that_makes_no_sense_changes_nothing(path: Path) -> None:
    before = path.read_text()
    for change in ({"temprature_c": 3}, {"temperature_c": "hot"}):
        with pytest.raises(ProbeError):
            change_fake(path, 0, **change)
    with pytest.raises(ProbeError, match="no fault 'fire'"):
        break_fake(path, "fire")
    assert path.read_text() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["gpu.json"]


COUNT_UP = (
    "import sys; from pathlib import Path; from hetslurm.gpu.fake import change_fake\n"
    "for n in range(50): change_fake(Path(sys.argv[1]), int(sys.argv[2]), ecc_corrected=n + 1)"
)


def test_writers_lose_no_change_and_readers_never_see_half_a_file(path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-P", "-c", COUNT_UP, str(path), str(index)]) for index in range(2)
    ]
    looks = 0
    while any(writer.poll() is None for writer in writers) or not looks:
        assert len(parse_fake(path.read_text()).readings) == 2
        looks += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [device["ecc_corrected"] for device in json.loads(path.read_text())["devices"]] == [50, 50]

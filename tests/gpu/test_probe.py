"""The probe as agents hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hetslurm.gpu.fake import write_fake
from hetslurm.gpu.probe import GpuProbe, open_probe
from hetslurm.site import AgentSite
from hetslurm.telemetry import PROBES, ProbeState


def test_the_probe_is_one_that_telemetry_knows(nvml: Any) -> None:
    assert GpuProbe(nvml.open()).name in PROBES


def test_a_folder_without_gpu_json_leaves_the_real_devices(tmp_path: Path) -> None:
    def says(fake_dir: str) -> tuple[ProbeState, int]:
        probe = open_probe(AgentSite(fake_dir=fake_dir))
        sample = probe.sample()
        probe.close()
        return sample.state, len(sample.rows)

    assert says(str(tmp_path)) == says("")
    write_fake(tmp_path / "gpu.json", gpus=3)
    assert says(str(tmp_path)) == (ProbeState.OK, 3)


def test_measuring_takes_the_idle_devices_and_leaves_the_busy_ones(nvml: Any) -> None:
    busy = nvml.answers["nvmlDeviceGetComputeRunningProcesses_v3"]
    nvml.answers["nvmlDeviceGetComputeRunningProcesses_v3"] = lambda handle: (
        busy(handle) if handle & 1 else []
    )
    nvml.answers["nvmlDeviceGetGraphicsRunningProcesses_v3"] = lambda handle: []
    nvml.answers["nvmlDeviceGetUtilizationRates"] = lambda handle: type("Rates", (), {"gpu": 0})
    sample = GpuProbe(nvml.open()).measure()
    assert sample.state is ProbeState.OK
    assert [dict(row.values) for row in sample.rows] == [{"copy_gbs": 1.0}, {}]
    assert [row.facts["id"] for row in sample.rows] == ["GPU-1000", "GPU-1001"]
    assert sample.message == "gpu 0: GPU-1000; gpu 1: in use by 2 processes"


def test_measuring_without_a_gpu_is_absent_as_looking_is(nvml: Any) -> None:
    nvml.answers["nvmlDeviceGetCount"] = lambda: 0
    sample = GpuProbe(nvml.open()).measure()
    assert (sample.state, sample.rows) == (ProbeState.ABSENT, ())
    assert sample.message == "no NVIDIA GPU: the driver lists none"


def test_closing_lets_go_of_the_driver(nvml: Any) -> None:
    probe = GpuProbe(nvml.open())
    probe.sample()
    probe.close()
    assert nvml.asked[-2:] == ["nvmlEventSetFree", "nvmlShutdown"]
    probe.close()
    assert nvml.asked.count("nvmlShutdown") == 1

"""A scripted NVML: the real binding's constants and errors, answers that a test writes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from hetslurm.gpu.nvml import Nvml
from hetslurm.gpu.reading import Rates

LINKS = 4
NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED

# What one device in good health answers; handles are small integers, as pointers are.
ANSWERS: dict[str, Callable[..., Any]] = {
    "nvmlInit": lambda: None,
    "nvmlShutdown": lambda: None,
    "nvmlDeviceGetCount": lambda: 2,
    "nvmlSystemGetDriverVersion": lambda: "550.54.15",
    "nvmlSystemGetCudaDriverVersion_v2": lambda: 12040,
    "nvmlDeviceGetHandleByIndex": lambda index: 0x1000 + index,
    "nvmlEventSetCreate": lambda: "events",
    "nvmlEventSetFree": lambda events: None,
    "nvmlDeviceRegisterEvents": lambda handle, kinds, events: None,
    "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle:x}",
    "nvmlDeviceGetName": lambda handle: "NVIDIA A100-SXM4-80GB",
    "nvmlDeviceGetPciInfo": lambda handle: SimpleNamespace(busId=f"00000000:{handle & 0xFF:02X}:00.0"),
    "nvmlDeviceGetTemperatureV": lambda handle, sensor: 41,
    "nvmlDeviceGetTemperatureThreshold": lambda handle, threshold: 89,
    "nvmlDeviceGetPowerUsage": lambda handle: 61_500,
    "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 400_000,
    "nvmlDeviceGetCurrentClocksEventReasons": lambda handle: 0x1,
    "nvmlDeviceGetClockInfo": lambda handle, clock: 1095,
    "nvmlDeviceGetMaxClockInfo": lambda handle, clock: 1410,
    "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=3, memory=0),
    "nvmlDeviceGetMemoryInfo": lambda handle, version: SimpleNamespace(used=4 << 20, total=81_920 << 20),
    "nvmlDeviceGetComputeRunningProcesses_v3": lambda handle: [
        SimpleNamespace(pid=7),
        SimpleNamespace(pid=8),
    ],
    "nvmlDeviceGetGraphicsRunningProcesses_v3": lambda handle: [SimpleNamespace(pid=8)],
    "nvmlDeviceGetTotalEccErrors": lambda handle, kind, counter: 5 if kind == 0 else 1,
    "nvmlDeviceGetRemappedRows": lambda handle: (1, 2, 1, 0),
    "nvmlDeviceGetCurrPcieLinkGeneration": lambda handle: 1,
    "nvmlDeviceGetMaxPcieLinkGeneration": lambda handle: 4,
    "nvmlDeviceGetCurrPcieLinkWidth": lambda handle: 16,
    "nvmlDeviceGetMaxPcieLinkWidth": lambda handle: 16,
    "nvmlDeviceGetPcieReplayCounter": lambda handle: 9,
    "nvmlDeviceGetNvLinkErrorCounter": lambda handle, link, counter: 1,
    "nvmlDeviceGetMigMode": lambda handle: [0, 0],
}


class Scripted:
    """Stands in for the module pynvml. What no answer is written for is not supported."""

    NVMLError = pynvml.NVMLError

    def __init__(self) -> None:
        self.answers = dict(ANSWERS)
        self.codes: dict[str, int] = {}  # functions that fail, whatever they are asked
        self.lost: dict[int, int] = {}  # handles that fail, whatever they are asked
        self.events: list[tuple[int, int]] = []  # (handle, XID)
        self.asked: list[str] = []
        self.answers["nvmlDeviceGetNvLinkState"] = self._link_state
        self.answers["nvmlEventSetWait"] = self._wait

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml") or not callable(getattr(pynvml, name, None)):
            return getattr(pynvml, name)  # a constant, or an AttributeError as the binding's own

        def call(*arguments: Any) -> Any:
            self.asked.append(name)
            code = self.codes.get(name)
            if (
                code is None
                and arguments
                and isinstance(arguments[0], int)
                and name != "nvmlDeviceGetHandleByIndex"
            ):
                code = self.lost.get(arguments[0])
            if code is None and name not in self.answers:
                code = NOT_SUPPORTED
            if code is not None:
                raise pynvml.NVMLError(code)
            return self.answers[name](*arguments)

        return call

    @staticmethod
    def _link_state(handle: int, link: int) -> int:
        if link >= LINKS:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return 1

    def _wait(self, events: object, timeout_ms: int) -> Any:
        assert timeout_ms == 0, "a look must not wait for an XID"
        if not self.events:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_TIMEOUT)
        handle, xid = self.events.pop(0)
        return SimpleNamespace(device=handle, eventType=pynvml.nvmlEventTypeXidCriticalError, eventData=xid)

    def open(self, on_bus: tuple[str, ...] = ()) -> Nvml:
        """Devices over this script, with these GPUs on the bus."""
        return Nvml(
            load=lambda: self, on_bus=lambda: on_bus, bench=lambda uuid: Rates({"copy_gbs": 1.0}, uuid)
        )


@pytest.fixture
def nvml() -> Scripted:
    """Two healthy devices, until the test says otherwise."""
    return Scripted()

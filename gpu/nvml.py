"""The GPUs that NVML sees: starts it, keeps its handles, counts XIDs, starts anew when the driver went away.

NVML stays open between looks: opening it costs far more than a look, and XIDs are only told to who waits for
them. An open NVML holds the driver: it cannot be unloaded, nor a device be reset, under a running probe.
"""

from __future__ import annotations

import ctypes
import importlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from hetslurm.gpu.launch import launch
from hetslurm.gpu.pci import gpus_on_bus, same_address
from hetslurm.gpu.queries import (
    DRIVER_GONE,
    DRIVER_NOT_LOADED,
    LIBRARY_NOT_FOUND,
    LOST,
    MUTE,
    VERSION_MISMATCH,
    Asked,
    Device,
)
from hetslurm.gpu.reading import Look, Rates, Reading
from hetslurm.telemetry import ProbeState

# At one look; what is left waits for the next.
MAX_EVENTS = 1024


def binding() -> Any:
    """nvidia-ml-py. Imported only here and only when asked: it is 8,000 lines of ctypes."""
    return importlib.import_module("pynvml")


@dataclass
class Known:
    """What is remembered of a device for as long as this process lives, also while it is lost."""

    facts: Reading
    xids: Counter[int] = field(default_factory=Counter)
    xid_last: int | None = None
    counts_xids: bool = False


class Nvml:
    """Devices through NVML. `load`, `on_bus` and `bench` are what tests put in the place of the real ones."""

    def __init__(
        self,
        load: Callable[[], Any] = binding,
        on_bus: Callable[[], tuple[str, ...]] = gpus_on_bus,
        bench: Callable[[str], Rates] = launch,
    ) -> None:
        self._load = load
        self._on_bus = on_bus
        self._bench = bench
        self._lib: Any = None
        self._devices: list[Device] = []
        self._nameless = 0  # devices that NVML counts and has no handle for
        self._events: Any = None
        self._unlisted = ""
        self._known: dict[str, Known] = {}

    def look(self) -> Look:
        """ABSENT without a GPU; FAILED where there is one, or was, and the driver does not speak for it."""
        if self._lib is None:
            trouble = self._start()
            if trouble is not None:
                return trouble
        self._count_xids()
        readings = {device.key: device.read() for device in self._devices}
        gone = [device for device in self._devices if DRIVER_GONE & device.codes and not device.answers]
        if self._devices and len(gone) == len(self._devices):
            self.close()
            return Look(ProbeState.FAILED, (), "the NVIDIA driver went away; it is looked for at every beat")
        for key, reading in readings.items():
            self._known[key].facts = _facts_only(reading)
        seen = tuple(self._with_xids(key, readings.get(key)) for key in self._known)
        missing = len(self._known) - len(readings)
        nameless = (Reading(lost=True),) * max(0, self._nameless - missing)
        return Look(ProbeState.OK, seen + nameless, self._unlisted)

    def measure(self, reading: Reading) -> Rates:
        """In a process of its own: a CUDA context would stay in this one."""
        return self._bench(reading.uuid or "")

    def close(self) -> None:
        """Let go of the driver; the next look starts anew. What is known of devices stays."""
        lib, self._lib = self._lib, None
        if lib is None:
            return
        ask = Asked(lib)
        if self._events is not None:
            ask("nvmlEventSetFree", self._events)
        ask("nvmlShutdown")
        self._events, self._devices = None, []

    def _start(self) -> Look | None:
        """None when NVML runs and has devices; else what to say."""
        try:
            lib = self._load()
        except ImportError:
            return self._without("the Python package nvidia-ml-py is not installed")
        try:
            lib.nvmlInit()
        except lib.NVMLError as error:
            return self._no_start(int(error.value), str(error))
        self._lib = lib
        ask = Asked(lib)
        count = ask("nvmlDeviceGetCount") or 0
        if not count:
            self.close()
            return self._without("the driver lists none")
        self._open_devices(ask, count)
        return None

    def _open_devices(self, ask: Asked, count: int) -> None:
        driver = ask("nvmlSystemGetDriverVersion")
        cuda = _cuda_text(ask.first(("nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion")))
        self._devices, self._nameless = [], 0
        for index in range(count):
            one = Asked(self._lib)
            handle = one("nvmlDeviceGetHandleByIndex", index)
            if handle is not None:
                device = Device(self._lib, handle, driver, cuda)
                device.key = device.key or f"index {index}"
                self._devices.append(device)
                self._known.setdefault(device.key, Known(Reading()))
            elif (LOST | MUTE) & one.codes:
                self._nameless += 1
        self._register_events()
        self._unlisted = self._find_unlisted()

    def _register_events(self) -> None:
        ask = Asked(self._lib)
        self._events = ask("nvmlEventSetCreate")
        for device in self._devices:
            one = Asked(self._lib)
            if self._events is not None:
                one(
                    "nvmlDeviceRegisterEvents",
                    device.handle,
                    self._lib.nvmlEventTypeXidCriticalError,
                    self._events,
                )
            self._known[device.key].counts_xids = one.answers == 1

    def _count_xids(self) -> None:
        """Takes what waits in the event set, until NVML says that nothing more does, or cannot say."""
        if self._events is None:
            return
        keys = {_address(device.handle): device.key for device in self._devices}
        for _ in range(MAX_EVENTS):
            try:
                event = self._lib.nvmlEventSetWait(self._events, 0)
            except self._lib.NVMLError:
                return
            key = keys.get(_address(event.device))
            if key is not None and event.eventType & self._lib.nvmlEventTypeXidCriticalError:
                known = self._known[key]
                known.xid_last = int(event.eventData)
                known.xids[known.xid_last] += 1

    def _with_xids(self, key: str, reading: Reading | None) -> Reading:
        known = self._known[key]
        if reading is None:
            reading = replace(known.facts, lost=True)
        if not known.counts_xids:
            return reading
        return replace(reading, xids=dict(known.xids), xid_last=known.xid_last)

    def _find_unlisted(self) -> str:
        if self._nameless:
            return ""
        listed = [device.pci or "" for device in self._devices]
        others = [one for one in self._on_bus() if not any(same_address(one, other) for other in listed)]
        return f"on the bus, but not listed by the driver: {', '.join(others)}" if others else ""

    def _no_start(self, code: int, text: str) -> Look:
        if code == LIBRARY_NOT_FOUND:
            return self._without("NVML (libnvidia-ml.so.1) is not installed")
        if code == DRIVER_NOT_LOADED:
            return self._without("the driver is not loaded")
        if code == VERSION_MISMATCH:
            if self._known:
                # The library in this process is the old driver's, and no process can load it twice. Whoever
                # watches this one starts another, which takes the new library.
                raise SystemExit("the NVIDIA driver was updated under this process")
            text += " (the driver was updated: load its new module, or reboot)"
        return Look(ProbeState.FAILED, (), f"NVML does not start: {text}")

    def _without(self, why: str) -> Look:
        """No device that could be asked: is there none, or is it the driver that is missing?"""
        if self._known:
            return Look(ProbeState.FAILED, (), f"the NVIDIA driver went away: {why}")
        there = self._on_bus()
        if there:
            return Look(
                ProbeState.FAILED, (), f"{len(there)} NVIDIA GPUs on the bus ({', '.join(there)}), but {why}"
            )
        return Look(ProbeState.ABSENT, (), f"no NVIDIA GPU: {why}")


def _facts_only(reading: Reading) -> Reading:
    return Reading(
        uuid=reading.uuid, name=reading.name, pci=reading.pci, driver=reading.driver, cuda=reading.cuda
    )


def _cuda_text(version: int | None) -> str | None:
    """NVML's 12040 is CUDA 12.4."""
    return None if version is None else f"{version // 1000}.{version % 1000 // 10}"


def _address(handle: Any) -> int | None:
    """Handles are pointers; two that point to the same device are not the same object."""
    return ctypes.cast(handle, ctypes.c_void_p).value

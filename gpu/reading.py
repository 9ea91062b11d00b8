"""What is read of one device, before anybody makes sense of it, and who reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hetslurm.telemetry import ProbeState


@dataclass(frozen=True, slots=True)
class Reading:
    """One device in NVML's own units. None: the driver would not say, or does not know.

    `lost`: the driver said that the device is gone or needs a reset, or nothing of it answered.
    `clock_reasons` are NVML's bits (see hetslurm.gpu.sample). `xids` counts each number since the probe first
    saw the device; `xid_last` is the newest. `nvlinks` has one entry a link: up, down, or None.
    `mig_layout` is None where MIG is off or unknown, else one profile an instance. `ecc_*` are volatile:
    since the driver was loaded.
    """

    uuid: str | None = None
    name: str | None = None
    pci: str | None = None
    driver: str | None = None
    cuda: str | None = None
    lost: bool | None = None
    temperature_c: int | None = None
    temperature_slowdown_c: int | None = None
    temperature_margin_c: int | None = None
    power_mw: int | None = None
    power_limit_mw: int | None = None
    clock_reasons: int | None = None
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    utilization_percent: int | None = None
    mem_total_bytes: int | None = None
    mem_used_bytes: int | None = None
    processes: int | None = None
    ecc_corrected: int | None = None
    ecc_uncorrected: int | None = None
    remapped_uncorrected: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    xids: Mapping[int, int] | None = None
    xid_last: int | None = None
    pcie_gen: int | None = None
    pcie_gen_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    pcie_replays: int | None = None
    nvlinks: tuple[bool | None, ...] | None = None
    nvlink_errors: int | None = None
    mig: bool | None = None
    mig_layout: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at all devices. `message` says why where `state` is not OK, or what is odd where it is."""

    state: ProbeState
    readings: tuple[Reading, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a benchmark found of one device: RATE metrics by name, and what could not be measured."""

    values: Mapping[str, float] = field(default_factory=dict)
    message: str = ""


class Devices(Protocol):
    """The GPUs of this node: NVML's, or a file's that stands in for them."""

    def look(self) -> Look:
        """Read all devices, always in the same order. ProbeError where what answers makes no sense."""
        ...

    def measure(self, reading: Reading) -> Rates:
        """Work one device that is idle. Takes seconds."""
        ...

    def close(self) -> None:
        """Let go of the driver."""
        ...

"""From readings to the rows that travel, and whether a device is idle. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hetslurm.gpu.reading import Look, Reading
from hetslurm.gpu.xid import is_hard, word
from hetslurm.telemetry import Row, Sample

# Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h, nvmlClocksEventReason*).
SW_POWER_CAP = 0x04
HW_SLOWDOWN = 0x08
SW_THERMAL = 0x20
HW_THERMAL = 0x40
HW_POWER_BRAKE = 0x80

MIB = 1 << 20
# What NVML writes where a field that it does answer has no value: all ones, in 32 or 64 bits.
NO_VALUE = frozenset({(1 << 32) - 1, (1 << 64) - 1})

# One to one, with what turns NVML's unit into the metric's.
_PLAIN: dict[str, tuple[str, float]] = {
    "temperature_c": ("temperature_c", 1.0),
    "power_w": ("power_mw", 1e-3),
    "power_limit_w": ("power_limit_mw", 1e-3),
    "sm_clock_mhz": ("sm_clock_mhz", 1.0),
    "sm_clock_max_mhz": ("sm_clock_max_mhz", 1.0),
    "utilization_ratio": ("utilization_percent", 1e-2),
    "mem_total_mb": ("mem_total_bytes", 1 / MIB),
    "mem_used_mb": ("mem_used_bytes", 1 / MIB),
    "processes": ("processes", 1.0),
    "ecc_corrected": ("ecc_corrected", 1.0),
    "ecc_uncorrected": ("ecc_uncorrected", 1.0),
    "remapped_uncorrected": ("remapped_uncorrected", 1.0),
    "pcie_replays": ("pcie_replays", 1.0),
    "nvlink_errors": ("nvlink_errors", 1.0),
}
_FLAGS = ("lost", "remap_pending", "remap_failed", "mig")
# A link of generation or width 0 would not have answered: 0 is how NVML says that it does not know.
_NEVER_ZERO = ("pcie_gen", "pcie_gen_max", "pcie_width", "pcie_width_max")

_THROTTLES = {
    "throttle_hw": HW_SLOWDOWN | HW_THERMAL | HW_POWER_BRAKE,
    "throttle_thermal": SW_THERMAL | HW_THERMAL,
    "throttle_power_brake": HW_POWER_BRAKE,
    "throttle_power_cap": SW_POWER_CAP,
}


def sample_of(look: Look) -> Sample:
    """The sample that a look makes."""
    return Sample("gpu", look.state, tuple(row_of(reading) for reading in look.readings), look.message)


def row_of(reading: Reading) -> Row:
    """The row of one device; what is not known is left out."""
    values: dict[str, float] = {}
    for metric, (name, factor) in _PLAIN.items():
        _put(values, metric, getattr(reading, name), factor)
    for flag in _FLAGS:
        _put(values, flag, getattr(reading, flag))
    for metric in _NEVER_ZERO:
        _put(values, metric, getattr(reading, metric) or None)
    _put(values, "temperature_slowdown_c", _slowdown_c(reading))
    if reading.clock_reasons is not None:
        for metric, bits in _THROTTLES.items():
            values[metric] = float(bool(reading.clock_reasons & bits))
    _put_xids(values, reading)
    _put_links(values, reading)
    if reading.mig is False:
        values["mig_instances"] = 0.0
    elif reading.mig and reading.mig_layout is not None:
        values["mig_instances"] = float(len(reading.mig_layout))
    return Row(values, facts_of(reading))


def facts_of(reading: Reading) -> Mapping[str, str]:
    """What the device is called. "xid" is the newest XID in words, "mig" the layout, as "2x1g.10gb"."""
    facts = {
        "id": reading.uuid or reading.pci,
        "name": reading.name,
        "driver": reading.driver,
        "cuda": reading.cuda,
        "pci": reading.pci,
        "mig": _layout(reading),
        "xid": None if reading.xid_last is None else word(reading.xid_last),
    }
    return {name: text for name, text in facts.items() if text}


def why_busy(reading: Reading) -> str:
    """Why a benchmark must leave this device alone; "" where it is idle. Not knowing is not idle."""
    processes, utilization = reading.processes, reading.utilization_percent
    reasons = (
        (reading.lost, "lost"),
        (reading.mig, "partitioned into MIG instances"),
        (processes, "in use by a process" if processes == 1 else f"in use by {processes} processes"),
        (utilization, f"{utilization} % utilized"),
        (processes is None or utilization is None, "cannot tell whether it is idle"),
        (not reading.uuid, "has no UUID to choose it by"),
    )
    return next((text for holds, text in reasons if holds), "")


def _put(values: dict[str, float], metric: str, number: float | None, factor: float = 1.0) -> None:
    if number is not None and number not in NO_VALUE and math.isfinite(number):
        values[metric] = number * factor


def _slowdown_c(reading: Reading) -> float | None:
    """The threshold that the driver names, or where the margin to it says that it lies (newer devices)."""
    if reading.temperature_slowdown_c:
        return reading.temperature_slowdown_c
    if reading.temperature_margin_c is None or reading.temperature_c is None:
        return None
    return reading.temperature_c + reading.temperature_margin_c


def _put_xids(values: dict[str, float], reading: Reading) -> None:
    _put(values, "xid_last", reading.xid_last)
    if reading.xids is not None:
        hard = sum(count for xid, count in reading.xids.items() if is_hard(xid))
        values["xid_hard"] = float(hard)
        values["xid_soft"] = float(sum(reading.xids.values()) - hard)


def _put_links(values: dict[str, float], reading: Reading) -> None:
    if reading.nvlinks is None:
        return
    values["nvlinks"] = float(len(reading.nvlinks))
    if None not in reading.nvlinks:
        values["nvlinks_up"] = float(sum(map(bool, reading.nvlinks)))


def _layout(reading: Reading) -> str | None:
    if not reading.mig_layout:
        return None
    counts = {profile: reading.mig_layout.count(profile) for profile in sorted(set(reading.mig_layout))}
    return ",".join(f"{count}x{profile}" for profile, count in counts.items())

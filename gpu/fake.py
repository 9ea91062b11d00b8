"""GPUs that a file pretends: `<fake_dir>/gpu.json`, read again at each look. For sandbox, demo and tests.

    {"fault": "", "devices": [
        {"uuid": "GPU-…", "temperature_c": 34, …, "rates": {"copy_gbs": 1650.0, …}, "speed": 1.0}]}

A device has the fields of `hetslurm.gpu.reading.Reading` in NVML's units, a missing one is unknown; "xids" is
the list of XIDs that came, in order. "rates" is what a benchmark finds, times "speed". "fault" is what
happens to the whole probe: "hang", "crash", "flood" (more words than anybody may say), "gone" (the driver) or
"absent". What is not known is refused.
"""

from __future__ import annotations

import difflib
import fcntl
import json
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from hetslurm.errors import ProbeError
from hetslurm.gpu.launch import NO_CUPY, RATES
from hetslurm.gpu.reading import Look, Rates, Reading
from hetslurm.gpu.sample import HW_SLOWDOWN, HW_THERMAL, MIB
from hetslurm.telemetry import ProbeState

FILE = "gpu.json"
NAME = "NVIDIA A100-SXM4-80GB"
PROBE_FAULTS = ("hang", "crash", "flood", "gone", "absent")
EXIT_CRASH = 70
FLOOD_BYTES = 8 << 20

# A device in good health, idle. Pretended numbers, of the size that such a device shows.
HEALTHY: dict[str, Any] = {
    "driver": "550.54.15",
    "cuda": "12.4",
    "lost": False,
    "temperature_c": 34,
    "temperature_slowdown_c": 89,
    "power_mw": 62_000,
    "power_limit_mw": 400_000,
    "clock_reasons": 0x1,
    "sm_clock_mhz": 1410,
    "sm_clock_max_mhz": 1410,
    "utilization_percent": 0,
    "mem_total_bytes": 81_920 * MIB,
    "mem_used_bytes": 4 * MIB,
    "processes": 0,
    "ecc_corrected": 0,
    "ecc_uncorrected": 0,
    "remapped_uncorrected": 0,
    "remap_pending": False,
    "remap_failed": False,
    "xids": [],
    "pcie_gen": 4,
    "pcie_gen_max": 4,
    "pcie_width": 16,
    "pcie_width_max": 16,
    "pcie_replays": 0,
    "nvlinks": [True] * 12,
    "nvlink_errors": 0,
    "mig": False,
    "speed": 1.0,
    "rates": {
        "copy_gbs": 1650.0,
        "h2d_gbs": 25.0,
        "d2h_gbs": 26.0,
        "gemm_fp64_tflops": 18.0,
        "gemm_fp32_tflops": 18.5,
        "gemm_fp16_tflops": 270.0,
        "gemm_bf16_tflops": 265.0,
    },
}

# Ways in which one device goes bad: what `break_fake` changes.
FAULTS: dict[str, dict[str, Any]] = {
    "ecc": {"ecc_uncorrected": 3, "xids": [48]},
    "remap": {"remap_pending": True, "remapped_uncorrected": 1, "xids": [63, 94]},
    "remap-failed": {"remap_failed": True, "remapped_uncorrected": 8, "xids": [64]},
    "xid": {"xids": [62]},
    "xid-soft": {"xids": [31, 13]},
    "throttle": {"clock_reasons": HW_SLOWDOWN | HW_THERMAL, "sm_clock_mhz": 210},
    "hot": {"temperature_c": 88},
    "pcie": {"pcie_width": 4},
    "nvlink": {"nvlinks": [False] + [True] * 11, "nvlink_errors": 1200},
    "lost": {"lost": True, "xids": [79]},
    "busy": {"processes": 1, "utilization_percent": 97, "power_mw": 380_000},
    "slow": {"speed": 0.6},
}

_FIELDS = frozenset(field.name for field in fields(Reading)) - {"xid_last"}
_KEYS = _FIELDS | {"rates", "speed"}


@dataclass(frozen=True, slots=True)
class Pretended:
    """The file, understood."""

    fault: str
    readings: tuple[Reading, ...]
    rates: tuple[dict[str, float] | None, ...]


class Fake:
    """Devices out of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self) -> Look:
        """What the file says now. ProbeError where it says what this does not know."""
        now = parse_fake(self._text(), str(self._path))
        if now.fault == "hang":
            threading.Event().wait()
        if now.fault == "crash":
            os._exit(EXIT_CRASH)
        if now.fault == "flood":
            return Look(ProbeState.FAILED, (), "x" * FLOOD_BYTES)
        if now.fault == "gone":
            return Look(ProbeState.FAILED, (), "the NVIDIA driver went away; it is looked for at every beat")
        if now.fault == "absent" or not now.readings:
            return Look(ProbeState.ABSENT, (), "no NVIDIA GPU: the driver lists none")
        return Look(ProbeState.OK, now.readings)

    def measure(self, reading: Reading) -> Rates:
        """The rates of the file."""
        now = parse_fake(self._text(), str(self._path))
        for pretended, rates in zip(now.readings, now.rates, strict=True):
            if pretended.uuid == reading.uuid and rates is not None:
                return Rates(rates)
        return Rates(message=NO_CUPY)

    def close(self) -> None:
        """Nothing is held."""

    def _text(self) -> str:
        try:
            return self._path.read_text()
        except OSError as error:
            raise ProbeError(f"{self._path}: {error.strerror}") from error


def parse_fake(text: str, where: str = FILE) -> Pretended:
    """The devices that this JSON pretends. ProbeError names the key or the value that cannot be."""
    try:
        told = json.loads(text)
    except ValueError as error:
        raise ProbeError(f"{where}: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("devices"), list):
        raise ProbeError(f'{where}: expected an object with "devices", a list')
    _check_keys(told, frozenset({"fault", "devices"}), where)
    fault = told.get("fault", "")
    if fault and fault not in PROBE_FAULTS:
        raise ProbeError(f"{where}: fault {fault!r}, expected one of {', '.join(PROBE_FAULTS)}")
    pairs = [_device(one, f"{where}: device {index}") for index, one in enumerate(told["devices"])]
    return Pretended(fault, tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def write_fake(path: Path, gpus: int = 1, name: str = NAME, **changes: Any) -> None:
    """Pretend so many healthy devices, all with these changes. Their UUIDs depend on the path alone."""
    devices = [HEALTHY | _identity(path, index, name) | changes for index in range(gpus)]
    _write(path, {"fault": "", "devices": devices})


def change_fake(path: Path, index: int | None = None, **changes: Any) -> None:
    """Change fields of one device, or of the file itself (`fault=`) where `index` is None. Atomic."""
    with _locked(path) as told:
        target = told if index is None else told["devices"][index]
        target.update(changes)


def break_fake(path: Path, fault: str, index: int = 0) -> None:
    """Let a device go bad in one of FAULTS, or the whole probe in one of PROBE_FAULTS."""
    if fault in PROBE_FAULTS:
        change_fake(path, fault=fault)
    elif fault in FAULTS:
        change_fake(path, index, **FAULTS[fault])
    else:
        known = ", ".join((*FAULTS, *PROBE_FAULTS))
        raise ProbeError(f"no fault {fault!r} of a GPU, expected one of {known}")


def heal_fake(path: Path) -> None:
    """All devices healthy again, with the names that they have. Counters start anew, as after a reset."""
    with _locked(path) as told:
        told["fault"] = ""
        for device in told["devices"]:
            device.update(HEALTHY)


def _identity(path: Path, index: int, name: str) -> dict[str, str]:
    device = uuid.uuid5(uuid.NAMESPACE_URL, f"{path}#{index}")
    return {"uuid": f"GPU-{device}", "name": name, "pci": f"00000000:{0x10 + index:02X}:00.0"}


def _device(told: Any, where: str) -> tuple[Reading, dict[str, float] | None]:
    if not isinstance(told, dict):
        raise ProbeError(f"{where}: expected an object")
    _check_keys(told, _KEYS, where)
    values = {key: value for key, value in told.items() if key in _FIELDS}
    try:
        xids = msgspec.convert(values.pop("xids", None), list[int] | None)
        if xids is not None:
            values |= {"xids": Counter(xids), "xid_last": xids[-1] if xids else None}
        reading = msgspec.convert(values, Reading)
        rates = msgspec.convert(told.get("rates"), dict[str, float] | None)
        speed = msgspec.convert(told.get("speed", 1.0), float)
    except msgspec.ValidationError as error:
        raise ProbeError(f"{where}: {error}") from error
    if rates is not None:
        _check_keys(rates, RATES, f"{where}: rates")
        rates = {metric: rate * speed for metric, rate in rates.items()}
    return _only_lost(reading) if reading.lost else reading, rates


def _only_lost(reading: Reading) -> Reading:
    """A device that is lost says nothing more."""
    kept = {
        key: getattr(reading, key) for key in ("uuid", "name", "pci", "driver", "cuda", "xids", "xid_last")
    }
    return Reading(lost=True, **kept)


def _check_keys(told: dict[str, Any], known: frozenset[str], where: str) -> None:
    for key in told:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), 1)
            raise ProbeError(
                f"{where}: unknown key {key!r}" + (f", did you mean {near[0]!r}?" if near else "")
            )


@contextmanager
def _locked(path: Path) -> Iterator[dict[str, Any]]:
    """What the file says, to be changed; written back whole, unless the change makes no sense."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        told = json.loads(path.read_text())
        yield told
        _write(path, told)
    finally:
        os.close(folder)


def _write(path: Path, told: dict[str, Any]) -> None:
    text = json.dumps(told, indent=1, ensure_ascii=False)
    parse_fake(text, str(path))
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    new.write_text(text)
    new.replace(path)

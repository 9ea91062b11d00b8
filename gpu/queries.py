"""What NVML is asked of one device. One answer that is missing costs that number and no other."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from hetslurm.gpu.reading import Reading

# NVML's return codes (nvml.h, nvmlReturn_t).
UNINITIALIZED = 1
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
VERSION_MISMATCH = 18
# The device itself is gone, or must be reset before it does anything again: lost, reset required, not found.
LOST = frozenset({15, 16, 28})
# It did not answer: timeout, interrupts, the system in between, unknown. Where nothing answers, it is lost.
MUTE = frozenset({TIMEOUT, 11, 17, 999})
# The driver is gone, and the device may be well.
DRIVER_GONE = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, VERSION_MISMATCH})

# NVLink counters are read of a sixth of the links at each look: a device has up to 18 links of 4 counters.
TURNS = 6
NVLINK_COUNTERS = (
    "NVML_NVLINK_ERROR_DL_REPLAY",
    "NVML_NVLINK_ERROR_DL_RECOVERY",
    "NVML_NVLINK_ERROR_DL_CRC_FLIT",
    "NVML_NVLINK_ERROR_DL_CRC_DATA",
)
DOUBLE_BIT_PAGES = 1  # nvmlPageRetirementCause_t


class Asked:
    """Asks NVML, and remembers how many answers there were and what codes stood in for the others."""

    def __init__(self, lib: Any) -> None:
        self._lib = lib
        self.answers = 0
        self.codes: set[int] = set()

    def __call__(self, function: str, *arguments: Any) -> Any:
        """The answer, or None. A function that this binding is too old for is None."""
        call = getattr(self._lib, function, None)
        if call is None:
            self.codes.add(FUNCTION_NOT_FOUND)
            return None
        try:
            answer = call(*arguments)
        except self._lib.NVMLError as error:
            self.codes.add(int(error.value))
            return None
        self.answers += 1
        return answer

    def first(self, functions: Iterable[str], *arguments: Any) -> Any:
        """The first answer that is one: newer names come first."""
        for function in functions:
            answer = self(function, *arguments)
            if answer is not None:
                return answer
        return None


def is_lost(codes: Collection[int], answers: int) -> bool | None:
    """Whether these codes, beside so many answers, say that the device is lost. None: nobody can tell."""
    if LOST.intersection(codes):
        return True
    if answers:
        return False
    return True if MUTE.intersection(codes) else None


class Device:
    """One device that NVML has a handle for. What cannot change is asked until it is answered, then kept."""

    def __init__(self, lib: Any, handle: Any, driver: str | None, cuda: str | None) -> None:
        self.handle = handle
        self._lib = lib
        self._driver = driver
        self._cuda = cuda
        self._kept: dict[str, Any] = {}
        self._links: list[int] | None = None
        self._was_linked = False
        self._link_errors: dict[int, int] = {}
        self._turn = 0
        self.codes: frozenset[int] = frozenset()
        self.answers = 0
        self.key = self._keep("uuid", "nvmlDeviceGetUUID") or self.pci or ""

    def read(self) -> Reading:
        """Everything but the XIDs. Leaves in `codes` and `answers` how NVML took it."""
        ask = Asked(self._lib)
        lib, handle = self._lib, self.handle
        used, total = self._memory(ask)
        uncorrected, pending, failed = self._remaps(ask)
        mig, layout = self._mig(ask)
        rates = ask("nvmlDeviceGetUtilizationRates", handle)
        reading = Reading(
            uuid=self._keep("uuid", "nvmlDeviceGetUUID"),
            name=self._keep("name", "nvmlDeviceGetName"),
            pci=self.pci,
            driver=self._driver,
            cuda=self._cuda,
            temperature_c=ask.first(
                ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"), handle, lib.NVML_TEMPERATURE_GPU
            ),
            temperature_slowdown_c=self._keep(
                "slowdown", "nvmlDeviceGetTemperatureThreshold", lib.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
            ),
            temperature_margin_c=self._margin(ask),
            power_mw=ask("nvmlDeviceGetPowerUsage", handle),
            power_limit_mw=ask("nvmlDeviceGetEnforcedPowerLimit", handle),
            clock_reasons=ask.first(
                ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
                handle,
            ),
            sm_clock_mhz=ask("nvmlDeviceGetClockInfo", handle, lib.NVML_CLOCK_SM),
            sm_clock_max_mhz=self._keep("sm_clock_max", "nvmlDeviceGetMaxClockInfo", lib.NVML_CLOCK_SM),
            utilization_percent=None if rates is None else int(rates.gpu),
            mem_total_bytes=total,
            mem_used_bytes=used,
            processes=self._processes(ask),
            ecc_corrected=self._ecc(ask, lib.NVML_MEMORY_ERROR_TYPE_CORRECTED),
            ecc_uncorrected=self._ecc(ask, lib.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
            remapped_uncorrected=uncorrected,
            remap_pending=pending,
            remap_failed=failed,
            pcie_gen=ask("nvmlDeviceGetCurrPcieLinkGeneration", handle),
            pcie_gen_max=self._keep("pcie_gen_max", "nvmlDeviceGetMaxPcieLinkGeneration"),
            pcie_width=ask("nvmlDeviceGetCurrPcieLinkWidth", handle),
            pcie_width_max=self._keep("pcie_width_max", "nvmlDeviceGetMaxPcieLinkWidth"),
            pcie_replays=ask("nvmlDeviceGetPcieReplayCounter", handle),
            nvlinks=self._nvlinks(ask),
            nvlink_errors=self._nvlink_errors(ask),
            mig=mig,
            mig_layout=layout,
            lost=is_lost(ask.codes, ask.answers),
        )
        self.codes, self.answers = frozenset(ask.codes), ask.answers
        self._turn += 1
        return reading

    def _keep(self, name: str, function: str, *arguments: Any) -> Any:
        if name not in self._kept:
            answer = Asked(self._lib)(function, self.handle, *arguments)
            if answer is None:
                return None
            self._kept[name] = answer
        return self._kept[name]

    @property
    def pci(self) -> str | None:
        """Its PCI address, as NVML writes it."""
        info = self._keep("pci", "nvmlDeviceGetPciInfo")
        if info is None:
            return None
        bus_id = info.busId
        return bus_id.decode() if isinstance(bus_id, bytes) else str(bus_id)

    def _margin(self, ask: Asked) -> int | None:
        """Only asked where the driver names no threshold (Ada and newer may not)."""
        if self._kept.get("slowdown"):
            return None
        margin: int | None = ask("nvmlDeviceGetMarginTemperature", self.handle)
        return margin

    def _memory(self, ask: Asked) -> tuple[int | None, int | None]:
        """Version 2 leaves out what the driver reserves for itself."""
        version = getattr(self._lib, "nvmlMemory_v2", None)
        info = None if version is None else ask("nvmlDeviceGetMemoryInfo", self.handle, version)
        if info is None:
            info = ask("nvmlDeviceGetMemoryInfo", self.handle)
        return (None, None) if info is None else (int(info.used), int(info.total))

    def _processes(self, ask: Asked) -> int | None:
        compute = ask.first(_versions("nvmlDeviceGetComputeRunningProcesses"), self.handle)
        graphics = ask.first(_versions("nvmlDeviceGetGraphicsRunningProcesses"), self.handle)
        if compute is None:
            return None
        return len({process.pid for process in (*compute, *(graphics or ()))})

    def _ecc(self, ask: Asked, kind: int) -> int | None:
        count: int | None = ask("nvmlDeviceGetTotalEccErrors", self.handle, kind, self._lib.NVML_VOLATILE_ECC)
        return count

    def _remaps(self, ask: Asked) -> tuple[int | None, bool | None, bool | None]:
        """Rows remapped (Ampere and newer); before, pages retired for double-bit errors."""
        rows = ask("nvmlDeviceGetRemappedRows", self.handle)
        if rows is not None:
            _, uncorrected, pending, failed = rows
            return int(uncorrected), bool(pending), bool(failed)
        pages = ask("nvmlDeviceGetRetiredPages", self.handle, DOUBLE_BIT_PAGES)
        waits = ask("nvmlDeviceGetRetiredPagesPendingStatus", self.handle)
        return None if pages is None else len(pages), None if waits is None else bool(waits), None

    def _mig(self, ask: Asked) -> tuple[bool | None, tuple[str, ...] | None]:
        modes = ask("nvmlDeviceGetMigMode", self.handle)
        if modes is None:
            return None, None
        if not modes[0]:
            return False, None
        most = ask("nvmlDeviceGetMaxMigDeviceCount", self.handle)
        if most is None:
            return True, None
        handles = (
            Asked(self._lib)("nvmlDeviceGetMigDeviceHandleByIndex", self.handle, n) for n in range(most)
        )
        return True, tuple(self._profile(handle) for handle in handles if handle is not None)

    def _profile(self, handle: Any) -> str:
        name = Asked(self._lib)("nvmlDeviceGetName", handle) or ""
        return str(name).rpartition("MIG ")[2] or "instance"

    def _nvlinks(self, ask: Asked) -> tuple[bool | None, ...] | None:
        """None also while no link was ever up: a card without a bridge looks just like that to NVML."""
        if self._links is None:
            self._links = self._find_links()
        if not self._links:
            return None
        states = [ask("nvmlDeviceGetNvLinkState", self.handle, link) for link in self._links]
        self._was_linked = self._was_linked or any(states)
        return tuple(None if state is None else bool(state) for state in states) if self._was_linked else None

    def _find_links(self) -> list[int]:
        """NVML answers for the capability of links that are not there, but not for their state."""
        asked = Asked(self._lib)
        most = getattr(self._lib, "NVML_NVLINK_MAX_LINKS", 0)
        return [n for n in range(most) if asked("nvmlDeviceGetNvLinkState", self.handle, n) is not None]

    def _nvlink_errors(self, ask: Asked) -> int | None:
        counters = [getattr(self._lib, name) for name in NVLINK_COUNTERS if hasattr(self._lib, name)]
        for link in self._links or ():
            if self._turn and link % TURNS != self._turn % TURNS:
                continue
            counts = [
                ask("nvmlDeviceGetNvLinkErrorCounter", self.handle, link, counter) for counter in counters
            ]
            known = [int(count) for count in counts if count is not None]
            if known:
                self._link_errors[link] = sum(known)
        return sum(self._link_errors.values()) if self._link_errors else None


def _versions(function: str) -> tuple[str, str]:
    """Named by version: without one, the binding does not raise an NVMLError where the driver is older."""
    return f"{function}_v3", f"{function}_v2"

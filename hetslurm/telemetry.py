"""What probes see of a node: the metrics that each probe knows, and one sample of them.

A probe has a fixed list of metrics. A sample has a row for each device that the probe looked at (one row for
the host itself) with a number for each metric; a number that nobody knows is NaN, never 0. Metrics are only
ever appended to a list: their place in it is their place on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

UNKNOWN = float("nan")


class ProbeState(IntEnum):
    """How the newest run of a probe ended."""

    PENDING = 0  # has not run yet
    OK = 1
    ABSENT = 2  # there is no such device here, or no library that could see one
    FAILED = 3  # said why not
    TIMED_OUT = 4  # was killed at its deadline
    CRASHED = 5  # died, or answered what cannot be read

    @property
    def label(self) -> str:
        """The word used in JSON and tables."""
        return self.name.lower().replace("_", " ")


class Meaning(IntEnum):
    """How a metric is to be read."""

    GAUGE = 0
    COUNTER = 1  # only rises, until a reboot or a reset
    FLAG = 2  # 0 or 1
    RATE = 3  # what a benchmark measured: more is better, compared with the device's own past


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a row. `unit` "" for counts, flags and ratios."""

    name: str
    unit: str
    text: str
    meaning: Meaning = Meaning.GAUGE


def _flag(name: str, text: str) -> Metric:
    return Metric(name, "", text, Meaning.FLAG)


def _count(name: str, text: str) -> Metric:
    return Metric(name, "", text, Meaning.COUNTER)


def _rate(name: str, unit: str, text: str) -> Metric:
    return Metric(name, unit, text, Meaning.RATE)


_MEASURED_AGE = Metric("measured_age_s", "s", "age of the newest benchmark when the sample was taken")

HOST = (
    Metric("load1", "", "load average over one minute"),
    Metric("cpus", "", "cpus online"),
    Metric("mem_total_mb", "MiB", "memory"),
    Metric("mem_available_mb", "MiB", "memory that new work could have without swapping"),
    Metric("swap_used_ratio", "", "swap in use over swap there is"),
    _count("oom_kills", "processes that the kernel killed for want of memory"),
    Metric("psi_cpu_some", "%", "share of the last 10 s in which some task waited for a cpu"),
    Metric("psi_memory_full", "%", "share of the last 10 s in which every task waited for memory"),
    Metric("psi_io_full", "%", "share of the last 10 s in which every task waited for input or output"),
    Metric("disk_used_ratio", "", "the fullest local file system, blocks or inodes"),
    Metric("read_only_disks", "", "local file systems that the kernel turned read-only"),
    _flag("clock_synced", "the kernel's clock is disciplined"),
    Metric("clock_offset_s", "s", "offset that the clock's discipline still sees"),
    _count("mem_corrected", "memory errors that ECC corrected (EDAC)"),
    _count("mem_uncorrected", "memory errors that ECC could not correct (EDAC)"),
    _count("cpu_throttles", "times that a core was slowed for its heat"),
    _count("kernel_errors", "kernel log lines that say hardware or a file system is broken"),
    _count("kernel_warnings", "kernel log lines that say something hung or was retried"),
    Metric("uptime_s", "s", "since boot"),
    _rate("mem_gbs", "GB/s", "memory bandwidth, triad over all cpus"),
    _rate("dgemm_gflops", "GFLOP/s", "double-precision matrix product over all cpus"),
    _MEASURED_AGE,
)

LINK = (
    _flag("up", "the link is up"),
    Metric("speed_mbps", "Mbit/s", "negotiated speed"),
    Metric("expected_mbps", "Mbit/s", "speed that the admin expects"),
    _count("errors", "packets received or sent with an error, or symbol errors"),
    _count("carrier_losses", "times that the link went down"),
)

MOUNT = (
    _flag("mounted", "something is mounted there"),
    _flag("alive", "it answered within its deadline"),
    _flag("read_only", "it is read-only though it should not be"),
    Metric("used_ratio", "", "blocks or inodes in use, the fuller of the two"),
    Metric("answer_s", "s", "how long it took to answer"),
)

GPU = (
    _flag("lost", "the device has fallen off its bus or does not answer"),
    Metric("temperature_c", "°C", "core temperature"),
    Metric("temperature_slowdown_c", "°C", "core temperature at which the hardware slows down"),
    Metric("power_w", "W", "power drawn"),
    Metric("power_limit_w", "W", "power limit in force"),
    _flag("throttle_hw", "hardware slowdown: heat or power brake"),
    _flag("throttle_thermal", "slowed down for heat, by hardware or driver"),
    _flag("throttle_power_brake", "slowed down by an external power brake"),
    _flag("throttle_power_cap", "held at its power limit"),
    Metric("sm_clock_mhz", "MHz", "clock now"),
    Metric("sm_clock_max_mhz", "MHz", "highest clock"),
    Metric("utilization_ratio", "", "share of the last sample period in which a kernel ran"),
    Metric("mem_total_mb", "MiB", "device memory"),
    Metric("mem_used_mb", "MiB", "device memory in use"),
    Metric("processes", "", "processes with a context on the device"),
    _count("ecc_corrected", "ECC errors corrected since the driver was loaded"),
    _count("ecc_uncorrected", "ECC errors not corrected since the driver was loaded"),
    Metric("remapped_uncorrected", "", "rows remapped for uncorrectable errors, over the device's life"),
    _flag("remap_pending", "a row remap waits for a reset"),
    _flag("remap_failed", "a row remap failed: no spare row is left"),
    _count("xid_hard", "XIDs that say the device or its memory is broken"),
    _count("xid_soft", "XIDs that a program can cause"),
    Metric("xid_last", "", "number of the newest XID"),
    Metric("pcie_gen", "", "PCIe generation of the link"),
    Metric("pcie_gen_max", "", "PCIe generation that card and slot could have"),
    Metric("pcie_width", "", "PCIe lanes of the link"),
    Metric("pcie_width_max", "", "PCIe lanes that card and slot could have"),
    _count("pcie_replays", "PCIe packets sent again"),
    Metric("nvlinks", "", "NVLinks that the device has"),
    Metric("nvlinks_up", "", "NVLinks that are up"),
    _count("nvlink_errors", "NVLink replays, recoveries and CRC errors"),
    _flag("mig", "partitioned into MIG instances"),
    Metric("mig_instances", "", "MIG instances there are"),
    _rate("copy_gbs", "GB/s", "device memory bandwidth of a copy, read and written bytes"),
    _rate("h2d_gbs", "GB/s", "host to device, pinned memory"),
    _rate("d2h_gbs", "GB/s", "device to host, pinned memory"),
    _rate("gemm_fp64_tflops", "TFLOP/s", "matrix product in fp64, random data"),
    _rate("gemm_fp32_tflops", "TFLOP/s", "matrix product in fp32, random data"),
    _rate("gemm_fp16_tflops", "TFLOP/s", "matrix product in fp16, random data"),
    _rate("gemm_bf16_tflops", "TFLOP/s", "matrix product in bf16, random data"),
    _MEASURED_AGE,
)

FPGA = (
    _flag("ready", "the card answers and its shell is up"),
    Metric("temperature_c", "°C", "the hottest sensor that is present"),
    Metric("power_w", "W", "power drawn"),
    Metric("power_limit_w", "W", "power that the card may draw"),
    Metric("pcie_gen", "", "PCIe generation of the link"),
    Metric("pcie_gen_max", "", "PCIe generation that is expected"),
    Metric("pcie_width", "", "PCIe lanes of the link"),
    Metric("pcie_width_max", "", "PCIe lanes that are expected"),
    Metric("memory_banks", "", "memory banks that are enabled"),
    Metric("memory_total_mb", "MiB", "memory of the enabled banks"),
    Metric("memory_used_mb", "MiB", "memory in use"),
    Metric("firewall_level", "", "level of the AXI firewall that tripped; 0: none did"),
    _count("errors", "errors that the card has recorded"),
    _flag("loaded", "a bitstream is loaded"),
    _rate("dma_write_gbs", "GB/s", "host to card"),
    _rate("dma_read_gbs", "GB/s", "card to host"),
    _MEASURED_AGE,
)

INSTANCE = (
    _flag("interrupted", "the cloud has said that it takes this instance away"),
    Metric("interrupt_in_s", "s", "until it does, when the sample was taken; below 0: it should be gone"),
    _flag("rebalance", "the cloud has said that it may soon take this instance away"),
)

SCHEMAS: dict[str, tuple[Metric, ...]] = {
    "host": HOST,
    "link": LINK,
    "mount": MOUNT,
    "gpu": GPU,
    "fpga": FPGA,
    "instance": INSTANCE,
}
# The order of probes on the wire's bit fields and in tables.
PROBES = tuple(SCHEMAS)
# Which GRES kind a device probe speaks for; the others speak for the whole node.
KIND_OF_PROBE = {"gpu": "gpu", "fpga": "fpga"}


@dataclass(frozen=True, slots=True)
class Row:
    """One device: numbers by metric name (missing or NaN: unknown), and what it is called.

    Facts change rarely. "id" is the device's own name for life (a GPU's UUID, a card's serial number or bus
    address, the path of a mount, the name of a link) and is there whenever anybody knows it.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of a probe found. `message` says why where the state is not OK."""

    probe: str
    state: ProbeState
    rows: tuple[Row, ...] = ()
    message: str = ""


class Probe(Protocol):
    """One thing to look at. Runs in a process of its own that is killed at a deadline."""

    @property
    def name(self) -> str:
        """One of PROBES."""
        ...

    def sample(self) -> Sample:
        """Look, in milliseconds, without using the device. ABSENT, not an error, where there is none."""
        ...

    def measure(self) -> Sample:
        """Work the device and return rows of the RATE metrics, in the order of `sample`'s rows.

        A device that is not idle is left alone: its row is empty and `message` says so.
        """
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...

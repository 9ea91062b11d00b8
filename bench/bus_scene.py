"""What the benchmarks of the bus share: keys, a node's report, agents in processes of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from hetslurm.agent.observed import Observed
from hetslurm.bus.authority import Authority
from hetslurm.bus.keys import NodeKey, load_node_key
from hetslurm.clock import SystemClock
from hetslurm.telemetry import ProbeState, Row

BEAT_S = 5.0
# When the benchmarks of a node were run, before its first report here.
MEASURED_AGE_S = 3600.0
# Of the size that such devices show; what is not here is unknown. Nothing that a rule finds fault with.
HEALTHY: dict[str, dict[str, float]] = {
    "host": {
        "load1": 31.4,
        "cpus": 64.0,
        "mem_total_mb": 257_512.0,
        "mem_available_mb": 201_377.0,
        "swap_used_ratio": 0.0,
        "oom_kills": 1.0,
        "psi_cpu_some": 2.7,
        "psi_memory_full": 0.1,
        "psi_io_full": 0.4,
        "disk_used_ratio": 0.41,
        "read_only_disks": 0.0,
        "clock_synced": 1.0,
        "clock_offset_s": 0.0004,
        "mem_corrected": 3.0,
        "mem_uncorrected": 0.0,
        "cpu_throttles": 12.0,
        "kernel_errors": 0.0,
        "kernel_warnings": 1.0,
        "uptime_s": 1_036_800.0,
        "mem_gbs": 312.0,
        "dgemm_gflops": 1911.0,
    },
    "link": {"up": 1.0, "speed_mbps": 1e5, "expected_mbps": 1e5, "errors": 4.0, "carrier_losses": 1.0},
    "mount": {"mounted": 1.0, "alive": 1.0, "read_only": 0.0, "used_ratio": 0.62, "answer_s": 0.0007},
    "gpu": {
        "lost": 0.0,
        "temperature_c": 61.0,
        "temperature_slowdown_c": 89.0,
        "power_w": 310.0,
        "power_limit_w": 400.0,
        "throttle_hw": 0.0,
        "throttle_thermal": 0.0,
        "throttle_power_brake": 0.0,
        "throttle_power_cap": 0.0,
        "sm_clock_mhz": 1380.0,
        "sm_clock_max_mhz": 1410.0,
        "utilization_ratio": 0.93,
        "mem_total_mb": 81_920.0,
        "mem_used_mb": 51_200.0,
        "processes": 1.0,
        "ecc_corrected": 2.0,
        "ecc_uncorrected": 0.0,
        "remapped_uncorrected": 0.0,
        "remap_pending": 0.0,
        "remap_failed": 0.0,
        "xid_hard": 0.0,
        "xid_soft": 0.0,
        "pcie_gen": 4.0,
        "pcie_gen_max": 4.0,
        "pcie_width": 16.0,
        "pcie_width_max": 16.0,
        "pcie_replays": 0.0,
        "nvlinks": 12.0,
        "nvlinks_up": 12.0,
        "nvlink_errors": 0.0,
        "mig": 0.0,
        "mig_instances": 0.0,
        "copy_gbs": 1650.0,
        "h2d_gbs": 25.0,
        "d2h_gbs": 26.0,
        "gemm_fp64_tflops": 18.0,
        "gemm_fp32_tflops": 18.5,
        "gemm_fp16_tflops": 270.0,
        "gemm_bf16_tflops": 265.0,
    },
}


def make_keys(folder: Path, n: int) -> list[NodeKey]:
    """A registry with n nodes, and their keys."""
    authority = Authority(folder, SystemClock())
    authority.init()
    names = [f"node{i:05d}" for i in range(n)]
    return [load_node_key(path) for path in authority.issue(names)]


def observed(gpus: int, at: float, runs: int = 1) -> list[Observed]:
    """What a healthy node with a network link, a mount and so many GPUs has to say.

    Its probes have run `runs` times, once a beat, at `at` (monotonic) for the last time.
    """
    age_s = MEASURED_AGE_S + BEAT_S * (runs - 1)
    devices = {"host": 1, "link": 1, "mount": 1, **({"gpu": gpus} if gpus else {})}
    return [
        Observed(
            probe,
            at,
            ProbeState.OK,
            rows=tuple(
                Row(
                    HEALTHY[probe] | ({"measured_age_s": age_s} if probe in ("host", "gpu") else {}),
                    {"id": f"{probe}-{i}"},
                )
                for i in range(n)
            ),
            runs=runs,
            took_s=0.01,
        )
        for probe, n in devices.items()
    ]


def resident_mb(pid: int | None = None) -> float:
    """Memory of a process, MiB."""
    pages = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile; 0 when there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def now() -> float:
    """Unix seconds: the one clock of all processes here."""
    return time.time()


class NullLog:
    """Says nothing."""

    def info(self, event: str, **fields: object) -> None:
        """Nothing."""

    def warning(self, event: str, **fields: object) -> None:
        """Nothing."""

    def error(self, event: str, **fields: object) -> None:
        """Nothing."""

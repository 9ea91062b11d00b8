"""A board that is fed by hand, beat by beat, and judged after each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hetslurm.bus.board import Board
from hetslurm.bus.wire import Report, decode, encode, probe_report
from hetslurm.health.judge import judge
from hetslurm.health.judgement import KINDS, Finding, Judgement
from hetslurm.health.memory import Memory
from hetslurm.site import HealthSite
from hetslurm.telemetry import PROBES, SCHEMAS, ProbeState, Row, Sample

BEAT_S = 5.0
START = 1_800_000_000.0

WELL: dict[str, dict[str, float]] = {
    "host": {
        "mem_total_mb": 64000,
        "mem_available_mb": 60000,
        "psi_memory_full": 0,
        "psi_io_full": 0,
        "disk_used_ratio": 0.4,
        "read_only_disks": 0,
        "clock_synced": 1,
        "clock_offset_s": 0.0001,
        **dict.fromkeys(
            (
                "oom_kills",
                "mem_corrected",
                "mem_uncorrected",
                "cpu_throttles",
                "kernel_errors",
                "kernel_warnings",
            ),
            0,
        ),
    },
    "link": {"up": 1, "speed_mbps": 10000, "expected_mbps": 10000, "errors": 0, "carrier_losses": 0},
    "mount": {"mounted": 1, "alive": 1, "read_only": 0, "used_ratio": 0.5},
    "gpu": {
        "lost": 0,
        "temperature_c": 50,
        "temperature_slowdown_c": 90,
        "throttle_hw": 0,
        "throttle_thermal": 0,
        "throttle_power_brake": 0,
        "throttle_power_cap": 0,
        "sm_clock_mhz": 1900,
        "sm_clock_max_mhz": 1980,
        "utilization_ratio": 0.9,
        "remap_pending": 0,
        "remap_failed": 0,
        "xid_last": 0,
        "pcie_gen": 5,
        "pcie_gen_max": 5,
        "pcie_width": 16,
        "pcie_width_max": 16,
        "nvlinks": 18,
        "nvlinks_up": 18,
        **dict.fromkeys(
            ("ecc_corrected", "ecc_uncorrected", "xid_hard", "xid_soft", "pcie_replays", "nvlink_errors"), 0
        ),
    },
    "fpga": {
        "ready": 1,
        "temperature_c": 55,
        "pcie_gen": 4,
        "pcie_gen_max": 4,
        "pcie_width": 16,
        "pcie_width_max": 16,
        "firewall_level": 0,
        "errors": 0,
        "loaded": 1,
    },
    "instance": {"interrupted": 0, "rebalance": 0},
}


@dataclass(frozen=True)
class Arrival:
    """As the receiver hands it out."""

    received_at: float
    report: Report


@dataclass
class Rig:
    """One board, `now` moves with `beat`."""

    site: HealthSite = field(default_factory=HealthSite)
    now: float = START
    board: Board = field(default_factory=Board)
    baselines: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.memory = Memory(started_at=self.now)
        self._seq: dict[tuple[str, int], int] = {}
        self._runs: dict[tuple[str, str], int] = {}

    def send(
        self,
        node: str = "n1",
        rows: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
        *,
        state: ProbeState = ProbeState.OK,
        facts: Mapping[str, Sequence[Mapping[str, str]]] | None = None,
        message: str = "",
        agent: int = 7,
        skew_s: float = 0.0,
        rerun: bool = True,
        age_s: float = 0.1,
    ) -> None:
        """One report: `rows` say what differs from a device that is well, one a device."""
        probes = []
        for probe, devices in (rows if rows is not None else {"host": [{}]}).items():
            runs = self._runs.get((node, probe), 0) + rerun
            self._runs[node, probe] = runs
            named = (facts or {}).get(probe, ())
            sample = Sample(
                probe,
                state,
                tuple(
                    Row({**WELL[probe], **device}, named[n] if n < len(named) else {})
                    for n, device in enumerate(devices)
                ),
                message,
            )
            probes.append(probe_report(sample, runs=runs, age_s=age_s, took_s=0.01))
        seq = self._seq[node, agent] = self._seq.get((node, agent), 0) + 1
        told = {probe: [dict(f) for f in all_facts] for probe, all_facts in (facts or {}).items()} or None
        report = Report(node, agent, seq, self.now + skew_s, BEAT_S, probes, told)
        self.board.take([Arrival(self.now, decode(encode(report)))])

    def judge(self, **more: object) -> Judgement:
        """Judge what is on the board now."""
        return judge(
            self.board,
            self.memory,
            self.site,
            self.now,
            baselines=self.baselines,
            **more,  # type: ignore[arg-type]
        )

    def beat(
        self,
        rows: Mapping[str, Sequence[Mapping[str, float]]] | None = None,
        *,
        times: int = 1,
        node: str = "n1",
        **more: object,
    ) -> Judgement:
        """So many beats with the same words, each judged; returns the last judgement."""
        for _ in range(times):
            self.now += BEAT_S
            self.send(node, rows, **more)  # type: ignore[arg-type]
            judged = self.judge()
        return judged


def found(judgement: Judgement, rule: str, node: str = "n1") -> Finding | None:
    """The node's finding by this rule."""
    return next((f for f in judgement.findings.get(node, ()) if f.rule == rule), None)


def health(judgement: Judgement, kind: str, node: str = "n1") -> float:
    """The node's health."""
    return float(judgement.health[judgement.names.index(node), KINDS.index(kind)])


def speed(judgement: Judgement, kind: str, node: str = "n1") -> float:
    """The node's speed."""
    return float(judgement.speed[judgement.names.index(node), KINDS.index(kind)])


assert set(WELL) == set(PROBES)
assert all(set(WELL[probe]) <= {metric.name for metric in SCHEMAS[probe]} for probe in PROBES)

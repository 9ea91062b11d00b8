"""decision_us: parse + score + rewrite in the plugin, from its own histogram in a real slurmctld.

Submitted in two ways: an sbatch at a time, where every decision finds the processor's caches and branch
predictor full of other programs; and in a burst from one process, as workflow managers submit.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cluster import SCRIPT, published, sandbox
from hetslurm.sandbox import Sandbox
from hetslurm.slurm.stats import PluginStats, read_stats

SIZES = (16, 64, 1024, 4096)
SUBMITS = 600
LIMITS_US = {"64": 10.0, "4096": 100.0}
BURST = Path(__file__).with_name("burst.c")


def measure() -> dict[str, Any]:
    """p50 to p99.9 by phase, way of submitting and number of pools; `value` is sbatch's p99 at 64."""
    ways: dict[str, dict[str, Any]] = {"sbatch": {}, "burst": {}}
    with sandbox(plugins=True) as running:
        burst, script = running.root / "burst-client", running.root / "burst.sh"
        subprocess.run(["cc", "-O2", "-o", str(burst), str(BURST), "-lslurm"], check=True)
        script.write_text(SCRIPT)

        def one_by_one(count: int) -> None:
            for _ in range(count):
                running.submit(SCRIPT, "--hold", "--output=/dev/null", cwd="/tmp")

        def at_once(count: int) -> None:
            running.run([str(burst), str(script), str(count)])

        for size in SIZES:
            with published(running, size):
                ways["sbatch"][str(size)] = _phases(running, one_by_one)
                ways["burst"][str(size)] = _phases(running, at_once)
        burst.unlink()
        script.unlink()
    value = ways["sbatch"]["64"]["decision"]["p99_us"]
    return {
        "name": "decision_us",
        "value": value,
        "unit": "us",
        "baseline": LIMITS_US["64"],
        "ratio": value / LIMITS_US["64"],
        "detail": {"submits": SUBMITS, "limits_us": LIMITS_US, "pools": ways},
    }


def _phases(running: Sandbox, submit: Callable[[int], None]) -> dict[str, dict[str, float]]:
    submit(20)
    before = read_stats(running.stats_path)
    submit(SUBMITS)
    after = read_stats(running.stats_path)
    placed = after.counters["placed"] - before.counters["placed"]
    if placed != SUBMITS:
        raise RuntimeError(f"{placed} of {SUBMITS} jobs were placed")
    return {phase: _percentiles(phase, before, after) for phase in after.histograms}


def _percentiles(phase: str, before: PluginStats, after: PluginStats) -> dict[str, float]:
    new = after.histograms[phase].since(before.histograms[phase])
    return {f"p{p:g}_us": round((new.percentile_ns(p) or 0.0) / 1000, 2) for p in (50, 90, 99, 99.9)}

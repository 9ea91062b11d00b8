"""kernel_speedup: (job, pool) pairs a second in batch, against the NumPy twin and the memory's bandwidth."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hetslurm.cluster import Partition
from hetslurm.estimate import Estimate
from hetslurm.native import kernel
from hetslurm.native.layout import FOREVER, name_hash
from hetslurm.pool import NO_WAIT, Pool, Rates
from hetslurm.scoring import twin
from hetslurm.scoring.tables import tables_of
from hetslurm.site import Site
from hetslurm.snapshot.content import build_slot

POOLS = (64, 256, 4096)
HEADLINE = 256
PAIRS = 25_600_000
TWIN_JOBS = 200
ROUNDS = 5
# What one pair of a time-only job reads: filters, row, units, a line of waits, startup, speed, risk, shadow.
PAIR_BYTES = 11 * 4 + 8 + 64 + 8 + 8 + 8 + 8


def measure() -> dict[str, Any]:
    """The record; every pool is of the one kind that the jobs want, so that no pair is skipped."""
    bandwidth = triad_bytes_per_s()
    sizes = {str(n): _measure_size(n, bandwidth) for n in POOLS}
    head = sizes[str(HEADLINE)]
    return {
        "name": "kernel_speedup",
        "value": head["pairs_per_s_1_thread"],
        "unit": "pairs/s",
        "baseline": head["twin_pairs_per_s"],
        "ratio": head["pairs_per_s_1_thread"] / head["twin_pairs_per_s"],
        "detail": {"triad_bytes_per_s": bandwidth, "bytes_per_pair": PAIR_BYTES, "pools": sizes},
    }


def _measure_size(n: int, bandwidth: float) -> dict[str, float]:
    view = kernel.View(view_of(n))
    tables = tables_of(view.slot)
    jobs, alts = jobs_for(PAIRS // n, 1)
    rows = kernel.admit(view, np.zeros(1, dtype=kernel.AUTHOR_DTYPE))
    few, few_alts = jobs_for(max(4, TWIN_JOBS * HEADLINE // n // 4), 1)
    three, three_alts = jobs_for(max(100, PAIRS // n // 30), 3)
    one, two = (
        _best(lambda threads=threads: kernel.score_batch(view, jobs, alts, rows, threads=threads))
        for threads in (1, 2)
    )
    slow = _best(lambda: twin.score(tables, few, few_alts, rows))
    per_job = _best(lambda: kernel.score_batch(view, three, three_alts, rows)) / len(three)
    authors = np.zeros(max(10, 200_000 // n), dtype=kernel.AUTHOR_DTYPE)
    per_author = _best(lambda: kernel.admit(view, authors)) / len(authors)
    pairs_per_s = len(jobs) * n / one
    return {
        "pairs_per_s_1_thread": pairs_per_s,
        "pairs_per_s_2_threads": len(jobs) * n / two,
        "twin_pairs_per_s": len(few) * n / slow,
        "score_3_targets_us": per_job * 1e6,
        "admit_us": per_author * 1e6,
        "share_of_memory_bandwidth": pairs_per_s * PAIR_BYTES / bandwidth,
    }


def view_of(n: int) -> Any:
    """A slot of n alike GPU pools, each in its own partition, with waits, prices and speeds that differ."""
    rng = np.random.default_rng(n)
    pools = [
        Pool(
            name=f"pool{i}",
            partition=f"part{i}",
            kind="gpu",
            type="a100",
            node_names=(f"node{i}",),
            cpus_per_node=64,
            devices_per_node=8,
            mem_mb_per_node=512_000,
            units=float(rng.integers(8, 512)),
            wait_s=tuple(np.sort(rng.uniform(0, 7200, len(NO_WAIT))).tolist()),
            speed=Estimate(float(rng.uniform(1, 2))),
            price=Rates(device=float(rng.uniform(1e6, 4e6))),
            watts=Rates(device=300.0),
        )
        for i in range(n)
    ]
    partitions = [Partition(f"part{i}", nodes=(f"node{i}",)) for i in range(n)]
    return build_slot(pools, partitions, (), {}, {}, Site(), generation=1, written_at_ns=10**18)


def jobs_for(n: int, n_targets: int) -> tuple[Any, Any]:
    """n jobs that want to finish soonest, each with n_targets alternatives that every pool offers."""
    jobs, alts = np.zeros(n, dtype=kernel.JOB_DTYPE), np.zeros(n * n_targets, dtype=kernel.ALT_DTYPE)
    jobs["n_alts"], jobs["first_alt"] = n_targets, np.arange(n) * n_targets
    jobs["weights"]["time"] = 1.0
    jobs["deadline_s"] = jobs["max_cost_micro"] = FOREVER
    alts["kind"], alts["type"] = name_hash("gpu"), name_hash("a100")
    alts["nodes"], alts["cpus"], alts["devices"] = 1, 8, 1
    alts["declared_s"] = 60.0 + np.arange(len(alts)) % 3600
    return jobs, alts


def triad_bytes_per_s(n: int = 1 << 24) -> float:
    """STREAM's triad on one core, as NumPy can say it: a = s·b, then a += c; five arrays of traffic."""
    a, b, c = np.zeros(n), np.ones(n), np.ones(n)

    def triad() -> None:
        np.multiply(b, 3.0, out=a)
        np.add(a, c, out=a)

    return 5 * 8 * n / _best(triad)


def _best(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of ROUNDS."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)

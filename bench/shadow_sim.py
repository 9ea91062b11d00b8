"""What shadow prices are worth: Gavel's jobs on 12 K80s, 12 P100s and 12 V100s, placed by the real kernel.

    python -m bench.shadow_sim TRACES [--jobs N] [--seeds 0,1] [--load 0.7,0.9]

An event simulation, deterministic: no preemption, exact run times, each pool a queue with EASY backfill. A
job's wait on a pool is when its queue, taken in order, would let it start. Prices are solved anew every
`--every` jobs over the last `--mix` that arrived. TRACES is a folder with Gavel's throughputs and its trace
ee9e8c (stanford-futuredata/gavel, MIT licence). Load 1 is the most that a linear program can get through.
Seed 0 is the trace's own order and gaps; others shuffle both. The figure is the mean completion time over
that of the rule without prices ("latency": earliest finish).
"""

from __future__ import annotations

import argparse
import ast
import gzip
import heapq
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.optimize import linprog

from hetslurm.cluster import Partition
from hetslurm.estimate import Estimate, RunEstimate, Source
from hetslurm.estimates.shadow import Options, shadow_prices
from hetslurm.job import Request
from hetslurm.native.kernel import View
from hetslurm.placement import Asked
from hetslurm.pool import NO_WAIT, Pool
from hetslurm.scoring import decide
from hetslurm.site import PRESETS, Site
from hetslurm.snapshot import build_slot
from hetslurm.target import Target

DEVICES = ("k80", "p100", "v100")
UNITS = 12


@dataclass(frozen=True, slots=True)
class Job:
    """`run_s` on each device; infinity where it cannot run."""

    at: float
    units: int
    run_s: tuple[float, ...]


def read_jobs(folder: Path, n: int, seed: int) -> list[Job]:
    """The first `n` jobs of the trace that any of the devices runs."""
    table = json.loads(gzip.decompress((folder / "gavel_simulation_throughputs.json.gz").read_bytes()))
    rates = {
        device: {ast.literal_eval(key): float(row["null"]) for key, row in table[device].items()}
        for device in DEVICES
    }
    jobs = []
    for line in gzip.decompress((folder / "gavel-seed0-ee9e8c.trace.gz").read_bytes()).decode().splitlines():
        kind, *_, steps, at, scale = line.split("\t")
        speeds = [rates[device].get((kind, int(scale)), 0.0) for device in DEVICES]
        run = tuple(float(steps) / speed if speed > 0 else np.inf for speed in speeds)
        if np.isfinite(run).any():
            jobs.append(Job(float(at), int(scale), run))
    jobs = jobs[:n]
    if seed:
        rng = np.random.default_rng(seed)
        gaps = np.diff([job.at for job in jobs], prepend=0.0)
        arrivals = np.cumsum(rng.permutation(gaps))
        jobs = [
            replace(jobs[i], at=float(at)) for i, at in zip(rng.permutation(len(jobs)), arrivals, strict=True)
        ]
    return jobs


def least_span(jobs: Sequence[Job]) -> float:
    """The shortest time in which the pools can do all of this (R||Cmax relaxed)."""
    work = np.array([[run * job.units for run in job.run_s] for job in jobs])
    n, m = work.shape
    upper = np.where(np.isfinite(work), 1.0, 0.0).ravel()
    rows = np.zeros((m, n * m + 1))
    for j in range(m):
        rows[j, j : n * m : m] = np.where(np.isfinite(work[:, j]), work[:, j], 0.0) / UNITS
    rows[:, -1] = -1.0
    whole = np.zeros((n, n * m + 1))
    for i in range(n):
        whole[i, i * m : (i + 1) * m] = 1.0
    bounds = [*((0.0, top) for top in upper), (0.0, None)]
    found = linprog(np.append(np.zeros(n * m), 1.0), rows, np.zeros(m), whole, np.ones(n), bounds)
    return float(found.x[-1])


def at_load(jobs: Sequence[Job], load: float) -> list[Job]:
    """The same jobs, arriving within the time that makes this load of them."""
    stretch = least_span(jobs) / load / jobs[-1].at
    return [replace(job, at=job.at * stretch) for job in jobs]


@dataclass(slots=True)
class Queue:
    """A pool: running (end, units), waiting (units, run, arrival) in order, and what has finished."""

    free: int = UNITS
    running: list[tuple[float, int]] = field(default_factory=list)
    waiting: list[tuple[int, float, float]] = field(default_factory=list)
    completions: list[float] = field(default_factory=list)

    def wait_s(self, now: float, units: int) -> float:
        """Until a job that comes now would start, were the queue taken in order."""
        free_at = sorted([now] * self.free + [end for end, held in self.running for _ in range(held)])
        start = now
        for need, run, _ in self.waiting:
            start = max(start, free_at[need - 1])
            free_at = sorted(free_at[need:] + [start + run] * need)
        return max(start, free_at[units - 1]) - now

    def schedule(self, now: float) -> None:
        """Start what can start: the first in the queue, and those that do not delay it (EASY)."""
        while self.waiting and self.waiting[0][0] <= self.free:
            self._start(0, now)
        if not self.waiting:
            return
        need, free, shadow, spare = self.waiting[0][0], self.free, now, 0
        for end, held in sorted(self.running):
            free += held
            if free >= need:
                shadow, spare = end, free - need
                break
        i = 1
        while i < len(self.waiting):
            units, run, _ = self.waiting[i]
            if units <= self.free and (now + run <= shadow or units <= spare):
                spare -= 0 if now + run <= shadow else units
                self._start(i, now)
            else:
                i += 1

    def _start(self, i: int, now: float) -> None:
        units, run, at = self.waiting.pop(i)
        self.free -= units
        heapq.heappush(self.running, (now + run, units))
        self.completions.append(now + run - at)

    def advance(self, now: float) -> None:
        """All ends until now."""
        while self.running and self.running[0][0] <= now:
            end, units = heapq.heappop(self.running)
            self.free += units
            self.schedule(end)


def place(job: Job, waits: Sequence[float], prices: Sequence[float], site: Site) -> int:
    """Which device, by the kernel: a pool each, the job's runs as an app's estimates."""
    pools = [
        Pool(
            *(device, device, "gpu", device, tuple(f"{device}-{i}" for i in range(UNITS)), 64, 1, 64_000),
            units=float(UNITS),
            units_free=float(UNITS),
            wait_s=(wait,) * len(NO_WAIT),
            wait_source=Source.PREDICTED,
            shadow=Estimate(price, Source.PREDICTED),
        )
        for device, wait, price in zip(DEVICES, waits, prices, strict=True)
    ]
    partitions = [Partition(device, ()) for device in DEVICES]
    able = [i for i, run in enumerate(job.run_s) if np.isfinite(run)]
    estimates = [RunEstimate("a", "gpu", DEVICES[i], job.run_s[i], n=10) for i in able]
    slot = build_slot(pools, partitions, (), {}, {}, site, estimates, generation=1, written_at_ns=1)
    targets = tuple(Target("gpu", DEVICES[i], count=1, nodes=job.units, cpus=1) for i in able)
    objective = "throughput" if site.presets["throughput"].scarcity else "latency"
    decision = decide(
        View(slot), Request(targets=targets, app="a", objective=objective), Asked(uid=1000), 0.0
    )
    if decision.chosen is None:
        raise SystemExit(f"the kernel places nowhere what needs {job.units} units")
    return DEVICES.index(decision.chosen.type)


@dataclass(frozen=True, slots=True)
class Rule:
    """How jobs are placed: μ, and how prices come about. μ 0 is earliest finish."""

    scarcity: float
    mix: int = 300
    every: int = 20
    full: float = 0.6


def simulate(jobs: Sequence[Job], rule: Rule) -> float:
    """Mean completion time in seconds."""
    weights = replace(PRESETS["throughput"], scarcity=rule.scarcity)
    site = replace(Site(), presets={**PRESETS, "throughput": weights})
    queues = [Queue() for _ in DEVICES]
    prices = [0.0] * len(DEVICES)
    for i, job in enumerate(jobs):
        for queue in queues:
            queue.advance(job.at)
        if rule.scarcity and i >= 20 and i % rule.every == 0:
            recent = jobs[max(0, i - rule.mix) : i]
            found = shadow_prices(
                [_options(one) for one in recent],
                np.full(len(DEVICES), float(UNITS)),
                job.at - recent[0].at,
                60.0,
                rule.full,
            )
            prices = list(found.per_unit_s)
        waits = [queue.wait_s(job.at, job.units) for queue in queues]
        chosen = place(job, waits, prices, site)
        queues[chosen].waiting.append((job.units, job.run_s[chosen], job.at))
        queues[chosen].schedule(job.at)
    for queue in queues:
        queue.advance(np.inf)
    done = [value for queue in queues for value in queue.completions]
    if len(done) != len(jobs):
        raise SystemExit(f"{len(done)} of {len(jobs)} jobs finished")
    return float(np.mean(done))


def _options(job: Job) -> Options:
    able = np.flatnonzero(np.isfinite(job.run_s))
    return Options(able, np.full(len(able), float(job.units)), np.array(job.run_s)[able])


def main() -> None:
    """Print a line a seed, load and rule."""
    parser = argparse.ArgumentParser(prog="bench.shadow_sim", description=__doc__)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--jobs", type=int, default=1500)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--load", default="0.7,0.9")
    parser.add_argument("--mix", default="300,500,2000")
    parser.add_argument("--weight", default="1,2")
    parser.add_argument("--full", default="0.6")
    options = parser.parse_args()
    for seed in map(int, options.seeds.split(",")):
        base = read_jobs(options.traces, options.jobs, seed)
        for load in map(float, options.load.split(",")):
            jobs = at_load(base, load)
            greedy = simulate(jobs, Rule(0.0))
            print(f"seed {seed} load {load:g} earliest finish: {greedy / 3600:.2f} h", flush=True)
            for weight in map(float, options.weight.split(",")):
                for mix in map(int, options.mix.split(",")):
                    for full in map(float, options.full.split(",")):
                        begun = time.perf_counter()
                        mean = simulate(jobs, Rule(weight, mix, full=full))
                        print(
                            f"  weight {weight:g} mix {mix} full {full:g}: {mean / greedy:.3f}"
                            f" ({time.perf_counter() - begun:.0f} s)",
                            flush=True,
                        )


if __name__ == "__main__":
    main()

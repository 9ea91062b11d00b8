"""Shadow prices on a real Slurm: who gains little from the scarce GPUs leaves them to those that gain much.

    python -m bench.shadow_scene [--seed N] [--json]

Two Slurms at once, with prices and without, get the same jobs at the same times, one every 0.6 s on average.
A `little` job takes 16 s on a GPU and 24 s on a cpu, a `some` job 4 s and 9 s, a `much` job 2 s and 12 s: a
second of a GPU saves them half a second, 1.25 s and 5 s. There are 17, 13 and 45 of them, four GPUs and 24
cpus. Earliest finish lets little jobs queue for GPUs as long as that saves them anything. The first 20 jobs
are there to learn from, the rest are measured.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from functools import partial

import numpy as np

from bench.scene import ALONE, Ran, Step, play, sandbox, side_by_side
from hetslurm.controller.status import read_status
from hetslurm.sandbox import Spec, parse_nodes

RUNS = {"little": (16, 24), "some": (4, 9), "much": (2, 12)}
COUNTS = {"little": 17, "some": 13, "much": 45}
LEARNT_FROM, EVERY_S = 20, 0.6
SWITCH = '[shadow_prices]\nmode = "{mode}"\nevery_s = 1\n'


def script(name: str) -> str:
    """A job that sleeps as long as its device takes."""
    gpu, cpu = RUNS[name]
    return (
        f"#!/bin/sh\n#HET app={name}\n#HET objective=throughput\n"
        f"#HET target=cpu cpus=1 time=0:{cpu:02d}\n#HET target=gpu:a100:1 cpus=1 time=0:{gpu:02d}\n"
        f"case $HET_KIND in gpu) sleep {gpu} ;; *) sleep {cpu} ;; esac\n"
    )


def steps(seed: int) -> list[Step]:
    """The same for the same seed."""
    rng = np.random.default_rng(seed)
    names = rng.permutation([name for name, count in COUNTS.items() for _ in range(count)])
    at = np.cumsum(rng.exponential(EVERY_S, len(names)))
    return [Step(float(t), str(name), script(str(name))) for t, name in zip(at, names, strict=True)]


def run(mode: str, plan: list[Step], results: dict[str, tuple[list[Ran], dict[str, float]]]) -> None:
    """One Slurm."""
    spec = Spec(
        parse_nodes("cpu=1,gpu:a100:4=1", cpus=24), cycle_s=0.5, config_toml=ALONE + SWITCH.format(mode=mode)
    )
    with sandbox(spec) as slurm:
        ran = play(slurm, plan)
        status = read_status(slurm.layout.controller_state) or {}
        results[mode] = (ran, (status.get("shadow") or {}).get("prices", {}))


def main() -> None:
    """Play both, and print what came of it."""
    parser = argparse.ArgumentParser(prog="bench.shadow_scene", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    plan, results = steps(options.seed), dict[str, tuple[list[Ran], dict[str, float]]]()
    side_by_side({mode: partial(run, mode, plan, results) for mode in ("off", "on")})
    report = {mode: summary(*results[mode]) for mode in ("off", "on")}
    if options.json:
        print(json.dumps(report))
        return
    for mode, facts in report.items():
        print(f"prices {mode}: {facts}")
    means = [float(str(report[mode]["mean_completion_s"])) for mode in ("on", "off")]
    print(f"mean completion with prices over without: {means[0] / means[1]:.3f}")


def summary(ran: list[Ran], prices: dict[str, float]) -> dict[str, object]:
    """What a run came to, after the jobs that were learnt from."""
    ran = ran[LEARNT_FROM:]
    where = Counter(f"{one.name} on {one.partition}" for one in ran)
    return {
        "jobs": len(ran),
        "mean_completion_s": round(float(np.mean([one.completion_s for one in ran])), 2),
        "makespan_s": round(max(one.ended_s for one in ran), 1),
        "placed": dict(sorted(where.items())),
        "prices": prices,
    }


if __name__ == "__main__":
    main()

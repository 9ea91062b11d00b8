"""Short jobs first on a real Slurm: five long jobs stand before a stream of short ones.

    python -m bench.order_scene [--json]

Two Slurms at once, with `order.mode = "short-first"` and without, get the same jobs at the same times: five
of 9 s at once, then 26 of 2 s, one every 0.9 s, on two cpus. Both have multifactor priority; age makes
up for all points within a minute. Slurm counts age anew once a minute, with slurmdbd alone; the scene begins
so that this happens while short jobs wait, and long ones pass them: none waits for ever.

The report has what a user sees of it: lines of sprio and of `hetslurm explain` about jobs that wait.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from bench.scene import ALONE, Ran, Step, play, sandbox, side_by_side
from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.slurm.commands import CommandAdapter

RUN_S = {"long": 9, "short": 2}
LONG, SHORT, EVERY_S = 5, 26, 0.9
# How old slurmctld is when the scene begins: it counts age anew when it is a minute old.
BEGIN_S = 24.0
# A run of 9 s counts fully, one of 2 s as much: at this scale a bound of 10 s would hide everything.
BOUND_S = 1.0
ORDER = '[order]\nmode = "{mode}"\npoints = 1000\nshortest_s = 1\nlongest_s = 600\n'
NO_PRICES = '[shadow_prices]\nmode = "off"\n'
MULTIFACTOR = (
    "PriorityWeightAge=1000",
    "PriorityMaxAge=1",
    "PriorityCalcPeriod=1",
)


@dataclass
class Seen:
    """What a user sees while jobs wait: sprio's lines, and explain's about the order."""

    sprio: list[str] = field(default_factory=list)
    explain: list[str] = field(default_factory=list)

    def look(self, slurm: Sandbox) -> None:
        """Once, when a long and a short job wait."""
        if self.sprio:
            return
        waiting = slurm.run(["squeue", "-h", "-t", "PD", "-o", "%A %j"]).stdout.split()
        jobs = dict(zip(waiting[1::2], waiting[::2], strict=True))
        if jobs.keys() != RUN_S.keys():
            return
        self.sprio = slurm.run(["sprio", "-o", "%i %Y %A %S"]).stdout.splitlines()
        for name in sorted(jobs):
            command = [sys.executable, "-P", "-m", "hetslurm", "explain", jobs[name]]
            lines = slurm.run(command, check=False).stdout.splitlines()
            self.explain += [f"{name}: {line}" for line in lines if line.startswith("order:")]


def script(name: str) -> str:
    """A job that sleeps."""
    run = RUN_S[name]
    return f"#!/bin/sh\n#HET app={name}\n#HET target=cpu cpus=1 time=0:{run:02d}\nsleep {run}\n"


def steps() -> list[Step]:
    """Always the same."""
    names = [(0.0, "long")] * LONG + [(1.0 + i * EVERY_S, "short") for i in range(SHORT)]
    return [Step(at, name, script(name)) for at, name in names]


def run(mode: str, results: dict[str, tuple[list[Ran], Seen]]) -> None:
    """One Slurm."""
    spec = Spec(
        parse_nodes("cpu=1", cpus=2),
        cycle_s=0.5,
        accounting=True,
        slurm_conf=MULTIFACTOR,
        config_toml=ALONE + NO_PRICES + ORDER.format(mode=mode),
    )
    seen = Seen()
    with sandbox(spec) as slurm:
        adapter = CommandAdapter(slurm_conf=str(slurm.layout.slurm_conf))
        time.sleep(max(0.0, adapter.controller_started_at() + BEGIN_S - time.time()))
        results[mode] = (play(slurm, steps(), seen.look), seen)


def summary(ran: list[Ran], seen: Seen) -> dict[str, object]:
    """What a run came to."""
    last_long = max(one.started_s for one in ran if one.name == "long")
    mean = {name: np.mean([one.completion_s for one in ran if one.name == name]) for name in RUN_S}
    return {
        "jobs": len(ran),
        "mean_completion_s": round(float(np.mean([one.completion_s for one in ran])), 2),
        "mean_bounded_slowdown": round(float(np.mean([one.slowdown(BOUND_S) for one in ran])), 2),
        "completion_s_by_kind": {name: round(float(value), 2) for name, value in mean.items()},
        "short_that_the_last_long_passed": sum(
            one.name == "short" and one.submitted_s < last_long < one.started_s for one in ran
        ),
        "last_long_ended_s": round(max(one.ended_s for one in ran if one.name == "long"), 1),
        "last_short_ended_s": round(max(one.ended_s for one in ran if one.name == "short"), 1),
        "sprio": seen.sprio[:6],
        "explain": seen.explain,
    }


def main() -> None:
    """Play both, and print what came of it."""
    parser = argparse.ArgumentParser(prog="bench.order_scene", description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, tuple[list[Ran], Seen]] = {}
    side_by_side({mode: partial(run, mode, results) for mode in ("off", "short-first")})
    report = {mode: summary(*results[mode]) for mode in ("off", "short-first")}
    if options.json:
        print(json.dumps(report))
        return
    for mode, facts in report.items():
        print(f"order {mode}:")
        for key, value in facts.items():
            print(f"  {key}: {value}")
    for figure in ("mean_completion_s", "mean_bounded_slowdown"):
        ratio = float(str(report["short-first"][figure])) / float(str(report["off"][figure]))
        print(f"{figure} with short-first over without: {ratio:.3f}")


if __name__ == "__main__":
    main()

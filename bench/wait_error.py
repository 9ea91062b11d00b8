"""Estimated waits against what then happened, on a real Slurm, beside Slurm's own (`squeue --start`).

    python -m bench.wait_error [--jobs N] [--seed S] [--warm N] [--json]

A sandbox with three kinds of nodes gets jobs of named apps at random instants, faster than it can run them
for most of the time; they sleep for a half to a fifth of their limits. The controller notes, as on any
site, what each job was told at its submit, what Slurm first said of its start, and when it started; this
program only submits, waits, and reads that. The first jobs (`--warm`) are for learning the apps' runs.
Slurm plans by the second here (bf_interval=2, bf_resolution=1), not by the minute as it does by default.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from math import log
from pathlib import Path
from statistics import median
from typing import Any

from hetslurm.controller.status import read_status
from hetslurm.controller.wait_store import WaitStore
from hetslurm.estimates.calibration import Waited
from hetslurm.sandbox import Sandbox, Spec, parse_nodes

NODES = "cpu=3,gpu:a100:2=2,fpga:u250=2"
FLOOR_S = 5.0
# (app, seconds, minutes of its limit, targets): what a site runs.
APPS: tuple[tuple[str, float, int, Sequence[str]], ...] = (
    ("align", 10.0, 1, ("cpu,cpus=4",)),
    ("sort", 20.0, 1, ("cpu,cpus=8",)),
    ("solve", 30.0, 2, ("cpu,cpus=16",)),
    ("wide", 15.0, 1, ("cpu,cpus=16,nodes=2",)),
    ("train", 40.0, 2, ("gpu:a100:1,cpus=4",)),
    ("tune", 18.0, 1, ("gpu:a100:2,cpus=4",)),
    ("infer", 12.0, 1, ("gpu:a100:1,cpus=2", "fpga:u250:1,cpus=2")),
    ("stream", 25.0, 2, ("fpga:u250:1,cpus=2", "cpu,cpus=8")),
)


def script(app: str, run_s: float, limit_min: int, targets: Sequence[str]) -> str:
    """A batch job of that app, which takes as long wherever it runs."""
    lines = [f"#HET app={app}"]
    for target in targets:
        kind, *keys = target.split(",")
        lines.append(f"#HET target={kind} {' '.join(keys)} mem=1000 time={limit_min}:00")
    return "\n".join(("#!/bin/sh", *lines, f"sleep {run_s:.1f}", ""))


def run(jobs: int, seed: int, warm: int) -> tuple[list[Waited], dict[str, Any]]:
    """The waits of all jobs but the first `warm`, and the controller's last status."""
    rng = random.Random(seed)  # noqa: S311
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-bench-", dir=base) as folder:
        Path(folder).chmod(0o755)
        spec = Spec(parse_nodes(NODES), config_toml='[rebind]\nmode = "off"\n')
        with Sandbox.create(Path(folder) / "s", spec) as sandbox:
            began = 0.0
            for n in range(jobs):
                app, run_s, limit_min, targets = rng.choice(APPS)
                text = script(app, run_s * rng.uniform(0.8, 1.2), limit_min, targets)
                sandbox.submit(text, "--output=/dev/null", cwd="/tmp")
                if n == warm:
                    _until_drained(sandbox)
                    began = time.time()
                time.sleep(rng.expovariate(1.2))
            _until_drained(sandbox)
            state = sandbox.layout.controller_state
            _until(lambda: not _promises(state))
            status = read_status(state) or {}
            store = WaitStore(state)
            waits = [one for one in store.waits() if one.at - one.waited_s >= began]
            store.close()
    return waits, status


def _until_drained(sandbox: Sandbox) -> None:
    _until(lambda: not sandbox.run(["squeue", "-h", "-o", "%i"]).stdout.strip())


def _until(done: Any, patience_s: float = 1800.0) -> None:
    deadline = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > deadline:
            raise RuntimeError("the queue did not drain")
        time.sleep(1.0)


def _promises(state: Path) -> bool:
    store = WaitStore(state)
    try:
        return bool(store.promises())
    finally:
        store.close()


def figures(waits: Sequence[Waited]) -> dict[str, Any]:
    """Median |ln(estimate / wait)|, both at least FLOOR_S, over the waits that Slurm estimated too."""
    ended = [one for one in waits if not one.cut]
    both = [one for one in ended if one.slurm_s is not None]
    return {
        "waits": len(ended),
        "waits_over_floor": sum(one.waited_s > FLOOR_S for one in ended),
        "slurm_coverage": len(both) / len(ended) if ended else None,
        "both": _compare(both),
        "both_over_floor": _compare([one for one in both if one.waited_s > FLOOR_S]),
        "ours_all_over_floor": _error(
            [(one.shown_s, one.waited_s) for one in ended if one.waited_s > FLOOR_S]
        ),
    }


def _compare(both: Sequence[Waited]) -> dict[str, Any]:
    return {
        "n": len(both),
        "shown": _error([(one.shown_s, one.waited_s) for one in both]),
        "uncorrected": _error([(one.estimated_s, one.waited_s) for one in both]),
        "slurm": _error([(one.slurm_s or 0.0, one.waited_s) for one in both]),
    }


def _error(pairs: Sequence[tuple[float, float]]) -> float | None:
    if not pairs:
        return None
    return median(abs(log(max(guess, FLOOR_S) / max(wait, FLOOR_S))) for guess, wait in pairs)


def main() -> None:
    """Run, print, and say in the end which is nearer."""
    parser = argparse.ArgumentParser(prog="bench.wait_error", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warm", type=int, default=40)
    parser.add_argument("--json", type=Path, default=None, help="write the waits and figures here")
    options = parser.parse_args()
    waits, status = run(options.jobs, options.seed, options.warm)
    found = figures(waits)
    print(json.dumps(found, indent=2))
    print(json.dumps(status.get("waits"), indent=2))
    if options.json:
        rows = [one._asdict() for one in waits]
        options.json.write_text(json.dumps({"figures": found, "waits": rows, "status": status}))


if __name__ == "__main__":
    main()

"""submit_rpc_ratio: slurmctld's own time for the submit RPC, with the plugin over without."""

from __future__ import annotations

import re
import statistics
from contextlib import ExitStack
from typing import Any

from bench.cluster import SCRIPT, published, sandbox

ROUNDS = 12
SUBMITS = 50
POOLS = 64
# What the plugin makes of SCRIPT, said by hand, so that both slurmctld queue the same job.
BY_HAND = ("--partition=fpga", "--gres=fpga:u250:1", "--cpus-per-task=4", "--nodes=1", "--time=25:00")
_USEC = re.compile(r"_slurm_rpc_submit_batch_job:? JobId=\d+ .*usec=(\d+)")


def measure() -> dict[str, Any]:
    """Median of all submits on each side; the sides take turns, so that noise hits both."""
    with ExitStack() as stack:
        het = stack.enter_context(sandbox(plugins=True))
        stock = stack.enter_context(sandbox(plugins=False))
        stack.enter_context(published(het, POOLS))
        for _ in range(ROUNDS):
            for running, options in ((het, ()), (stock, BY_HAND)):
                for _ in range(SUBMITS):
                    running.submit(SCRIPT, "--hold", "--output=/dev/null", *options, cwd="/tmp")
        times = {}
        for name, running in (("het", het), ("stock", stock)):
            log = (running.layout.log / "slurmctld.log").read_text(errors="replace")
            times[name] = [int(usec) for usec in _USEC.findall(log)]
            if len(times[name]) != ROUNDS * SUBMITS:
                raise RuntimeError(
                    f"{name}: {len(times[name])} of {ROUNDS * SUBMITS} submits are in slurmctld's log"
                )
    medians = {name: statistics.median(values) for name, values in times.items()}
    p99 = {name: statistics.quantiles(values, n=100)[98] for name, values in times.items()}
    return {
        "name": "submit_rpc_ratio",
        "value": medians["het"],
        "unit": "us",
        "baseline": medians["stock"],
        "ratio": medians["het"] / medians["stock"],
        "detail": {
            "submits": ROUNDS * SUBMITS,
            "pools": POOLS,
            "median_us": medians,
            "p99_us": p99,
            "limit": 1.05,
        },
    }

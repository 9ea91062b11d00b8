"""The demo from start to end, on a sandbox in a temporary directory."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from hetslurm.demo.run import CPU_SECONDS, play_round, work_of
from hetslurm.demo.scenario import ROUNDS
from hetslurm.demo.sick_node import play_sick_node
from hetslurm.demo.table import render, row
from hetslurm.sandbox import Sandbox, Spec, parse_nodes

NODES = "cpu=4,gpu:a100=2,fpga:u250=1"
PRICES = """\
[[pool]]
kind = "cpu"
price_per_hour = { cpu = 0.04 }
watts = { cpu = 4.5, node = 60 }

[[pool]]
kind = "gpu"
price_per_hour = { device = 2.1, cpu = 0.04 }
watts = { device = 400, node = 120 }

[[pool]]
kind = "fpga"
price_per_hour = { device = 0.95, cpu = 0.04 }
watts = { device = 225, node = 80 }
"""


def show(console: Console, plugin_dir: Path | None) -> list[dict[str, Any]]:
    """Run all rounds, tell people on `console`; a row (see `table.row`) for every job."""

    def tell(text: str) -> None:
        console.print(text, markup=False)

    rows = []
    work = work_of(CPU_SECONDS)
    with tempfile.TemporaryDirectory(prefix="hetslurm-demo-") as folder:
        Path(folder).chmod(0o755)
        spec = Spec(parse_nodes(NODES), config_toml=PRICES, agents=True)
        tell(f"A real Slurm with pretended nodes {NODES}:")
        with Sandbox.create(Path(folder) / "s", spec, plugin_dir=plugin_dir, tell=tell) as sandbox:
            for number, steps in enumerate(ROUNDS):
                if number:
                    sandbox.waiting.for_snapshot(after=sandbox.waiting.for_snapshot())
                tell("")
                for step, outcome in play_round(sandbox, steps, work, Path(folder), tell):
                    rows.append(row(step, outcome, step.judge(outcome)))
            # The third: the GPUs were full, and the FPGA won.
            told = rows[2]
            tell(f"\nWhy job {told['job_id']} went where it went, and the pools (hetslurm explain, pools):")
            for command in (["explain", str(told["job_id"])], ["pools"]):
                done = sandbox.run([sys.executable, "-P", "-m", "hetslurm", *command], check=False)
                tell(done.stdout.rstrip() or done.stderr.rstrip())
                if done.returncode:
                    told["broken_promise"] = told["broken_promise"] or f"hetslurm {command[0]} failed"
            tell("")
            rows += play_sick_node(sandbox, work, Path(folder), tell)
            tell("stopping everything")
    console.print(render(rows))
    kept = sum(item["broken_promise"] is None for item in rows)
    tell(f"{kept} of {len(rows)} promises were kept")
    return rows

"""The demo from start to end, on a sandbox in a temporary directory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from hetslurm.demo.burst_play import play_burst, set_prices, show_command
from hetslurm.demo.burst_scene import CLOUD, CURRENCY, POLICY
from hetslurm.demo.run import CPU_SECONDS, play_round, work_of
from hetslurm.demo.scenario import ROUNDS
from hetslurm.demo.sick_node import play_sick_node
from hetslurm.demo.table import render, render_money, row
from hetslurm.sandbox import Sandbox, Spec, parse_nodes

NODES = "cpu=4,gpu:a100=2,fpga:u250=1"
# On a busy machine the scripts take longer than they pretend to: that is not to be learnt.
PRICES = """\
[history]
use = false

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
        spec = Spec(parse_nodes(NODES), config_toml=PRICES, agents=True, cloud=CLOUD, burst_toml=POLICY)
        tell(f"A real Slurm with pretended nodes {NODES}, and a cloud of {CLOUD[0].nodes}:")
        with Sandbox.create(Path(folder) / "s", spec, plugin_dir=plugin_dir, tell=tell) as sandbox:
            set_prices(sandbox)
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
                if wrong := show_command(sandbox, command, tell):
                    told["broken_promise"] = told["broken_promise"] or f"hetslurm {command[0]}: {wrong}"
            tell("")
            rows += play_sick_node(sandbox, work, Path(folder), tell)
            tell("")
            rows += play_burst(sandbox, work, Path(folder), tell)
            tell("stopping everything")
    console.print(render(rows))
    console.print(render_money(rows, CURRENCY))
    kept = sum(item["broken_promise"] is None for item in rows)
    tell(f"{kept} of {len(rows)} promises were kept")
    return rows

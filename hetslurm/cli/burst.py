"""`hetslurm burst`: jobs on cloud instances. Each part is a module of its own."""

from __future__ import annotations

import typer

from hetslurm.cli import burst_iam, burst_plan, burst_power, burst_watch

app = typer.Typer(help="Cloud burst: what Slurm runs, and what it needs for that.", no_args_is_help=True)
burst_power.mount(app)
burst_iam.mount(app)
burst_watch.mount(app)
burst_plan.mount(app)

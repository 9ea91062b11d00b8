"""`hetslurm history`: the runs that ended, and what run estimates make of them."""

from __future__ import annotations

import typer

from hetslurm.cli.history_evaluate import evaluate
from hetslurm.cli.history_store import export, forget, show

app = typer.Typer(help="Finished runs, which run estimates learn from.", no_args_is_help=True)
app.command()(show)
app.command()(export)
app.command()(forget)
app.command()(evaluate)

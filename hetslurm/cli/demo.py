"""`hetslurm demo`: a real Slurm, real jobs, and the table of what went where and why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hetslurm.cli.output import JsonOption, print_json

app = typer.Typer()


@app.command()
def demo(
    plugin_dir: Annotated[
        Path | None,
        typer.Option(help="Where the plugins are; else $HETSLURM_PLUGIN_DIR, ./build, Slurm's own."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start a sandbox, run sample jobs, show what went where and why, stop everything.

    Exit code 1 when anything that the demo promises did not happen. With --json, the story goes to stderr.
    """
    from rich.console import Console  # noqa: PLC0415  loading these takes longer than most commands

    from hetslurm.demo.show import show  # noqa: PLC0415

    stream = sys.stderr if as_json else sys.stdout
    width = None if stream.isatty() else 140
    rows = show(Console(file=stream, width=width, highlight=False, soft_wrap=True), plugin_dir)
    if as_json:
        print_json(rows)
    if any(row["broken_promise"] for row in rows):
        raise typer.Exit(1)

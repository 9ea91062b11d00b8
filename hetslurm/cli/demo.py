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
    rebind: Annotated[
        bool, typer.Option("--rebind", help="Play one queue twice: placed at submit alone, and with moves.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a sandbox, run sample jobs, show what went where and why, stop everything.

    With --rebind: 60 jobs, a pool that is drained and another that comes when half of them are done.

    Exit code 1 when anything that the demo promises did not happen. With --json, the story goes to stderr.
    """
    from rich.console import Console  # noqa: PLC0415  loading these takes longer than most commands

    from hetslurm.demo.rebind_play import play  # noqa: PLC0415
    from hetslurm.demo.rebind_scene import played_json  # noqa: PLC0415
    from hetslurm.demo.show import show  # noqa: PLC0415

    stream = sys.stderr if as_json else sys.stdout
    width = None if stream.isatty() else 140
    if rebind:
        console = Console(file=stream, highlight=False, soft_wrap=True)
        result = played_json(*play(console.print, plugin_dir))
        if as_json:
            print_json(result)
        console.print(f"the makespan is {result['ratio']:.2f} times shorter with rebinding")
        if result["broken_promise"]:
            console.print(f"broken promise: {result['broken_promise']}")
            raise typer.Exit(1)
        return
    rows = show(Console(file=stream, width=width, highlight=False, soft_wrap=True), plugin_dir)
    if as_json:
        print_json(rows)
    if any(row["broken_promise"] for row in rows):
        raise typer.Exit(1)

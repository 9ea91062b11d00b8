"""`hetslurm agent`: the daemon of every node."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hetslurm.cli.output import ConfigOption

app = typer.Typer()


@app.command()
def agent(
    config: ConfigOption = None,
    node: Annotated[str, typer.Option(help="Slurm's name of this node; else its short hostname.")] = "",
    key: Annotated[Path | None, typer.Option(help="This node's key; else node.key in keys_dir.")] = None,
    once: Annotated[
        bool, typer.Option("--once", help="One report, then exit; code 1 if it reached nobody.")
    ] = False,
    log_format: Annotated[str, typer.Option(help="text (key=value) or json, one line an event.")] = "text",
) -> None:
    """Look at this node beat after beat and report to the controller."""
    from hetslurm.daemon.log import FORMATS  # noqa: PLC0415  imported here, so that --help is quick

    if log_format not in FORMATS:
        raise typer.BadParameter(f"expected {' or '.join(FORMATS)}, found {log_format}")
    words = ["--log-format", log_format]
    for name, value in (("--config", config), ("--node", node), ("--key", key)):
        words += [name, str(value)] if value else []
    # The same process goes on without what the command line needed: an agent is to be small.
    os.execv(  # noqa: S606
        sys.executable,
        [sys.executable, "-P", "-m", "hetslurm.agent", *words, *(["--once"] if once else [])],
    )

"""`hetslurm controller`: the daemon beside slurmctld."""

from __future__ import annotations

from typing import Annotated

import typer

from hetslurm.cli.output import ConfigOption

app = typer.Typer()


@app.command()
def controller(
    config: ConfigOption = None,
    once: Annotated[bool, typer.Option("--once", help="One cycle, then exit; code 1 if it failed.")] = False,
    log_format: Annotated[str, typer.Option(help="text (key=value) or json, one line an event.")] = "text",
) -> None:
    """Read Slurm, publish the snapshot, place held jobs, again and again. Runs as SlurmUser or root."""
    from hetslurm.clock import SystemClock  # noqa: PLC0415  imported here, so that --help is quick
    from hetslurm.config import SiteFile, find_config  # noqa: PLC0415
    from hetslurm.controller.loop import Controller  # noqa: PLC0415
    from hetslurm.daemon.log import FORMATS, Log  # noqa: PLC0415
    from hetslurm.daemon.notify import Notifier  # noqa: PLC0415
    from hetslurm.daemon.stop import Stop  # noqa: PLC0415
    from hetslurm.slurm import choose_adapter  # noqa: PLC0415

    if log_format not in FORMATS:
        raise typer.BadParameter(f"expected {' or '.join(FORMATS)}, found {log_format}")
    clock, stop = SystemClock(), Stop()
    file = SiteFile(find_config(config))
    log = Log(log_format, clock=clock)
    stop.install()
    worked = Controller(
        file, choose_adapter(file.site.adapter), log=log, clock=clock, stop=stop, notifier=Notifier()
    ).run(once=once)
    if once and not worked:
        raise typer.Exit(1)

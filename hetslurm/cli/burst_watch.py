"""`hetslurm burst watch`: what an instance without an agent runs to tell that it is taken away."""

from __future__ import annotations

from typing import Annotated

import typer

from hetslurm.cli.output import ConfigOption


def mount(app: typer.Typer) -> None:
    """Add the command to `hetslurm burst`."""
    app.command()(watch)


def watch(
    node: Annotated[str, typer.Option(help="Slurm's name of this node; else the short hostname.")] = "",
    every_s: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between looks.")] = 5.0,
    once: Annotated[bool, typer.Option("--once", help="Look once. Code 1: no notice.")] = False,
    config: ConfigOption = None,
) -> None:
    """Drain this node when its cloud takes it away; the reason tells the controller when. Runs until then."""
    import socket  # noqa: PLC0415  imported here, so that --help is quick

    from hetslurm.burst.watch import watch as run  # noqa: PLC0415
    from hetslurm.cli.site import site_to_look_at  # noqa: PLC0415
    from hetslurm.clock import SystemClock  # noqa: PLC0415
    from hetslurm.daemon.log import Log  # noqa: PLC0415
    from hetslurm.daemon.stop import Stop  # noqa: PLC0415
    from hetslurm.host.instance import open_instance_probe  # noqa: PLC0415
    from hetslurm.slurm import choose_adapter  # noqa: PLC0415

    clock, stop = SystemClock(), Stop()
    stop.install()
    site = site_to_look_at(config)

    def pause(seconds: float) -> bool:
        if not once:
            stop.wait(seconds)
        return once or stop.requested

    told = run(
        node or socket.gethostname().partition(".")[0],
        open_instance_probe(site.agent).read,
        choose_adapter("commands"),
        clock=clock,
        log=Log(clock=clock),
        pause=pause,
        every_s=every_s,
    )
    if once and not told:
        raise typer.Exit(1)

"""`hetslurm relay`: the daemon that passes reports on, for sites past one controller's sockets."""

from __future__ import annotations

from typing import Annotated

import typer

from hetslurm.cli.output import ConfigOption

app = typer.Typer()
LOOK_S = 5.0
TELL_S = 60.0


@app.command()
def relay(
    config: ConfigOption = None,
    listen: Annotated[str, typer.Option(help="Where agents connect; else bus.listen.")] = "",
    connect: Annotated[
        str, typer.Option(help="The controller's endpoint; else the one in bus.connect.")
    ] = "",
    log_format: Annotated[str, typer.Option(help="text (key=value) or json, one line an event.")] = "text",
) -> None:
    """Take reports of agents, check them, pass them on. Needs relay.key and registry in bus.keys_dir."""
    from hetslurm.bus.relay import Relay  # noqa: PLC0415  imported here, so that --help is quick
    from hetslurm.cli.site import site_to_look_at  # noqa: PLC0415
    from hetslurm.clock import SystemClock  # noqa: PLC0415
    from hetslurm.daemon.log import FORMATS, Log  # noqa: PLC0415
    from hetslurm.daemon.notify import Notifier  # noqa: PLC0415
    from hetslurm.daemon.stop import Stop  # noqa: PLC0415

    if log_format not in FORMATS:
        raise typer.BadParameter(f"expected {' or '.join(FORMATS)}, found {log_format}")
    site = site_to_look_at(config).bus
    upstream = connect or (site.connect[0] if len(site.connect) == 1 else "")
    if not (listen or site.listen) or not upstream:
        raise typer.BadParameter("say where: --listen tcp://*:6836 --connect tcp://controller:6836")
    clock, stop, notifier = SystemClock(), Stop(), Notifier()
    log = Log(log_format, clock=clock)
    stop.install()
    with Relay(site, log, clock, listen=listen or site.listen, connect=upstream) as running:
        log.info("relay listens", name=running.name, port=running.port, connect=upstream)
        notifier.ready(f"relaying to {upstream}")
        told_at, told = clock.monotonic(), running.counters()
        while not stop.requested and running.is_running:
            stop.wait(LOOK_S)
            counts = running.counters()
            notifier.alive(f"{counts['forwarded']} reports forwarded, {counts['overflow']} dropped")
            if clock.monotonic() - told_at >= TELL_S and counts != told:
                log.info("counted", **{name: n for name, n in counts.items() if n})
                told_at, told = clock.monotonic(), counts
        notifier.stopping()
        log.info("relay stops", **{name: n for name, n in running.counters().items() if n})

"""`hetslurm sandbox`: a real Slurm in a directory, to try policies on."""

from __future__ import annotations

import shlex
import signal
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from hetslurm.cli import sandbox_cloud
from hetslurm.cli.output import JsonOption, complain, print_json, print_table, say
from hetslurm.errors import ConfigError

app = typer.Typer(
    help="A real Slurm on this machine, in a directory: up, down, status, env.", no_args_is_help=True
)

app.add_typer(sandbox_cloud.app, name="cloud")

DEFAULT_DIR = Path(".hetslurm-sandbox")
DEFAULT_NODES = "cpu=4,gpu:a100=2,fpga:u250=1"
OWN_TABLES = {"agent", "burst", "bus", "controller", "snapshot"}

DirOption = Annotated[Path, typer.Option("--dir", help="The sandbox's directory; several can run at once.")]


@app.command()
def up(
    directory: DirOption = DEFAULT_DIR,
    nodes: Annotated[
        str, typer.Option(help="Pretended nodes: KIND[:TYPE[:DEVICES]]=NODES, comma separated.")
    ] = DEFAULT_NODES,
    cpus: Annotated[int, typer.Option(min=1, max=1024, help="CPUs that each node says it has.")] = 16,
    mem_mb: Annotated[int, typer.Option(min=1024, help="Memory that each node says it has, in MB.")] = 64_000,
    plugin_dir: Annotated[
        Path | None,
        typer.Option(help="Where the plugins are; else $HETSLURM_PLUGIN_DIR, ./build, Slurm's own."),
    ] = None,
    plugins: Annotated[bool, typer.Option(help="--no-plugins: a stock Slurm.")] = True,
    controller: Annotated[bool, typer.Option(help="--no-controller: nobody writes the snapshot.")] = True,
    agents: Annotated[
        bool, typer.Option(help="--no-agents: no node health, and nothing is ever drained.")
    ] = True,
    cloud: Annotated[
        str, typer.Option(help="Cloud nodes, as --nodes; their instances are slurmd on this machine.")
    ] = "",
    burst: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The rest of burst.toml ([spill], [[cap]], [retry], …)."
        ),
    ] = None,
    accounting: Annotated[bool, typer.Option(help="Also slurmdbd with a MariaDB of its own.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A file of tables (pool, data, health, …) to append to the sandbox's hetslurm.toml.",
        ),
    ] = None,
) -> None:
    """Start it and wait until every node is idle and the first snapshot is published."""
    from hetslurm.sandbox import (  # noqa: PLC0415  what only this command needs
        Sandbox,
        Spec,
        parse_cloud,
        parse_nodes,
    )

    if burst and not cloud:
        raise typer.BadParameter("--burst is about cloud nodes: say --cloud, such as --cloud cpu=4")

    spec = Spec(
        parse_nodes(nodes, cpus=cpus, mem_mb=mem_mb),
        plugins=plugins,
        controller=controller,
        agents=agents and controller and plugins,
        accounting=accounting,
        config_toml=_tables_of(config) if config else "",
        cloud=parse_cloud(cloud, cpus=cpus, mem_mb=mem_mb) if cloud else (),
        burst_toml=burst.read_text(encoding="utf-8") if burst else "",
    )
    # Asked to end while starting, it takes down what it started.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    sandbox = Sandbox.create(
        directory, spec, plugin_dir=plugin_dir, tell=lambda text: complain(f"sandbox: {text}")
    )
    say(
        "The sandbox is up. Speak to it with:  "
        f'eval "$(hetslurm sandbox env --dir {shlex.quote(str(sandbox.root))})"'
    )


def _tables_of(config: Path) -> str:
    """The text of --config. ConfigError for a mistake, rather than a controller that does not start."""
    from hetslurm.config import load_site  # noqa: PLC0415

    load_site(config)
    text = config.read_text(encoding="utf-8")
    for table in OWN_TABLES & tomllib.loads(text).keys():
        raise ConfigError(f"{config}: [{table}] is the sandbox's own; leave it out")
    return text


@app.command()
def down(
    directory: DirOption = DEFAULT_DIR,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the logs.")] = False,
) -> None:
    """End every process of it and remove its files, also after a crash."""
    from hetslurm.sandbox.sandbox import stop  # noqa: PLC0415

    say("The sandbox is down." if stop(directory, keep_logs=keep) else f"There is no sandbox in {directory}.")


@app.command()
def status(directory: DirOption = DEFAULT_DIR, as_json: JsonOption = False) -> None:
    """Its daemons and nodes. Exit code 1 when something of it has died."""
    from hetslurm.sandbox import Sandbox  # noqa: PLC0415

    sandbox = Sandbox.open(directory)
    daemons = [
        {
            "name": name,
            "pid": p.pid,
            "alive": p.alive(),
            "port": sandbox.state.ports.get(name.removeprefix("slurmd-")),
        }
        for name, p in sandbox.state.processes.items()
    ]
    answers = sandbox.state.processes["slurmctld"].alive()  # without it, sinfo would try for long
    listed = sandbox.run(["sinfo", "-h", "-N", "-o", "%N|%T|%G"], check=False).stdout if answers else ""
    nodes = [
        dict(zip(("name", "state", "gres"), line.split("|"), strict=True)) for line in listed.splitlines()
    ]
    if as_json:
        print_json({"dir": str(sandbox.root), "up": sandbox.is_up(), "daemons": daemons, "nodes": nodes})
    else:
        rows = [
            [str(d["name"]), str(d["pid"]), "runs" if d["alive"] else "DEAD", str(d["port"] or "-")]
            for d in daemons
        ]
        print_table(
            str(sandbox.root), [("daemon", "left"), ("pid", "right"), ("", "left"), ("port", "right")], rows
        )
        print_table(
            "",
            [("node", "left"), ("state", "left"), ("gres", "left")],
            [list(node.values()) for node in nodes],
        )
    if not sandbox.is_up():
        raise typer.Exit(1)


@app.command()
def fault(
    node: Annotated[str, typer.Argument(help="A node with an agent, such as gpu1.")],
    device: Annotated[str, typer.Argument(help="gpu or fpga, with an index where there are several: gpu:1.")],
    what: Annotated[
        str, typer.Argument(help="ecc, throttle, lost, slow, hang, …; a wrong one lists them all.")
    ],
    directory: DirOption = DEFAULT_DIR,
) -> None:
    """Let a pretended device go bad, and see with `hetslurm nodes` and `sinfo -R` what follows."""
    from hetslurm.sandbox import Sandbox  # noqa: PLC0415

    kind, _, index = device.partition(":")
    if kind not in ("gpu", "fpga") or not (index or "0").isdigit():
        raise typer.BadParameter(f"expected gpu, fpga or such as gpu:1, found {device}")
    Sandbox.open(directory).break_device(node, kind, int(index or 0), what)
    say(f"{device} of {node}: {what}. See `hetslurm nodes {node}`; `hetslurm sandbox heal {node}` ends it.")


@app.command()
def heal(
    node: Annotated[str, typer.Argument(help="A node with an agent.")], directory: DirOption = DEFAULT_DIR
) -> None:
    """Make a node's pretended devices healthy."""
    from hetslurm.sandbox import Sandbox  # noqa: PLC0415

    Sandbox.open(directory).heal(node)
    say(f"{node}'s devices are healthy.")


@app.command()
def env(directory: DirOption = DEFAULT_DIR) -> None:
    """Print export lines; after `eval`, plain sbatch, squeue and hetslurm speak to it."""
    from hetslurm.sandbox import Sandbox  # noqa: PLC0415

    for name, value in Sandbox.open(directory).exports().items():
        say(f"export {name}={shlex.quote(value)}")

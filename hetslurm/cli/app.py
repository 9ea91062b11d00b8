"""`hetslurm`: the root of the command line. Loads only the command that is called."""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from hetslurm import __version__
from hetslurm.cli.output import BAD_USAGE, complain
from hetslurm.errors import HetslurmError

COMMANDS = (
    "sandbox",
    "demo",
    "pools",
    "explain",
    "decisions",
    "check",
    "controller",
    "agent",
    "probe",
    "nodes",
    "drains",
    "keys",
    "relay",
    "burst",
    "budget",
    "report",
    "history",
)


def build(only: str | None = None) -> typer.Typer:
    """The application with all commands, or with the one that will be called."""
    root = typer.Typer(
        name="hetslurm",
        help="Place one job across CPU, GPU and FPGA partitions of a stock Slurm.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback()(_root)
    for name in COMMANDS if only is None else (only,):
        mount(root, name, import_module(f"hetslurm.cli.{name}").app)
    return root


def mount(root: typer.Typer, name: str, app: typer.Typer) -> None:
    """An app of one command and nothing else becomes that command; any other a group."""
    if len(app.registered_commands) == 1 and not app.registered_groups and not app.registered_callback:
        command = app.registered_commands[0].callback
        if command is not None:
            root.command(name)(command)
            return
    root.add_typer(app, name=name)


def main() -> None:
    """The entry point. What hetslurm or the system refuses is said on stderr, with exit code 2."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    only = words[0] if words and words[0] in COMMANDS else None
    try:
        build(only)()
    except HetslurmError as error:
        complain(f"hetslurm: {error}")
        sys.exit(BAD_USAGE)
    except OSError as error:
        complain(
            f"hetslurm: {': '.join(str(part) for part in (error.filename, error.strerror or error) if part)}"
        )
        sys.exit(BAD_USAGE)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hetslurm {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass

"""`hetslurm sandbox cloud`: play the cloud's troubles in a sandbox that has cloud nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hetslurm.cli.output import say
from hetslurm.errors import SandboxError

if TYPE_CHECKING:
    from hetslurm.cloudburst.provider.local.faults import Faults

app = typer.Typer(help="What clouds do to their customers, in a sandbox with --cloud.", no_args_is_help=True)

DirOption = Annotated[Path, typer.Option("--dir", help="The sandbox's directory.")]
NodeArgument = Annotated[str, typer.Argument(help="A cloud node that has an instance, such as cloud1.")]
DEFAULT_DIR = Path(".hetslurm-sandbox")
EVERY = "*"
DOWN = ("refuse", "silent")


@app.command()
def notice(
    node: NodeArgument,
    in_s: Annotated[float, typer.Option("--in", min=0, help="Seconds until it is taken away.")] = 120.0,
    directory: DirOption = DEFAULT_DIR,
) -> None:
    """Take a node's instance away, with notice, as spot instances are."""
    from hetslurm.cloudburst.provider.local.faults import give_notice  # noqa: PLC0415

    give_notice(_folder_of(directory, node), time.time() + in_s)
    say(f"{node} is taken away in {in_s:g} s. See `hetslurm nodes {node}` and `squeue`.")


@app.command()
def lose(node: NodeArgument, directory: DirOption = DEFAULT_DIR) -> None:
    """Let a node's instance vanish without a word."""
    from hetslurm.cloudburst.provider.local.faults import lose as lose_it  # noqa: PLC0415

    lose_it(_folder_of(directory, node))
    say(f"{node} is lost.")


@app.command()
def fault(
    how: Annotated[str, typer.Argument(help="capacity, quota, …, bad-image; a wrong one lists them all.")],
    node: Annotated[str, typer.Option(help="Only launches of this node.")] = EVERY,
    purchase: Annotated[str, typer.Option(help="Only spot, on-demand or reserved.")] = EVERY,
    zone: Annotated[str, typer.Option(help="Only in this zone.")] = EVERY,
    times: Annotated[int, typer.Option(min=0, help="So many launches; 0: all.")] = 0,
    directory: DirOption = DEFAULT_DIR,
) -> None:
    """Let launches fail, or boot wrongly, until `heal`."""
    from dataclasses import replace  # noqa: PLC0415

    from hetslurm.cloudburst.provider.local.faults import BOOTS, LaunchFault  # noqa: PLC0415
    from hetslurm.cloudburst.provider.protocol import Trouble  # noqa: PLC0415

    known = [*(trouble.value for trouble in Trouble), *BOOTS]
    if how not in known:
        raise typer.BadParameter(f"expected {', '.join(known)}, found {how}")
    new = LaunchFault(how, node, purchase, zone, times or None)
    _change(directory, lambda faults: replace(faults, launch=(*faults.launch, new)))
    say(f"launches: {how}. `hetslurm sandbox cloud heal` ends it.")


@app.command()
def price(
    offering: Annotated[str, typer.Argument(help="spot, on-demand or reserved, or such as spot/a.")],
    amount: Annotated[str, typer.Argument(help="An hour of one instance; none: no price is to be had.")],
    directory: DirOption = DEFAULT_DIR,
) -> None:
    """Change a price, until `heal`."""
    from dataclasses import replace  # noqa: PLC0415

    from hetslurm.cloudburst.money import micro_of  # noqa: PLC0415

    try:
        micro = None if amount == "none" else micro_of(Decimal(amount))
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise typer.BadParameter(f"expected an amount such as 0.35, or none, found {amount}") from error
    _change(directory, lambda faults: replace(faults, prices={**faults.prices, offering: micro}))
    say(f"{offering} costs {amount} an hour.")


@app.command()
def down(
    how: Annotated[
        str, typer.Argument(help="refuse: nothing is done; silent: it is, and nothing is answered.")
    ],
    directory: DirOption = DEFAULT_DIR,
) -> None:
    """Let the whole cloud be down, until `heal`."""
    from dataclasses import replace  # noqa: PLC0415

    if how not in DOWN:
        raise typer.BadParameter(f"expected {' or '.join(DOWN)}, found {how}")
    _change(directory, lambda faults: replace(faults, down=how))
    say(f"the cloud is down ({how}).")


@app.command()
def heal(directory: DirOption = DEFAULT_DIR) -> None:
    """Take back all faults and prices; what was announced to a node stays."""
    from hetslurm.cloudburst.provider.local.faults import Faults  # noqa: PLC0415

    _change(directory, lambda faults: Faults())
    say("the cloud is well.")


def _cloud(directory: Path) -> Path:
    from hetslurm.sandbox import Sandbox  # noqa: PLC0415

    sandbox = Sandbox.open(directory)
    if not sandbox.state.spec.cloud:
        raise SandboxError(f"the sandbox in {directory} has no cloud nodes; start one with --cloud cpu=4")
    return sandbox.layout.cloud


def _change(directory: Path, change: Callable[[Faults], Faults]) -> None:
    from hetslurm.cloudburst.provider.local.faults import change_faults  # noqa: PLC0415

    change_faults(_cloud(directory) / "faults.json", change)


def _folder_of(directory: Path, node: str) -> Path:
    from hetslurm.cloudburst.provider.local.provider import LocalProvider  # noqa: PLC0415
    from hetslurm.cloudburst.provider.local.settings import LocalSettings  # noqa: PLC0415

    folder = LocalProvider(LocalSettings(dir=_cloud(directory))).folder_of(node)
    if folder is None:
        raise SandboxError(f"{node} never had an instance")
    return folder

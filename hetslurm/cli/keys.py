"""`hetslurm keys`: who may report. Works on the folder that [bus] keys_dir names."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, print_table, say

if TYPE_CHECKING:
    from hetslurm.bus.authority import Authority

app = typer.Typer(help="Keys of the bus: make, issue, revoke, list.", no_args_is_help=True)
Nodes = Annotated[list[str], typer.Argument(metavar="NODE…", help="Names as Slurm writes them: gpu[1-4].")]


@app.command()
def init(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make the controller's key and an empty registry; what is there already stays."""
    folder, authority = _open(config)
    key, is_new = authority.init()
    if as_json:
        print_json({"folder": str(folder), "public": key.public.decode(), "new": is_new})
    else:
        what = "made" if is_new else "is there already:"
        say(f"{folder}: {what} the controller's key {key.public.decode()}")


@app.command()
def issue(
    nodes: Nodes,
    relay: Annotated[bool, typer.Option("--relay", help="The key of a relay, not of a node.")] = False,
    via: Annotated[str, typer.Option(help="The relay that these nodes connect to.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder for the files; else keys_dir/issued.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make NODE.key for each node, to be its keys_dir/node.key; an older key of it is revoked."""
    _, authority = _open(config)
    names = _names(nodes)
    paths = authority.issue(names, out=out, role="relay" if relay else "node", via=via)
    if as_json:
        print_json(
            {"issued": [{"node": node, "file": str(path)} for node, path in zip(names, paths, strict=True)]}
        )
        return
    for path in paths:
        say(str(path))
    there = "relay.key" if relay else "node.key"
    say(f"Copy each to keys_dir/{there} on its machine, mode 0600, and delete it here.")


@app.command()
def revoke(nodes: Nodes, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Stop believing these nodes; a running controller obeys within a second."""
    _, authority = _open(config)
    names = _names(nodes)
    keys = authority.revoke(names)
    if as_json:
        print_json({"revoked": keys})
    else:
        say(f"{len(keys)} key{'s' * (len(keys) != 1)} revoked")


@app.command(name="list")
def list_keys(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Every key ever issued, oldest first."""
    _, authority = _open(config)
    rows = [
        {
            "role": entry.role,
            "node": entry.node,
            "public": entry.public,
            "issued": _text(entry.issued_at),
            "revoked": _text(entry.revoked_at),
        }
        for entry in authority.list()
    ]
    if as_json:
        print_json({"keys": rows})
    else:
        columns = [("Node", "left"), ("Role", "left"), ("Public key", "left"), ("Issued", "left")]
        print_table(
            "",
            [*columns, ("Revoked", "left")],
            [
                [str(row[key] or "") for key in ("node", "role", "public", "issued", "revoked")]
                for row in rows
            ],
        )


def _open(config: Path | None) -> tuple[Path, Authority]:
    from hetslurm.bus.authority import Authority  # noqa: PLC0415  libzmq is loaded by no --help
    from hetslurm.cli.site import site_to_look_at  # noqa: PLC0415
    from hetslurm.clock import SystemClock  # noqa: PLC0415

    folder = Path(site_to_look_at(config).bus.keys_dir)
    return folder, Authority(folder, SystemClock())


def _names(nodes: list[str]) -> list[str]:
    from hetslurm.errors import SlurmError  # noqa: PLC0415
    from hetslurm.slurm.hostlist import expand_hostlist  # noqa: PLC0415

    try:
        names = list(dict.fromkeys(name for text in nodes for name in expand_hostlist(text)))
    except SlurmError as error:
        raise typer.BadParameter(str(error)) from error
    if not names:
        raise typer.BadParameter("no node is named")
    return names


def _text(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

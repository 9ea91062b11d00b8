"""`hetslurm nodes`: how nodes are, why, and how old that knowledge is."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, print_table, say
from hetslurm.cli.site import site_to_look_at
from hetslurm.errors import HetslurmError

app = typer.Typer()
COLUMNS = (
    ("node", "left"),
    ("health", "right"),
    ("speed", "right"),
    ("heard", "right"),
    ("probes", "left"),
    ("findings", "left"),
)


@app.command()
def nodes(
    node: Annotated[str | None, typer.Argument(help="One node, with every probe's last values.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    sick: Annotated[
        bool, typer.Option("--sick", help="Only the silent, and those with findings that count.")
    ] = False,
) -> None:
    """Show each node's health, the findings behind it, and when it was heard."""
    from hetslurm.bus.board_view import read_board_file  # noqa: PLC0415  only this command pays for NumPy
    from hetslurm.cli.node_rows import node_row, node_summary  # noqa: PLC0415
    from hetslurm.controller.node_watch import board_path  # noqa: PLC0415

    board = read_board_file(board_path(site_to_look_at(config)))
    now = time.time()
    if node is not None:
        found = board.node(node)
        if found is None:
            raise HetslurmError(
                f"no report of a node {node!r} ever came; does its agent run, with a key of that name?"
            )
        row = node_row(found, now)
        print_json(row) if as_json else _render_one(row)
        return
    rows = [node_summary(one, now) for one in board]
    if sick:
        rows = [row for row in rows if row["silent"] or any(f["counts"] for f in row["findings"])]
    if as_json:
        print_json(
            {
                "written_at": board.written_at,
                "age_s": round(max(0.0, now - board.written_at), 3),
                "bus_suspected": board.bus_suspected,
                "nodes": rows,
            }
        )
        return
    if board.bus_suspected:
        say("Most nodes fell silent together: the bus is suspected, and nothing is held against them.")
    print_table(
        "", COLUMNS, [_cells(row) for row in sorted(rows, key=lambda row: min(row["health"].values()))]
    )
    say(f"{len(board)} nodes; the board is {_age(now - board.written_at)} old")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    states = [f"{name} {probe['state']}" for name, probe in row["probes"].items() if probe["state"] != "ok"]
    well = [name for name, probe in row["probes"].items() if probe["state"] == "ok"]
    return (
        row["node"],
        _by_kind(row["health"], "{:.0%}"),
        _by_kind(row["speed"], "{:.2f}"),
        "SILENT " * row["silent"] + _age(row["report_age_s"]),
        "; ".join([*([" ".join(well)] if well else []), *states]),
        "\n".join(_finding(finding) for finding in row["findings"]),
    )


def _by_kind(values: dict[str, float], form: str) -> str:
    """One number where all kinds are alike; else each that differs from the node's own."""
    whole = values["cpu"]
    differing = [f"{kind} {form.format(value)}" for kind, value in values.items() if value != whole]
    return " ".join([form.format(whole), *differing])


def _finding(finding: dict[str, Any]) -> str:
    hard, stored = " (hard)" * finding["hard"], " (stored)" * (not finding["counts"])
    return f"{finding['text']}{hard}{stored}"


def _render_one(row: dict[str, Any]) -> None:
    say(
        f"{row['node']}: health {_by_kind(row['health'], '{:.0%}')}, speed {_by_kind(row['speed'], '{:.2f}')}"
    )
    say(
        f"heard {_age(row['report_age_s'])} ago, {row['reports']} reports, {row['lost']} lost, "
        f"{row['restarts']} restarts of its agent, clock {row['clock_skew_s']:+.3f} s"
    )
    for finding in row["findings"]:
        say(f"  {finding['rule']}: {_finding(finding)}, for {_age(finding['for_s'])}")
    for name, probe in row["probes"].items():
        said = f", {probe['message']}" if probe["message"] else ""
        say(f"{name}: {probe['state']}, sampled {_age(probe['age_s'])} ago in {probe['took_s']:.3f} s{said}")
        for device in probe["rows"]:
            _render_device(name, device)


def _render_device(probe: str, device: dict[str, Any]) -> None:
    title = ", ".join(f"{name} {text}" for name, text in device["facts"].items())
    gone = "" if device["present"] else " (gone: its last values)"
    lines = [
        (metric, _number(found["value"]), _number(found["baseline"]), found["unit"])
        for metric, found in device["values"].items()
        if found["value"] is not None
    ]
    unknown = [metric for metric, found in device["values"].items() if found["value"] is None]
    print_table(
        f"{probe} {device['index']}{gone} {title}".rstrip(),
        (("metric", "left"), ("value", "right"), ("baseline", "right"), ("unit", "left")),
        lines,
    )
    if unknown:
        say(f"unknown: {', '.join(unknown)}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}" if abs(value) < 1e5 else f"{value:,.0f}"


def _age(seconds: float | None) -> str:
    from hetslurm.units import render_duration  # noqa: PLC0415

    return "never" if seconds is None else render_duration(seconds)

"""`hetslurm report`: what was spent, by whom, and what it bought."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, print_table, say
from hetslurm.cloudburst.report import By

if TYPE_CHECKING:
    from hetslurm.cloudburst.report import Report

app = typer.Typer(help="Reports of what was spent.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group, also while it has one command."""


@app.command()
def cost(
    file: Annotated[
        Path | None, typer.Argument(help="Where --html writes the page; else standard output.")
    ] = None,
    by: Annotated[By, typer.Option(help="What a row is of.")] = By.ACCOUNT,
    since: Annotated[
        str, typer.Option(help="Settled since: 2026-11-01, 2026-11-01T12:30Z (UTC), or 7d, 12h, 4w ago.")
    ] = "30d",
    until: Annotated[
        str, typer.Option(help="And before, in the same words; else until now.", show_default=False)
    ] = "",
    as_html: Annotated[
        bool, typer.Option("--html", help="Write one page without anything from elsewhere.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the cloud cost: boot, run and idle, against on-demand and against waiting on-premises."""
    from hetslurm.cli.site import site_to_look_at  # noqa: PLC0415  imported here, so that --help is quick
    from hetslurm.clock import SystemClock  # noqa: PLC0415
    from hetslurm.cloudburst.ledger.reader import Reader  # noqa: PLC0415
    from hetslurm.cloudburst.report import make_report  # noqa: PLC0415
    from hetslurm.cloudburst.report_html import render_html  # noqa: PLC0415

    if as_html and as_json:
        raise typer.BadParameter("is one thing, --json another", param_hint="--html")
    if file is not None and not as_html:
        raise typer.BadParameter("a file is for --html", param_hint="FILE")
    now = SystemClock().now()
    since_at = _when(since, now, "--since")
    until_at = _when(until, now, "--until") if until else None
    if until_at is not None and until_at <= since_at:
        raise typer.BadParameter("is not after --since", param_hint="--until")
    site = site_to_look_at(config)
    with Reader(Reader.path_in(site.state_dir)) as ledger:
        costs = ledger.costs(since_at, until_at)
    report = make_report(costs, by, currency=site.currency, since=since_at, until=until_at, now=now)
    if as_json:
        print_json(report.as_json())
    elif as_html and file is not None:
        file.write_text(render_html(report), encoding="utf-8")
        say(f"{file}: cost by {by}")
    elif as_html:
        sys.stdout.write(render_html(report))
    else:
        render(report)


def render(report: Report) -> None:
    """The report for people."""
    from hetslurm.cloudburst.report_html import HEADINGS, cells  # noqa: PLC0415
    from hetslurm.cloudburst.report_period import show_period  # noqa: PLC0415

    period = show_period(report.since, report.until, report.made_at)
    if not report.rows:
        say(f"nothing was spent from {period}, and nothing is reserved")
        return
    columns = ((str(report.by), "left"), *((heading, "right") for heading in HEADINGS))
    rows = [(row.name, *cells(row)) for row in report.rows]
    if len(rows) > 1:
        rows.append(("total", *cells(report.total)))
    print_table(f"cloud cost in {report.currency}, settled from {period}", columns, rows)


def _when(text: str, now: float, option: str) -> float:
    from hetslurm.cloudburst.report_period import parse_when  # noqa: PLC0415

    try:
        return parse_when(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None

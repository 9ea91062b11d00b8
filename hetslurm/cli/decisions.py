"""`hetslurm decisions`: what was decided and what happened, by time, job, kind and user."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, print_table, say
from hetslurm.cli.site import site_to_look_at
from hetslurm.cloudburst.report_period import parse_when
from hetslurm.errors import HetslurmError

app = typer.Typer()


@app.command()
def decisions(
    since: Annotated[
        str, typer.Option(help="From: 2026-11-01, 2026-11-01T12:30Z (UTC), or 12h, 7d ago.")
    ] = "24h",
    until: Annotated[
        str, typer.Option(help="To, in the words of --since; else now.", show_default=False)
    ] = "",
    job: Annotated[
        int | None, typer.Option("--job", help="Only this job, or this array.", show_default=False)
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option("--what", help="Only these steps: placed, moved, refused…", show_default=False),
    ] = None,
    user: Annotated[str, typer.Option(help="Only this user's jobs.", show_default=False)] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List placements, moves, refusals, starts and ends, oldest first."""
    from hetslurm.cli.event_rows import COLUMNS, event_cells, event_json  # noqa: PLC0415
    from hetslurm.controller.event import What  # noqa: PLC0415
    from hetslurm.controller.events import read_events  # noqa: PLC0415

    steps = [str(one) for one in What]
    for word in what or ():
        if word not in steps:
            raise HetslurmError(f"--what: {word!r} is no step; there are: {', '.join(steps)}")
    state_dir, now = Path(site_to_look_at(config).state_dir), time.time()
    found = read_events(
        state_dir,
        _when("--since", since, now),
        _when("--until", until, now) if until else float("inf"),
        what=[What(word) for word in what or ()],
        user=user,
        job_id=job,
    )
    rows = [event_json(event) for event in found]
    if as_json:
        print_json(rows)
    elif rows:
        users = {row["job_id"]: str(row["facts"]["user"]) for row in rows if row["facts"].get("user")}
        print_table("", COLUMNS, [event_cells(row, users) for row in rows])
    else:
        say("nothing of that kind happened then")


def _when(option: str, text: str, now: float) -> float:
    try:
        return parse_when(text, now)
    except ValueError as error:
        raise HetslurmError(f"{option}: {error}") from None

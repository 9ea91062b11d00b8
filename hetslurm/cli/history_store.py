"""`hetslurm history show`, `export` and `forget`: the store of finished runs."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hetslurm.cli.output import BAD_USAGE, ConfigOption, JsonOption, complain, print_json, print_table, say
from hetslurm.cli.site import site_to_look_at
from hetslurm.cloudburst.report_period import parse_when, show_when
from hetslurm.history.export import Format
from hetslurm.units import render_duration

if TYPE_CHECKING:
    from hetslurm.history import Which
    from hetslurm.history.summary import ClassSummary

AppOption = Annotated[str | None, typer.Option("--app", help="Only runs of this app.", show_default=False)]
UserOption = Annotated[str | None, typer.Option("--user", help="Only runs of this user.", show_default=False)]
SinceOption = Annotated[
    str,
    typer.Option(
        help="Ended since: 2026-11-01, 2026-11-01T12:30Z (UTC), or 7d, 12h ago.", show_default=False
    ),
]
COLUMNS = (
    ("app", "left"),
    ("kind", "left"),
    ("type", "left"),
    ("runs", "right"),
    ("completed", "right"),
    ("median", "right"),
    ("mean", "right"),
    ("spread", "right"),
    ("per work", "right"),
    ("failed", "right"),
    ("last", "right"),
)


def show(
    app: AppOption = None,
    user: UserOption = None,
    since: SinceOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """How long runs took, by app (or by user, for jobs that name no app) and device."""
    from hetslurm.history import read_runs  # noqa: PLC0415  imported here, so that --help is quick
    from hetslurm.history.summary import summarize  # noqa: PLC0415

    which = _which(app, user, since)
    classes = summarize(read_runs(Path(site_to_look_at(config).state_dir), which))
    if as_json:
        print_json([asdict(one) for one in classes])
    elif classes:
        print_table("", COLUMNS, [_cells(one, time.time()) for one in classes])
        say("times: of completed runs. spread: 90 % quantile / mean. failed: failed, timeout, node, memory")
    else:
        say("no such run is in the history")


def export(
    form: Annotated[Format, typer.Option("--format", help="How runs are written.")] = Format.JSONL,
    app: AppOption = None,
    user: UserOption = None,
    since: SinceOption = "",
    config: ConfigOption = None,
) -> None:
    """Write the runs themselves to standard output; SWF is what `hetslurm history evaluate` reads."""
    from hetslurm.history import read_runs  # noqa: PLC0415
    from hetslurm.history.export import render  # noqa: PLC0415

    runs = read_runs(Path(site_to_look_at(config).state_dir), _which(app, user, since), form.order)
    try:
        sys.stdout.writelines(render(runs, form))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has enough
        sys.stderr.close()


def forget(
    app: AppOption = None,
    user: UserOption = None,
    before: Annotated[
        str, typer.Option(help="Only runs that ended before, in the words of --since.", show_default=False)
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="All runs, of everybody.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete runs for good; the running controller unlearns them, too."""
    from hetslurm.history import Which, count_runs  # noqa: PLC0415
    from hetslurm.history import forget as delete  # noqa: PLC0415

    now = time.time()
    if not (app is not None or user is not None or before or everything):
        raise typer.BadParameter("say which runs: --user, --app, --before, or --all for all of them")
    if everything and (app is not None or user is not None or before):
        raise typer.BadParameter("is for all runs; leave it out where you name some", param_hint="--all")
    which = Which(user, app, before=_when(before, now, "--before") if before else None)
    state_dir = Path(site_to_look_at(config).state_dir)
    if not yes:
        count = count_runs(state_dir, which)
        if not typer.confirm(f"Delete {count} runs for good?"):
            complain("hetslurm: nothing was deleted")
            raise typer.Exit(BAD_USAGE)
    deleted = delete(state_dir, which, now)
    if as_json:
        print_json({"deleted": deleted})
    else:
        say(f"{deleted} runs are deleted; slurmdbd, if there is one, keeps its own record of them")


def _which(app: str | None, user: str | None, since: str) -> Which:
    from hetslurm.history import Which  # noqa: PLC0415

    return Which(user, app, since=_when(since, time.time(), "--since") if since else None)


def _when(text: str, now: float, option: str) -> float:
    try:
        return parse_when(text, now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def _cells(one: ClassSummary, now: float) -> tuple[str, ...]:
    return (
        one.app or f"(user {one.user})",
        one.kind,
        one.type,
        str(one.n),
        str(one.completed),
        _duration(one.median_s),
        _duration(one.mean_s),
        "" if one.spread is None else f"{one.spread:.2f}",
        "" if one.per_work_s is None else f"{one.per_work_s:.3g} s",
        str(one.failures) if one.failures else "",
        _ago(one.last_at, now),
    )


def _duration(seconds: Any) -> str:
    return "" if seconds is None else render_duration(seconds)


def _ago(at: float, now: float) -> str:
    """How long ago, for what is recent; else the time."""
    return f"{render_duration(max(0.0, now - at))} ago" if now - at < 2 * 86400 else show_when(at)

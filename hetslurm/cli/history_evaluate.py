"""`hetslurm history evaluate`: how good run estimates would have been on a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hetslurm.cli.output import JsonOption, complain, print_json, print_table, say

if TYPE_CHECKING:
    from hetslurm.estimates.runs.carry_score import CarryScore
    from hetslurm.workloads.swf import SwfJob, SwfLog


def evaluate(
    trace: Annotated[Path, typer.Argument(help="A log in the Standard Workload Format, plain or gzipped.")],
    apps: Annotated[
        bool, typer.Option("--apps", help="The log's executables are the jobs' apps; else no app is known.")
    ] = False,
    gavel: Annotated[
        bool,
        typer.Option(
            "--gavel", help="The file is Gavel's throughput table: score the carry-over to devices."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Play a log through the estimator in time order; at each submit it knows what had ended, no more."""
    if gavel:
        _evaluate_gavel(trace, as_json)
        return
    from hetslurm.estimates.runs import RunEstimator  # noqa: PLC0415  imported here, so that --help is quick
    from hetslurm.estimates.runs.play import play  # noqa: PLC0415
    from hetslurm.workloads.swf import SwfLog  # noqa: PLC0415
    from hetslurm.workloads.swf_runs import runs_of  # noqa: PLC0415

    log = SwfLog(trace)
    with _progress(log) as jobs:
        scores = play(runs_of(jobs, apps=apps), RunEstimator())
    report: dict[str, Any] = {**scores.report(), "skipped_lines": log.skipped, "problems": log.problems}
    for problem in log.problems:
        complain(f"hetslurm: {trace}: skipped {problem}")
    if log.skipped > len(log.problems):
        complain(f"hetslurm: {trace}: skipped {log.skipped - len(log.problems)} more lines")
    if as_json:
        print_json(report)
        return
    del report["problems"]
    print_table(
        trace.name,
        (("", "left"), ("", "right")),
        [(name.replace("_", " "), _shown(value)) for name, value in report.items()],
    )
    say("accuracy: min(p, r) / max(p, r). second half: of the jobs, by submit. rows: the snapshot's alone")


def _evaluate_gavel(path: Path, as_json: bool) -> None:
    from hetslurm.estimates.runs.carry_score import leave_one_out  # noqa: PLC0415
    from hetslurm.workloads.gavel import read_throughputs  # noqa: PLC0415

    table = read_throughputs(path)
    scores = {
        "accelerators": leave_one_out(table.consolidated().ln_times()),
        "all": leave_one_out(table.ln_times()),
    }
    if as_json:
        print_json({**_carried(scores["accelerators"]), "with_unconsolidated": _carried(scores["all"])})
        return
    columns = (
        ("devices", "left"),
        ("cells", "right"),
        ("median error", "right"),
        ("mean", "right"),
        ("coverage of 90 %", "right"),
        ("median, ratios alone", "right"),
    )
    rows = [(name, *(_shown(value) for value in _carried(score).values())) for name, score in scores.items()]
    print_table(path.name, columns, rows)
    say("each (app, device) cell is foretold from the others; the error is |p - t| / t")


def _carried(score: CarryScore) -> dict[str, float | int | None]:
    return {
        "cells": score.cells,
        "median_relative_error": score.median_error,
        "mean_relative_error": score.mean_error,
        "coverage_90": score.coverage_90,
        "median_relative_error_ratio_alone": score.ratio_alone_error,
    }


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


@contextmanager
def _progress(log: SwfLog) -> Iterator[Iterator[SwfJob]]:
    """The log's jobs, with a bar on stderr where a person looks."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(log.path.name, total=max(log.path.stat().st_size, 1))

        def jobs() -> Iterator[SwfJob]:
            for n, job in enumerate(log):
                if n % 256 == 0:
                    progress.update(task, completed=log.bytes_read)
                yield job

        yield jobs()

"""Runs as lines of JSON, CSV or SWF (Standard Workload Format), one at a time. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from enum import StrEnum

import msgspec

from hetslurm.history.select import Order
from hetslurm.runs import Ending, Run


class Format(StrEnum):
    """How runs are written."""

    JSONL = "jsonl"
    CSV = "csv"
    SWF = "swf"

    @property
    def order(self) -> Order:
        """SWF logs are by submit time; the others by end, as runs became known."""
        return Order.SUBMITTED if self is Format.SWF else Order.ENDED


# SWF's column 11: 1 completed, 0 failed, 5 cancelled.
_STATUS = {Ending.COMPLETED: 1, Ending.CANCELLED: 5, Ending.PREEMPTED: 5}
_UNKNOWN = "-1"


def render(runs: Iterable[Run], form: Format) -> Iterator[str]:
    """Lines, each with its newline."""
    yield from _RENDER[form](runs)


def render_jsonl(runs: Iterable[Run]) -> Iterator[str]:
    """One JSON object a run, with the fields of Run."""
    for run in runs:
        yield msgspec.json.encode(run).decode() + "\n"


def render_csv(runs: Iterable[Run]) -> Iterator[str]:
    """A heading, then a line a run; node names are separated by blanks, what is unknown is empty."""
    names = [field.name for field in fields(Run)]
    yield _csv_line(names)
    for run in runs:
        values = [getattr(run, name) for name in names]
        yield _csv_line(
            [" ".join(v) if isinstance(v, tuple) else "" if v is None else str(v) for v in values]
        )


def render_swf(runs: Iterable[Run]) -> Iterator[str]:
    """Standard Workload Format, 18 columns. Users, accounts, apps and pools are numbers as they come.

    `runs` come by submit time. Processors are devices, or cpus on cpu pools; the requested time is the limit,
    else what the author declared.
    """
    users, accounts, apps, pools = _Numbers(), _Numbers(), _Numbers(), _Numbers()
    began: float | None = None
    for number, run in enumerate(runs, start=1):
        if began is None:
            began = run.submit_at
            yield f"; Version: 2.2\n; UnixStartTime: {began:.0f}\n; Note: from hetslurm's history of runs\n"
        requested = run.limit_s or run.declared_s
        values = (
            *(number, f"{run.submit_at - began:.0f}", f"{max(0.0, run.start_at - run.submit_at):.0f}"),
            *(f"{run.run_s:.0f}", run.units, _UNKNOWN, _UNKNOWN, run.units),
            *(f"{requested:.0f}" if requested else _UNKNOWN, _UNKNOWN, _STATUS.get(run.ending, 0)),
            *(users.of(run.user), accounts.of(run.account), apps.of(run.app)),
            *(_UNKNOWN, pools.of(run.pool), _UNKNOWN, _UNKNOWN),
        )
        yield " ".join(str(value) for value in values) + "\n"


class _Numbers:
    """A number for each name, from 1; -1 for none."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, name: str) -> int:
        return self._known.setdefault(name, len(self._known) + 1) if name else -1


def _csv_line(values: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue()


_RENDER: dict[Format, Callable[[Iterable[Run]], Iterator[str]]] = {
    Format.JSONL: render_jsonl,
    Format.CSV: render_csv,
    Format.SWF: render_swf,
}

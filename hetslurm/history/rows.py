"""Runs as rows of the store, and back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from hetslurm.runs import Ending, Run

COLUMNS = tuple(field.name for field in fields(Run))
SELECT = ", ".join(COLUMNS)
_WRITTEN = (*COLUMNS, "end_at")
# What a later look at the same run knows better; what only the first one knew stays.
_KEEP = {
    "energy_j": "coalesce(excluded.energy_j, energy_j)",
    "restarts": "max(excluded.restarts, restarts)",
    "speed": "speed",
}
_SET = ", ".join(f"{name} = {_KEEP.get(name, f'excluded.{name}')}" for name in _WRITTEN)
UPSERT = (
    f"INSERT INTO run ({', '.join(_WRITTEN)}) VALUES ({', '.join('?' * len(_WRITTEN))}) "  # noqa: S608  our names
    f"ON CONFLICT (submit_at, job_id) DO UPDATE SET {_SET}"
)
_AT_NAMES = COLUMNS.index("node_names")
_AT_ENDING = COLUMNS.index("ending")
_AT_SUBMIT = COLUMNS.index("submit_at")


def row_of(run: Run) -> tuple[object, ...]:
    """In the order of UPSERT. The submit time is whole seconds, as Slurm's."""
    values: list[object] = [getattr(run, name) for name in COLUMNS]
    values[_AT_NAMES] = ",".join(run.node_names)
    values[_AT_ENDING] = str(run.ending)
    values[_AT_SUBMIT] = int(run.submit_at)
    return (*values, run.end_at)


def run_of_row(row: Sequence[Any]) -> Run:
    """From a row of SELECT."""
    values = list(row)
    values[_AT_NAMES] = tuple(values[_AT_NAMES].split(",")) if values[_AT_NAMES] else ()
    values[_AT_ENDING] = Ending(values[_AT_ENDING])
    values[_AT_SUBMIT] = float(values[_AT_SUBMIT])
    return Run(*values)

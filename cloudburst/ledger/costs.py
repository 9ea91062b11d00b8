"""What explains the money: when jobs ran on what was paid for, and how long they would have waited at home.

Kept beside the entries; no balance follows from it.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from hetslurm.cloudburst.ledger import instances, reservations
from hetslurm.cloudburst.ledger.values import Instance, Reservation

_MOST_US = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Run:
    """A job on an instance, Unix seconds. `ended_at` None: it was not seen to end."""

    node: str
    generation: int
    started_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """What one instance was settled for, overrun included. `instance` None: the ledger does not have it."""

    token: str
    res_id: int
    at: float
    spent_micro: int
    instance: Instance | None


@dataclass(frozen=True, slots=True)
class Costs:
    """What was settled in a time, and what explains it.

    `reservations` by number: the open ones, and those that were spent of in that time; `runs` of their
    instances by (node, generation). `home_wait_s` by number; None: nothing on-premises could run the job.
    `first_spent_at`, Unix seconds, has those reservations that were the first of their job to be spent of.
    """

    spendings: tuple[Spending, ...] = ()
    reservations: Mapping[int, Reservation] = field(default_factory=dict)
    runs: Mapping[tuple[str, int], tuple[Run, ...]] = field(default_factory=dict)
    home_wait_s: Mapping[int, float | None] = field(default_factory=dict)
    first_spent_at: Mapping[int, float] = field(default_factory=dict)


def expect_wait(db: sqlite3.Connection, res_id: int, home_wait_s: float) -> None:
    """Keep what was expected; the first word stays."""
    known = home_wait_s if isfinite(home_wait_s) else None
    db.execute("INSERT OR IGNORE INTO waits VALUES (?, ?)", (res_id, known))


def note_runs(db: sqlite3.Connection, runs: Sequence[Run]) -> None:
    """Keep when they began and ended; the first end stays."""
    db.executemany(
        "INSERT INTO runs VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET ended_at = excluded.ended_at WHERE ended_at IS NULL",
        [(run.node, run.generation, run.started_at, run.ended_at) for run in runs],
    )


def end_runs(db: sqlite3.Connection, node: str, generation: int, ended_at: float) -> None:
    """No run outlives its instance."""
    db.execute(
        "UPDATE runs SET ended_at = max(started_at, ?)"
        " WHERE node = ? AND generation = ? AND ended_at IS NULL",
        (ended_at, node, generation),
    )


def read_runs(db: sqlite3.Connection, *, only_open: bool) -> tuple[Run, ...]:
    """All, by node, generation and begin, or those without an end."""
    where = "ended_at IS NULL" if only_open else "1"
    rows = db.execute(f"SELECT * FROM runs WHERE {where} ORDER BY node, generation, started_at")  # noqa: S608
    return tuple(Run(*row) for row in rows)


def read_costs(db: sqlite3.Connection, since: float, until: float | None) -> Costs:
    """Everything of the entries from `since` on and before `until` (None: no end), Unix seconds."""
    # What an instance cost is one entry, or two where its reservation did not hold as much.
    spent = db.execute(
        "SELECT max(at_us) AS at_us, res_id, what, sum(spent_micro) AS spent_micro FROM entries"
        " WHERE kind IN ('spend', 'overrun') AND at_us >= ? AND at_us < ?"
        " GROUP BY res_id, what ORDER BY min(seq)",
        (_us(since), _MOST_US if until is None else _us(until)),
    ).fetchall()
    paid = {int(row["res_id"]) for row in spent}
    known = {one.res_id: one for one in reservations.reservations(db, only_open=True)}
    known |= {res_id: reservations.must(db, res_id) for res_id in paid - known.keys()}
    rows = {row.token: row for res_id in paid for row in instances.all_of_reservation(db, res_id)}
    spendings = []
    for row in spent:
        token = row["what"].partition(" ")[0]
        spendings.append(
            Spending(token, row["res_id"], row["at_us"] / 1e6, row["spent_micro"], rows.get(token))
        )
    runs: dict[tuple[str, int], list[Run]] = defaultdict(list)
    for one in rows.values():
        found = db.execute(
            "SELECT * FROM runs WHERE node = ? AND generation = ? ORDER BY started_at",
            (one.node, one.generation),
        )
        runs[one.node, one.generation] += [Run(*run) for run in found]
    waits = {row["res_id"]: row["home_wait_s"] for row in db.execute("SELECT * FROM waits")}
    return Costs(
        tuple(spendings),
        known,
        {key: tuple(some) for key, some in runs.items()},
        {res_id: waits[res_id] for res_id in paid if res_id in waits},
        dict(first for res_id in paid for first in _first_spent_at(db, known[res_id])),
    )


def _first_spent_at(db: sqlite3.Connection, reservation: Reservation) -> Iterator[tuple[int, float]]:
    """When, if no other reservation of its job was spent of earlier: a requeue gives a job a new one."""
    wanted = reservation.wanted
    row = db.execute(
        "SELECT e.res_id, e.at_us FROM entries AS e JOIN reservations AS r USING (res_id)"
        " WHERE r.job_id = ? AND r.user = ? AND e.kind IN ('spend', 'overrun') ORDER BY e.seq LIMIT 1",
        (wanted.job_id, wanted.payer.user),
    ).fetchone()
    if row["res_id"] == reservation.res_id:
        yield reservation.res_id, row["at_us"] / 1e6


def _us(seconds: float) -> int:
    return max(-_MOST_US, min(_MOST_US, round(seconds * 1e6)))

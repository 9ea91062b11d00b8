"""Instances as the ledger has them: what it reads."""

from __future__ import annotations

import sqlite3

from hetslurm.cloudburst.ledger.values import Instance, InstanceState
from hetslurm.cloudburst.policy import Purchase
from hetslurm.errors import LedgerError

LIVE = "state IN ('intent', 'launched', 'terminating')"


def instances(db: sqlite3.Connection, *, live: bool) -> tuple[Instance, ...]:
    """Those that may exist and cost, or all there ever were, by node and generation."""
    where = LIVE if live else "1"
    rows = db.execute(f"SELECT * FROM instances WHERE {where} ORDER BY node, generation")  # noqa: S608  our words
    return tuple(_instance(row) for row in rows)


def live_of_reservation(db: sqlite3.Connection, res_id: int) -> tuple[Instance, ...]:
    """Those that a reservation pays for and that may still cost."""
    rows = db.execute(f"SELECT * FROM instances WHERE res_id = ? AND {LIVE} ORDER BY node", (res_id,))  # noqa: S608
    return tuple(_instance(row) for row in rows)


def count_live(db: sqlite3.Connection, res_id: int) -> int:
    """How many those are: a reservation may have a thousand, and each is begun by itself."""
    row = db.execute(f"SELECT count(*) FROM instances WHERE res_id = ? AND {LIVE}", (res_id,)).fetchone()  # noqa: S608
    return int(row[0])


def all_of_reservation(db: sqlite3.Connection, res_id: int) -> tuple[Instance, ...]:
    """Every instance that a reservation ever paid for."""
    rows = db.execute("SELECT * FROM instances WHERE res_id = ? ORDER BY node, generation", (res_id,))
    return tuple(_instance(row) for row in rows)


def instance_of(db: sqlite3.Connection, node: str) -> Instance | None:
    """The node's live instance, else the newest that it had."""
    row = db.execute(
        f"SELECT * FROM instances WHERE node = ? ORDER BY {LIVE} DESC, generation DESC LIMIT 1",  # noqa: S608
        (node,),
    ).fetchone()
    return _instance(row) if row else None


def newest_generation(db: sqlite3.Connection, node: str) -> int:
    """The number of the node's newest boot; 0: it never had one."""
    row = db.execute("SELECT max(generation) FROM instances WHERE node = ?", (node,)).fetchone()
    return int(row[0] or 0)


def must(db: sqlite3.Connection, node: str, generation: int) -> Instance:
    """The instance, or LedgerError."""
    row = db.execute(
        "SELECT * FROM instances WHERE node = ? AND generation = ?", (node, generation)
    ).fetchone()
    if not row:
        raise LedgerError(f"{node} has no boot {generation} in the ledger")
    return _instance(row)


def _instance(row: sqlite3.Row) -> Instance:
    fields = {key: row[key] for key in row.keys()}  # noqa: SIM118  a Row iterates over values
    fields["state"] = InstanceState(fields["state"])
    fields["purchase"] = Purchase(fields["purchase"]) if fields["purchase"] else None
    return Instance(**fields)

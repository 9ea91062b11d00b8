"""Which alerts were told, and how often it was tried. Functions of one transaction."""

from __future__ import annotations

import sqlite3

from hetslurm.cloudburst.ledger.values import AlertKey

MOST_TRIES = 5
FIRST_WAIT_S = 30.0
_WHERE = "(level, name, period, since_us, limit_micro, sink) = (?, ?, ?, ?, ?, ?)"


def is_due(db: sqlite3.Connection, key: AlertKey, now: float) -> bool:
    """Not told yet, nor a higher share of the same; not tried too often, and not a moment ago."""
    rows = db.execute(
        f"SELECT share_ppm, tries, tried_at, done FROM alerts WHERE {_WHERE} AND share_ppm >= ?",  # noqa: S608
        (*_rest(key), key.share_ppm),
    ).fetchall()
    if not rows:
        return True
    if any(row["share_ppm"] > key.share_ppm for row in rows):
        return False
    (row,) = rows
    wait_s = FIRST_WAIT_S * 2 ** (row["tries"] - 1)
    return not row["done"] and row["tries"] < MOST_TRIES and now - row["tried_at"] >= wait_s


def begin_try(db: sqlite3.Connection, key: AlertKey, now: float) -> int:
    """The number of this try, 0: not now. On disk before anybody is told: a crash does not tell for ever."""
    if not is_due(db, key, now):
        return 0
    db.execute(
        "INSERT INTO alerts (level, name, period, since_us, limit_micro, sink, share_ppm, tries, tried_at,"
        " done) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, 0) ON CONFLICT DO UPDATE SET"
        " tries = tries + 1, tried_at = ?",
        (*_rest(key), key.share_ppm, now, now),
    )
    row = db.execute(
        f"SELECT tries FROM alerts WHERE {_WHERE} AND share_ppm = ?",  # noqa: S608  our words
        (*_rest(key), key.share_ppm),
    ).fetchone()
    return int(row[0])


def done(db: sqlite3.Connection, key: AlertKey) -> None:
    """It was told."""
    db.execute(
        f"UPDATE alerts SET done = 1 WHERE {_WHERE} AND share_ppm = ?",  # noqa: S608  our words
        (*_rest(key), key.share_ppm),
    )


def _rest(key: AlertKey) -> tuple[object, ...]:
    return (key.level, key.name, key.period, key.since_us, key.limit_micro, key.sink)

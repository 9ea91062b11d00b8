"""What is kept beside the money: notes, the reconciler's heartbeat, offerings that cool down."""

from __future__ import annotations

import sqlite3

from hetslurm.cloudburst.cooldown import Cooldown


def write_note(db: sqlite3.Connection, key: str, value: str) -> None:
    """Keep a text under a key, instead of what was there."""
    db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))


def read_note(db: sqlite3.Connection, key: str) -> str:
    """The text under a key; "": none."""
    row = db.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
    return str(row[0]) if row else ""


def cool(db: sqlite3.Connection, cooldown: Cooldown, now: float) -> None:
    """Leave an offering alone; of two reasons the one that lasts longer stays. What is over is forgotten."""
    db.execute("DELETE FROM cooldowns WHERE until <= ?", (now,))
    db.execute(
        "INSERT INTO cooldowns VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET trouble = excluded.trouble, until = excluded.until, why = excluded.why"
        " WHERE excluded.until > until",
        (
            *(cooldown.partition, cooldown.zone, cooldown.purchase, cooldown.trouble),
            *(cooldown.until, cooldown.why),
        ),
    )


def cooled(db: sqlite3.Connection, now: float) -> tuple[Cooldown, ...]:
    """Offerings that are left alone now."""
    rows = db.execute(
        "SELECT partition, zone, purchase, trouble, until, why FROM cooldowns WHERE until > ?"
        " ORDER BY partition, zone, purchase",
        (now,),
    )
    return tuple(Cooldown(*row) for row in rows)

"""Whose weight is whose: SQLite in the state folder. An intent is on disk before Slurm hears of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from hetslurm.errors import HetslurmError
from hetslurm.health.steer_rules import Steered

_SCHEMA = """
CREATE TABLE IF NOT EXISTS steered (
    node TEXT PRIMARY KEY,
    base INTEGER NOT NULL,
    wanted INTEGER NOT NULL,
    since REAL NOT NULL
) WITHOUT ROWID
"""


class SteeringLedger:
    """The nodes whose weight is ours. Opened at the first use: a broken one stops only steering."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "steering.sqlite3"
        self._db: sqlite3.Connection | None = None
        self._entries: dict[str, Steered] = {}

    def entries(self) -> Mapping[str, Steered]:
        """By node. HetslurmError: there is a file and it cannot be used."""
        self._open()
        return dict(self._entries)

    def record(self, changed: Iterable[Steered], over: Iterable[str]) -> None:
        """Keep these and forget those, all on disk or none. HetslurmError: none."""
        db, changed, over = self._open(), list(changed), list(over)
        try:
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.executemany(
                    "INSERT OR REPLACE INTO steered VALUES (?, ?, ?, ?)",
                    [(one.node, one.base, one.wanted, one.since) for one in changed],
                )
                db.executemany("DELETE FROM steered WHERE node = ?", [(name,) for name in over])
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error
        self._entries |= {one.node: one for one in changed}
        for name in over:
            self._entries.pop(name, None)

    def close(self) -> None:
        """Close the store."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is not None:
            return self._db
        try:
            db = sqlite3.connect(self.path, isolation_level=None, timeout=5.0)
            try:
                self.path.chmod(0o640)
                db.execute("PRAGMA journal_mode=TRUNCATE")
                db.execute("PRAGMA synchronous=FULL")
                db.execute(_SCHEMA)
                rows = db.execute("SELECT node, base, wanted, since FROM steered").fetchall()
            except BaseException:
                db.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise _refusal(self.path, error) from error
        self._entries = {row[0]: Steered(*row) for row in rows}
        self._db = db
        return db


def _refusal(path: Path, error: Exception) -> HetslurmError:
    return HetslurmError(f"{path}: cannot keep weights: {error}")

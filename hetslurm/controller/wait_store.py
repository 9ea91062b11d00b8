"""Waits that ended and estimates that are still to come true, in SQLite.

What is lost with the file is learned again, so a file that cannot be read is set aside and a new one begun.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hetslurm.controller.decisions import JobKey
from hetslurm.errors import HetslurmError
from hetslurm.estimates.calibration import KEPT, Waited

_FILE = "waits.sqlite3"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS waited (
    id INTEGER PRIMARY KEY,
    pool TEXT NOT NULL,
    at REAL NOT NULL,
    estimated_s REAL NOT NULL,
    shown_s REAL NOT NULL,
    waited_s REAL NOT NULL,
    cut INTEGER NOT NULL,
    slurm_s REAL
);
CREATE INDEX IF NOT EXISTS waited_pool ON waited (pool, id);
CREATE TABLE IF NOT EXISTS promise (
    job_id INTEGER NOT NULL,
    submit_at INTEGER NOT NULL,
    pool TEXT NOT NULL,
    generation INTEGER NOT NULL,
    since REAL NOT NULL,
    estimated_s REAL NOT NULL,
    shown_s REAL NOT NULL,
    void INTEGER NOT NULL,
    slurm_at REAL,
    PRIMARY KEY (job_id, submit_at)
) WITHOUT ROWID;
"""
KEEP_S = 180 * 86400.0


class Promise(NamedTuple):
    """What a pending job was told: a wait in `pool` from `since` (Unix seconds) on, by one snapshot.

    `void`: it came to wait for something else than nodes. `slurm_at` is when Slurm first said it would
    start, Unix seconds.
    """

    pool: str
    generation: int
    since: float
    estimated_s: float
    shown_s: float
    void: bool = False
    slurm_at: float | None = None


class WaitStore:
    """The file; one writer, the controller under its lock."""

    def __init__(self, state_dir: Path) -> None:
        """Open, making it where it is missing. HetslurmError when there is no writing there.

        `set_aside` is where a file that could not be read is now.
        """
        self._path = state_dir / _FILE
        self.set_aside: Path | None = None
        try:
            state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            try:
                self._db = self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._put_aside()
                self._db = self._open()
        except (sqlite3.Error, OSError) as error:
            raise self._refusal(error) from error

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
        try:
            self._path.chmod(0o640)
            db.execute("PRAGMA journal_mode=TRUNCATE")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_SCHEMA)
            _check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _put_aside(self) -> None:
        self.set_aside = self._path.with_suffix(".broken")
        self._path.replace(self.set_aside)
        # Its journal would be played into the new file.
        self._path.with_name(f"{_FILE}-journal").unlink(missing_ok=True)

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def waits(self) -> list[Waited]:
        """All that are kept, in the order in which they ended."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT pool, at, estimated_s, shown_s, waited_s, cut, slurm_s FROM waited ORDER BY id"
            ).fetchall()
        return [Waited._make((*row[:5], bool(row[5]), row[6])) for row in rows]

    def promises(self) -> dict[JobKey, Promise]:
        """Those of jobs that were pending when last seen."""
        with self._transaction() as db:
            rows = db.execute("SELECT * FROM promise").fetchall()
        return {JobKey(row[0], row[1]): Promise._make((*row[2:7], bool(row[7]), row[8])) for row in rows}

    def change(
        self, ended: Iterable[Waited], made: Mapping[JobKey, Promise], gone: Iterable[JobKey], now: float
    ) -> None:
        """Note, all or nothing, waits that ended, promises made or changed, and those that are over."""
        rows = [tuple(one) for one in ended]
        with self._transaction() as db:
            db.executemany(
                "INSERT INTO waited (pool, at, estimated_s, shown_s, waited_s, cut, slurm_s) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            for pool in {row[0] for row in rows}:
                db.execute(
                    "DELETE FROM waited WHERE pool = ? AND id NOT IN "
                    "(SELECT id FROM waited WHERE pool = ? ORDER BY id DESC LIMIT ?)",
                    (pool, pool, KEPT),
                )
            db.execute("DELETE FROM waited WHERE at < ?", (now - KEEP_S,))
            db.executemany(
                "DELETE FROM promise WHERE job_id = ? AND submit_at = ?",
                [(key.job_id, key.submit_at) for key in gone],
            )
            db.executemany(
                "INSERT OR REPLACE INTO promise VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(key.job_id, key.submit_at, *promise) for key, promise in made.items()],
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._refusal(error) from error
        finally:
            if self._db.in_transaction:
                self._db.rollback()

    def _refusal(self, error: Exception) -> HetslurmError:
        return HetslurmError(f"{self._path}: cannot keep waits: {error}")


def _check(db: sqlite3.Connection) -> None:
    if (said := db.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
        raise sqlite3.DatabaseError(f"damaged: {said}")

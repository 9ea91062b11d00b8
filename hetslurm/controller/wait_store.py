"""Waits that ended and estimates that are still to come true, in SQLite.

What is lost with the file is learned again, so a file that cannot be read is set aside and a new one begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hetslurm.controller.decisions import JobKey
from hetslurm.controller.learned_file import LearnedFile
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


class WaitStore(LearnedFile):
    """The file; one writer, the controller under its lock."""

    FILE = _FILE
    SCHEMA = _SCHEMA
    HOLDS = "waits"

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

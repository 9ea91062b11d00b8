"""What was decided for each job, as `hetslurm explain JOBID` shows it: SQLite in the state folder.

The plugin cannot write files inside slurmctld, so the controller stores the table of candidates, recomputed
from the snapshot generation nearest to the decision, when it first sees the job's record. It also keeps the
intents: jobs that it is about to bind and release, so that a crash in between is repaired by the next start.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hetslurm.errors import HetslurmError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decision (
    job_id INTEGER NOT NULL,
    submit_at INTEGER NOT NULL,
    noted_at REAL NOT NULL,
    by TEXT NOT NULL,
    decided_generation INTEGER NOT NULL,
    recomputed_generation INTEGER NOT NULL,
    explanation BLOB NOT NULL,
    PRIMARY KEY (job_id, submit_at)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS decision_noted ON decision (noted_at);
CREATE TABLE IF NOT EXISTS intent (
    job_id INTEGER NOT NULL,
    submit_at INTEGER NOT NULL,
    noted_at REAL NOT NULL,
    PRIMARY KEY (job_id, submit_at)
) WITHOUT ROWID;
"""
KEEP_S = 90 * 86400.0


@dataclass(frozen=True, slots=True)
class JobKey:
    """A job for good: Slurm reuses job ids, but not within the same second. `submit_at` is Unix seconds."""

    job_id: int
    submit_at: int


@dataclass(frozen=True, slots=True)
class Noted:
    """One stored decision. `by`: "plugin" or "controller"; `explanation`: the JSON of `hetslurm explain`."""

    key: JobKey
    noted_at: float
    by: str
    decided_generation: int
    recomputed_generation: int
    explanation: dict[str, Any]


class DecisionLog:
    """The store; one writer (the controller, under its lock), any number of readers."""

    def __init__(self, state_dir: Path) -> None:
        """Open for writing, making it where it is missing. HetslurmError when it cannot be used."""
        self._path = decisions_path(state_dir)
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
            self._path.chmod(0o640)
            # No write-ahead log: a reader without write permission could not open it.
            self._db.execute("PRAGMA journal_mode=TRUNCATE")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def known(self, keys: list[JobKey]) -> set[JobKey]:
        """Those of `keys` that are stored already."""
        with self._transaction() as db:
            return {
                key
                for key in keys
                if db.execute(
                    "SELECT 1 FROM decision WHERE job_id = ? AND submit_at = ?", (key.job_id, key.submit_at)
                ).fetchone()
            }

    def add(self, entries: list[Noted]) -> None:
        """Store these in one transaction; an entry for the same job replaces the one before."""
        with self._transaction() as db:
            db.executemany(
                "INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?, ?, ?, ?)",
                [_row(entry) for entry in entries],
            )

    def forget_before(self, unix_s: float) -> int:
        """Drop what was noted before; returns how many."""
        with self._transaction() as db:
            return db.execute("DELETE FROM decision WHERE noted_at < ?", (unix_s,)).rowcount

    def intend(self, key: JobKey, now: float) -> None:
        """Note, durably, that this job is about to be bound and released."""
        self._db.execute("PRAGMA synchronous=FULL")
        try:
            with self._transaction() as db:
                db.execute("INSERT OR REPLACE INTO intent VALUES (?, ?, ?)", (key.job_id, key.submit_at, now))
        finally:
            self._db.execute("PRAGMA synchronous=NORMAL")

    def fulfilled(self, key: JobKey) -> None:
        """The job was released, or will be tried anew."""
        with self._transaction() as db:
            db.execute("DELETE FROM intent WHERE job_id = ? AND submit_at = ?", (key.job_id, key.submit_at))

    def intents(self) -> list[JobKey]:
        """Jobs that were to be released, and may not have been."""
        with self._transaction() as db:
            rows = db.execute("SELECT job_id, submit_at FROM intent ORDER BY noted_at").fetchall()
        return [JobKey(*row) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; nothing stays open behind a full disk or a reader that will not end."""
        try:
            self._db.execute("BEGIN")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._refusal(error) from error
        finally:
            if self._db.in_transaction:
                self._db.rollback()

    def _refusal(self, error: sqlite3.Error | OSError) -> HetslurmError:
        return HetslurmError(f"{self._path}: cannot keep decisions: {error}")


def decisions_path(state_dir: Path) -> Path:
    """Where the store is."""
    return state_dir / "decisions" / "decisions.sqlite"


def read_decision(state_dir: Path, job_id: int) -> Noted | None:
    """The newest stored decision of a job; None when there is none that this reader can read."""
    path = decisions_path(state_dir)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            row = db.execute(
                "SELECT * FROM decision WHERE job_id = ? ORDER BY submit_at DESC LIMIT 1", (job_id,)
            ).fetchone()
        explanation = json.loads(zlib.decompress(row[6])) if row else None
    except (sqlite3.Error, zlib.error, ValueError):
        return None
    if explanation is None:
        return None
    return Noted(JobKey(row[0], row[1]), row[2], row[3], row[4], row[5], explanation)


def _row(entry: Noted) -> tuple[object, ...]:
    blob = zlib.compress(json.dumps(entry.explanation).encode(), level=1)
    generations = (entry.decided_generation, entry.recomputed_generation)
    return (entry.key.job_id, entry.key.submit_at, entry.noted_at, entry.by, *generations, blob)

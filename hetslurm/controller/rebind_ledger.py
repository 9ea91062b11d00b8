"""The moves of pending jobs: SQLite in the state folder. An intent is on disk before Slurm hears of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hetslurm.cluster import QueuedJob
from hetslurm.controller.decisions import JobKey
from hetslurm.errors import HetslurmError
from hetslurm.slurm.protocol import JobUpdate

_SCHEMA = """
CREATE TABLE IF NOT EXISTS move (
    job_id INTEGER NOT NULL, submit_at INTEGER NOT NULL, task INTEGER NOT NULL,
    at REAL NOT NULL, done INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (job_id, submit_at, task)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bad (
    job_id INTEGER NOT NULL, submit_at INTEGER NOT NULL, place TEXT NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (job_id, submit_at, place)
) WITHOUT ROWID;
"""
_NO_TASK = -1
MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Who:
    """A job, or one task of an array: the key is the whole array's then."""

    key: JobKey
    task: int | None = None
    leads_het_job: bool = False


class _Body(msgspec.Struct, frozen=True):
    before: QueuedJob
    after: JobUpdate
    place: str
    why: str
    leads: bool
    needs_hold: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """One move, begun at `at` (Unix seconds): the job `before`, what it is to be `after`, where, and why.

    `place` names the target and the pool that it goes to. `needs_hold`: it takes two updates, and the job
    must not start between them.
    """

    who: Who
    at: float
    before: QueuedJob
    after: JobUpdate
    place: str
    why: str
    done: bool = False
    needs_hold: bool = False


class RebindLedger:
    """One writer, the controller under its lock."""

    def __init__(self, state_dir: Path) -> None:
        """Open, making it where it is missing. HetslurmError when it cannot be used."""
        self.path = state_dir / "rebind.sqlite3"
        try:
            state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=5.0)
            self.path.chmod(0o640)
            self._db.execute("PRAGMA journal_mode=TRUNCATE")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._bad = {
                (JobKey(job_id, submit_at), place)
                for job_id, submit_at, place in self._db.execute("SELECT job_id, submit_at, place FROM bad")
            }
        except (sqlite3.Error, OSError) as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def intend(self, move: Move) -> None:
        """Note, durably, that this job is about to be moved."""
        leads = move.who.leads_het_job
        body = _Body(move.before, move.after, move.place, move.why, leads, move.needs_hold)
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO move VALUES (?, ?, ?, ?, 0, ?)",
                (*_row(move.who), move.at, msgspec.json.encode(body)),
            )

    def done(self, who: Who) -> None:
        """It was seen where it was to go. Where it came from stays known while it waits."""
        with self._transaction() as db:
            db.execute("UPDATE move SET done = 1 WHERE job_id = ? AND submit_at = ? AND task = ?", _row(who))

    def forget(self, who: Who) -> None:
        """Nothing came of it, or the job runs."""
        with self._transaction() as db:
            db.execute("DELETE FROM move WHERE job_id = ? AND submit_at = ? AND task = ?", _row(who))

    def unfinished(self) -> list[Move]:
        """Moves that were begun and not seen to end, the oldest first."""
        return self._moves("done = 0")

    def last(self, who: Who) -> Move | None:
        """The newest move of a job that still waits."""
        found = self._moves("job_id = ? AND submit_at = ? AND task = ?", _row(who))
        return found[0] if found else None

    def moved_since(self, unix_s: float) -> int:
        """How many were begun since."""
        with self._transaction() as db:
            return int(db.execute("SELECT count(*) FROM move WHERE at > ?", (unix_s,)).fetchone()[0])

    def call_bad(self, who: Who, place: str, why: str) -> None:
        """The job cannot run at this place: neither it nor a task beside it is to go there again."""
        key = who.key
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO bad VALUES (?, ?, ?, ?)", (key.job_id, key.submit_at, place, why)
            )
        self._bad.add((key, place))

    def has_bad(self, who: Who) -> bool:
        """Whether there is any place where it is known not to run."""
        return any(key == who.key for key, _ in self._bad) if self._bad else False

    def is_bad(self, who: Who, place: str) -> bool:
        """Whether it is known not to run there."""
        return (who.key, place) in self._bad

    def keep(self, waiting: Collection[JobKey], now: float) -> None:
        """Forget the moves of jobs that wait no more, but for those of the last minute."""
        with self._transaction() as db:
            old = db.execute(
                "SELECT job_id, submit_at, task FROM move WHERE done = 1 AND at < ?", (now - MINUTE_S,)
            ).fetchall()
            gone = [row for row in old if JobKey(row[0], row[1]) not in waiting]
            lost = [(key, place) for key, place in self._bad if key not in waiting]
            db.executemany("DELETE FROM move WHERE job_id = ? AND submit_at = ? AND task = ?", gone)
            db.executemany(
                "DELETE FROM bad WHERE job_id = ? AND submit_at = ? AND place = ?",
                [(key.job_id, key.submit_at, place) for key, place in lost],
            )
        self._bad.difference_update(lost)

    def _moves(self, where: str, values: tuple[int, ...] = ()) -> list[Move]:
        columns = "job_id, submit_at, task, at, done, body"
        with self._transaction() as db:
            rows = db.execute(
                f"SELECT {columns} FROM move WHERE {where} ORDER BY at",  # noqa: S608  our own words
                values,
            ).fetchall()
        moves = []
        for job_id, submit_at, task, at, done, blob in rows:
            body = msgspec.json.decode(blob, type=_Body)
            who = Who(JobKey(job_id, submit_at), _task(task), body.leads)
            what = (body.before, body.after, body.place, body.why)
            moves.append(Move(who, at, *what, done=bool(done), needs_hold=body.needs_hold))
        return moves

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN")
            yield self._db
            self._db.execute("COMMIT")
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise self._refusal(error) from error
        finally:
            if self._db.in_transaction:
                self._db.rollback()

    def _refusal(self, error: Exception) -> HetslurmError:
        told = f"{self.path}: cannot keep moves: {error}"
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            told += "; move it aside to begin anew, and look for jobs that a move left held (squeue -t PD)"
        return HetslurmError(told)


def _row(who: Who) -> tuple[int, int, int]:
    return who.key.job_id, who.key.submit_at, _NO_TASK if who.task is None else who.task


def _task(number: int) -> int | None:
    return None if number == _NO_TASK else number

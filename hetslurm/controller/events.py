"""The path of every job, step by step, and every decision behind it: SQLite beside the decisions.

What happened is told once and kept for as long as decisions are. Whoever may read the state folder may ask by
job, by time, by kind of step or by user.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock

from hetslurm.clock import Clock
from hetslurm.controller.decisions import KEEP_S, JobKey
from hetslurm.controller.event import Event, What
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    job_id INTEGER NOT NULL,
    submit_at INTEGER NOT NULL,
    array_id INTEGER,
    task TEXT NOT NULL,
    what TEXT NOT NULL,
    user TEXT NOT NULL,
    why TEXT NOT NULL,
    facts TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_job ON event (job_id, at);
CREATE INDEX IF NOT EXISTS event_array ON event (array_id, at) WHERE array_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS event_at ON event (at);
"""
_COLUMNS = "at, job_id, submit_at, task, what, why, facts"
# Not every step says whose job it is, or of which array: one of them does.
_JOB = "(job_id = ? OR job_id IN (SELECT job_id FROM event WHERE array_id = ?))"
# What waits for a disk that is full, and the most rows that are kept: a row takes about 300 bytes.
WAITING = 10_000
MOST_ROWS = 3_000_000
FORGET_EVERY_S = 3600.0
LIFE = (What.SUBMITTED, What.STARTED, What.REQUEUED, What.FINISHED)

Listener = Callable[[Sequence[Event]], None]


class EventLog:
    """The store; one process writes, from any of its threads. Nothing here ever stops a cycle."""

    def __init__(
        self, state_dir: Path, *, log: Log, clock: Clock, keep_s: float = KEEP_S, most_rows: int = MOST_ROWS
    ) -> None:
        """Open for writing, making it where it is missing. HetslurmError when it cannot be used."""
        self._path = events_path(state_dir)
        self._log = log
        self._clock = clock
        self._keep_s = keep_s
        self._most_rows = most_rows
        self._forgot_at = float("-inf")
        self._lock = Lock()
        self._waiting: deque[Event] = deque(maxlen=WAITING)
        self._failing = False
        self.listeners: list[Listener] = []
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=5.0, check_same_thread=False)
            self._path.chmod(0o640)
            # No write-ahead log: a reader without write permission could not open it.
            self._db.execute("PRAGMA journal_mode=TRUNCATE")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise HetslurmError(f"{self._path}: cannot keep events: {error}") from error

    def close(self) -> None:
        """Close the store."""
        with self._lock:
            self._db.close()

    def add(self, events: Sequence[Event]) -> None:
        """Store these, in one transaction, and tell the listeners.

        What the disk refuses waits for the next call; past `WAITING` events the oldest are lost.
        """
        if not events:
            return
        for listener in self.listeners:
            listener(events)
        with self._lock:
            self._waiting.extend(events)
            try:
                self._write(list(self._waiting))
                self._waiting.clear()
                self._forget()
            except sqlite3.Error as error:
                if not self._failing:
                    self._log.error("events not stored", path=self._path, error=error)
                self._failing = True
            else:
                self._failing = False

    def lives(self) -> dict[JobKey, What]:
        """The last step of every life that has not ended: what an earlier controller knew."""
        marks = ", ".join("?" * len(LIFE))
        query = f"SELECT job_id, submit_at, what FROM event WHERE what IN ({marks}) ORDER BY at, id"  # noqa: S608
        with self._lock:
            try:
                rows = self._db.execute(query, LIFE).fetchall()
            except sqlite3.Error as error:
                self._log.error("events not read", path=self._path, error=error)
                return {}
        last = {JobKey(job_id, submit_at): What(what) for job_id, submit_at, what in rows}
        return {key: what for key, what in last.items() if what is not What.FINISHED}

    def finished(self, job_id: int, at: float) -> bool:
        """Whether a life of this job id ended at that time or later."""
        query = "SELECT 1 FROM event WHERE job_id = ? AND what = ? AND at >= ? LIMIT 1"
        with self._lock:
            return self._db.execute(query, (job_id, What.FINISHED, at)).fetchone() is not None

    def of(self, job_id: int) -> list[Event]:
        """The path of a job, or of all tasks of an array, oldest first."""
        with self._lock:
            return _of(self._db, job_id)

    def between(
        self,
        since: float,
        until: float,
        *,
        what: Iterable[What] = (),
        user: str = "",
        job_id: int | None = None,
    ) -> list[Event]:
        """Events from `since` to `until` (Unix seconds), oldest first; only those that match."""
        with self._lock:
            return _between(self._db, since, until, what, user, job_id)

    def _write(self, events: Sequence[Event]) -> None:
        self._db.execute("BEGIN")
        try:
            self._db.executemany(
                "INSERT INTO event (at, job_id, submit_at, array_id, task, what, user, why, facts) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_row(event) for event in events],
            )
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.rollback()

    def _forget(self) -> None:
        now = self._clock.monotonic()
        if now - self._forgot_at < FORGET_EVERY_S:
            return
        self._forgot_at = now
        self._db.execute("DELETE FROM event WHERE at < ?", (self._clock.now() - self._keep_s,))
        newest = self._db.execute("SELECT max(id) FROM event").fetchone()[0] or 0
        self._db.execute("DELETE FROM event WHERE id <= ?", (newest - self._most_rows,))


def events_path(state_dir: Path) -> Path:
    """Where the store is."""
    return state_dir / "decisions" / "events.sqlite"


def read_path(state_dir: Path, job_id: int) -> list[Event]:
    """The path of a job or an array, oldest first; empty where this reader can read none."""
    try:
        with closing(_open(state_dir)) as db:
            return _of(db, job_id)
    except (sqlite3.Error, ValueError):
        return []


def read_events(
    state_dir: Path,
    since: float,
    until: float,
    *,
    what: Iterable[What] = (),
    user: str = "",
    job_id: int | None = None,
) -> list[Event]:
    """As `EventLog.between`, for readers. HetslurmError when the store cannot be read."""
    try:
        with closing(_open(state_dir)) as db:
            return _between(db, since, until, what, user, job_id)
    except (sqlite3.Error, ValueError) as error:
        raise HetslurmError(
            f"{events_path(state_dir)}: cannot be read: {error}; has a controller worked here, "
            "and may you read its state folder?"
        ) from error


def _open(state_dir: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{events_path(state_dir).absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)


def _of(db: sqlite3.Connection, job_id: int) -> list[Event]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM event WHERE {_JOB} ORDER BY at, id",  # noqa: S608
        (job_id, job_id),
    )
    found = [_event(row) for row in rows]
    # Slurm may have given the id to another job since. A requeued one has another submit time, and one life.
    begun: dict[int, float] = {}
    for event in found:
        if event.what is What.SUBMITTED:
            begun[event.key.job_id] = event.at
    return [event for event in found if event.at >= begun.get(event.key.job_id, 0.0)]


def _between(
    db: sqlite3.Connection,
    since: float,
    until: float,
    what: Iterable[What],
    user: str,
    job_id: int | None,
) -> list[Event]:
    where, values = ["at >= ?", "at <= ?"], [since, until]
    terms: list[object] = list(values)
    if wanted := list(what):
        where.append(f"what IN ({', '.join('?' * len(wanted))})")
        terms += wanted
    if user:
        where.append("job_id IN (SELECT job_id FROM event WHERE user = ?)")
        terms.append(user)
    if job_id is not None:
        where.append(_JOB)
        terms += [job_id, job_id]
    query = f"SELECT {_COLUMNS} FROM event WHERE {' AND '.join(where)} ORDER BY at, id"  # noqa: S608
    return [_event(row) for row in db.execute(query, terms)]


def _row(event: Event) -> tuple[object, ...]:
    array = event.facts.get("array")
    return (
        event.at,
        event.key.job_id,
        event.key.submit_at,
        array if isinstance(array, int) else None,
        event.task,
        str(event.what),
        str(event.facts.get("user", "")),
        event.why,
        json.dumps(event.facts, separators=(",", ":"), default=str),
    )


def _event(row: tuple[float, int, int, str, str, str, str]) -> Event:
    at, job_id, submit_at, task, what, why, facts = row
    return Event(JobKey(job_id, submit_at), at, What(what), why, task, json.loads(facts))

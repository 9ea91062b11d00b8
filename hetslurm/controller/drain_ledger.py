"""The ledger of our drains: SQLite in the state folder. An intent is on disk before Slurm hears of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hetslurm.errors import HetslurmError
from hetslurm.health.drain_breaker import Breaker
from hetslurm.health.drain_entry import Entry, State

KEEP_S = 400 * 86400.0
KEEP_ENTRIES = 10_000
KEEP_STEPS = 200  # of one entry
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    why TEXT NOT NULL,
    created_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    findings TEXT NOT NULL,
    pardoned TEXT NOT NULL,
    pardon_until REAL,
    reason_by TEXT NOT NULL,
    reason_at REAL,
    updates_before INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS step (
    entry_id INTEGER NOT NULL,
    at REAL NOT NULL,
    state TEXT NOT NULL,
    why TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS step_of_entry ON step (entry_id);
CREATE TABLE IF NOT EXISTS note (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = tuple(field.name for field in fields(Entry))
_KEPT_AS_JSON = ("findings", "pardoned")
_NEWEST = (
    f"SELECT {', '.join(_COLUMNS)} FROM entry"  # noqa: S608  our own column names
    " WHERE entry_id IN (SELECT max(entry_id) FROM entry GROUP BY node) ORDER BY node"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One line of an entry's history. `at` is Unix seconds."""

    node: str
    reason: str
    at: float
    state: State
    why: str


class DrainLedger:
    """One writer of entries (the controller, under its lock), any number of readers."""

    def __init__(self, state_dir: Path) -> None:
        """Open, making it where it is missing. HetslurmError when it cannot be used."""
        self.path = ledger_path(state_dir)
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=5.0)
            self.path.chmod(0o640)
            # No write-ahead log: a reader without write permission could not open it.
            self._db.execute("PRAGMA journal_mode=TRUNCATE")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._newest = {entry.node: entry for entry in _read(self._db)}
        except (sqlite3.Error, OSError, ValueError) as error:
            raise _refusal(self.path, error) from error

    def close(self) -> None:
        """Close the store."""
        self._db.close()

    def entries(self) -> tuple[Entry, ...]:
        """The newest entry of every node that ever had one (and is not forgotten)."""
        return tuple(self._newest.values())

    def intend(
        self,
        node: str,
        reason: str,
        *,
        why: str,
        findings: frozenset[str],
        pardoned: frozenset[str],
        updates_before: int,
        now: float,
    ) -> Entry:
        """Note, durably, that this node is about to be drained with this reason."""
        with self._transaction() as db:
            older = self._newest.get(node)
            if older is not None and older.is_live:
                over = replace(older, state=State.LAPSED, why="a new drain follows", changed_at=now)
                self._write(db, over)
            values = (node, reason, State.INTENT, why, now, now, _json(findings), _json(pardoned))
            cursor = db.execute(
                "INSERT INTO entry (node, reason, state, why, created_at, changed_at, findings, pardoned,"
                " pardon_until, reason_by, reason_at, updates_before)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, '', NULL, ?)",
                (*values, updates_before),
            )
            entry = Entry(
                *(cursor.lastrowid or 0, node, reason, State.INTENT, why, now, now),
                findings=findings,
                pardoned=pardoned,
                updates_before=updates_before,
            )
            self._write(db, entry)
        self._newest[node] = entry
        return entry

    def record(self, entry: Entry, state: State, why: str, now: float, **changes: Any) -> Entry:
        """The entry in its next state, on disk; `changes` are other fields of it."""
        return self.record_all([replace(entry, state=state, why=why, changed_at=now, **changes)])[0]

    def record_all(self, entries: Iterable[Entry]) -> list[Entry]:
        """Changed entries, in one transaction."""
        changed = list(entries)
        with self._transaction() as db:
            for entry in changed:
                self._write(db, entry)
        self._newest |= {entry.node: entry for entry in changed}
        return changed

    def breaker(self) -> Breaker:
        """The breaker as noted last, and when an admin last looked."""
        with self._transaction() as db:
            kept = _note(db, "breaker") or {}
            looked = _note(db, "looked_at") or 0.0
        return Breaker(kept.get("open_since"), frozenset(kept.get("nodes", ())), float(looked))

    def note_breaker(self, breaker: Breaker) -> None:
        """Keep whether the breaker is open, and for which nodes."""
        self.note("breaker", {"open_since": breaker.open_since, "nodes": sorted(breaker.nodes)})

    def note(self, key: str, value: Any) -> None:
        """Keep one JSON value."""
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (key, json.dumps(value)))

    def trim(self, now: float) -> None:
        """Forget what is over and old, and more than so many entries; never what is live or newest."""
        newest = [entry.entry_id for entry in self._newest.values() if entry.is_live]
        keep = f"({', '.join('?' * len(newest))})"
        with self._transaction() as db:
            db.execute(
                f"DELETE FROM entry WHERE entry_id NOT IN {keep} AND (changed_at < ? OR entry_id <= "  # noqa: S608
                "(SELECT coalesce(max(entry_id), 0) - ? FROM entry))",
                (*newest, now - KEEP_S, KEEP_ENTRIES),
            )
            db.execute("DELETE FROM step WHERE entry_id NOT IN (SELECT entry_id FROM entry)")
            self._newest = {entry.node: entry for entry in _read(db)}

    def _write(self, db: sqlite3.Connection, entry: Entry) -> None:
        db.execute(
            "UPDATE entry SET reason = ?, state = ?, why = ?, changed_at = ?, findings = ?, pardoned = ?,"
            " pardon_until = ?, reason_by = ?, reason_at = ?, updates_before = ? WHERE entry_id = ?",
            (
                *(entry.reason, entry.state, entry.why, entry.changed_at),
                *(_json(entry.findings), _json(entry.pardoned), entry.pardon_until),
                *(entry.reason_by, entry.reason_at, entry.updates_before, entry.entry_id),
            ),
        )
        db.execute(
            "INSERT INTO step VALUES (?, ?, ?, ?)", (entry.entry_id, entry.changed_at, entry.state, entry.why)
        )
        db.execute(
            "DELETE FROM step WHERE entry_id = ? AND rowid NOT IN"
            " (SELECT rowid FROM step WHERE entry_id = ? ORDER BY rowid DESC LIMIT ?)",
            (entry.entry_id, entry.entry_id, KEEP_STEPS),
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error
        finally:
            if self._db.in_transaction:
                self._db.rollback()


def ledger_path(state_dir: Path) -> Path:
    """Where the store is."""
    return state_dir / "drains.sqlite3"


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What a reader sees: the newest entry of every node, steps (newest first), breaker, the last report."""

    entries: tuple[Entry, ...]
    steps: tuple[Step, ...]
    breaker: Breaker
    report: dict[str, Any] | None


def read_ledger(state_dir: Path, *, steps: int = 50) -> LedgerView:
    """The ledger as it is on disk. HetslurmError where there is none, or none that can be read."""
    path = ledger_path(state_dir)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0)) as db:
            entries = tuple(_read(db))
            rows = db.execute(
                "SELECT node, reason, at, step.state, step.why FROM step JOIN entry USING (entry_id)"
                " ORDER BY step.rowid DESC LIMIT ?",
                (steps,),
            ).fetchall()
            kept, looked, report = (_note(db, key) for key in ("breaker", "looked_at", "report"))
    except (sqlite3.Error, ValueError) as error:
        raise HetslurmError(f"{path}: no ledger of drains to read: {error}") from error
    kept = kept or {}
    breaker = Breaker(kept.get("open_since"), frozenset(kept.get("nodes", ())), float(looked or 0.0))
    history = tuple(Step(node, reason, at, State(state), why) for node, reason, at, state, why in rows)
    return LedgerView(entries, history, breaker, report)


def close_breaker(state_dir: Path, now: float) -> None:
    """An admin has looked: what failed before `now` opens no breaker any more. HetslurmError: no ledger."""
    path = ledger_path(state_dir)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=5.0)) as db, db:
            db.execute("INSERT OR REPLACE INTO note VALUES ('looked_at', ?)", (json.dumps(now),))
    except sqlite3.Error as error:
        raise _refusal(path, error) from error


def _read(db: sqlite3.Connection) -> Iterator[Entry]:
    for row in db.execute(_NEWEST):
        values: dict[str, Any] = dict(zip(_COLUMNS, row, strict=True))
        values |= {name: frozenset(json.loads(values[name])) for name in _KEPT_AS_JSON}
        yield Entry(**values | {"state": State(values["state"])})


def _note(db: sqlite3.Connection, key: str) -> Any:
    row = db.execute("SELECT value FROM note WHERE key = ?", (key,)).fetchone()
    return json.loads(row[0]) if row else None


def _json(words: frozenset[str]) -> str:
    return json.dumps(sorted(words))


def _refusal(path: Path, error: Exception) -> HetslurmError:
    return HetslurmError(f"{path}: cannot keep drains: {error}")

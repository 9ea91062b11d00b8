"""The history's SQLite file: where it is, its schema, and how it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hetslurm.errors import HistoryError

SCHEMA = 1
FILE = "history.sqlite3"
# One run a row; (submit_at, job_id) is Slurm's own key of a run: it submits a requeued job anew. `running`:
# jobs that were seen to run, with their pool's speed then. `mark` is how far slurmdbd was read, and a counter
# that rises when runs are forgotten, for the controller to learn anew. `forgotten`: what must not come back.
_TABLES = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL,
    submit_at INTEGER NOT NULL,
    start_at REAL NOT NULL,
    end_at REAL NOT NULL,
    run_s REAL NOT NULL,
    ending TEXT NOT NULL,
    user TEXT NOT NULL,
    account TEXT NOT NULL,
    app TEXT NOT NULL,
    work REAL NOT NULL,
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    target TEXT NOT NULL,
    pool TEXT NOT NULL,
    partition TEXT NOT NULL,
    nodes INTEGER NOT NULL,
    units INTEGER NOT NULL,
    node_names TEXT NOT NULL,
    declared_s REAL NOT NULL,
    limit_s REAL NOT NULL,
    speed REAL NOT NULL,
    exit_code INTEGER NOT NULL,
    energy_j REAL,
    restarts INTEGER NOT NULL,
    UNIQUE (submit_at, job_id)
);
CREATE INDEX run_end ON run (end_at, id);
CREATE TABLE running (
    job_id INTEGER NOT NULL,
    submit_at INTEGER NOT NULL,
    speed REAL NOT NULL,
    job TEXT NOT NULL,
    PRIMARY KEY (job_id, submit_at)
) WITHOUT ROWID;
CREATE TABLE mark (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE forgotten (at REAL NOT NULL, user TEXT, app TEXT, before REAL NOT NULL);
"""


def history_path(state_dir: Path) -> Path:
    """Where the history of a state folder is."""
    return state_dir / FILE


def open_writer(path: Path) -> tuple[sqlite3.Connection, Path | None]:
    """Open for writing, making it where it is missing; and where one that could not be read is now, if any.

    HistoryError: there is no writing there, or a newer hetslurm wrote it. That one is left as it is.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            return _open(path), None
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
        aside = path.with_suffix(".broken")
        path.replace(aside)
        # Its journal would be played into the new file.
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        return _open(path), aside
    except (sqlite3.Error, OSError) as error:
        raise HistoryError(f"{path}: cannot keep the history: {error}") from error


def open_existing(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """Open one that is there. HistoryError says what to do where it is not, or cannot be read."""
    if not path.exists():
        raise HistoryError(
            f"{path}: there is no history; does `hetslurm controller` run with this hetslurm.toml?"
        )
    try:
        mode = "ro" if readonly else "rw"
        db = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30.0
        )
    except (sqlite3.Error, OSError) as error:
        raise HistoryError(f"{path}: cannot be opened: {error}{_who_may(path)}") from error
    try:
        with telling(path):
            _check_schema(db, path)
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """SQLite's errors as a HistoryError that says what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise HistoryError(f"{path}: {error}{_who_may(path)}") from error
    except sqlite3.DatabaseError as error:
        raise HistoryError(
            f"{path}: {error}; the controller sets a damaged history aside", damaged=True
        ) from error


@contextmanager
def transaction(db: sqlite3.Connection, path: Path) -> Iterator[sqlite3.Connection]:
    """All or nothing; nothing stays open behind a full disk or a reader that will not end."""
    try:
        with telling(path):
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.rollback()


def _open(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o640)
    # Whoever opens it closes it in the end, which may be another thread.
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    try:
        path.chmod(0o640)
        # No write-ahead log: a reader without write permission could not open it.
        db.execute("PRAGMA journal_mode=TRUNCATE")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        _check_not_newer(db, path)
        _check_pages(db)
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            db.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version={SCHEMA};COMMIT;")
        _check_schema(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _who_may(path: Path) -> str:
    if not os.access(path, os.R_OK):
        return "; it is for SlurmUser, its group and root: who ran what is not for everybody"
    return "" if os.access(path, os.W_OK) else "; you may read it, and SlurmUser and root may change it"


def _check_pages(db: sqlite3.Connection) -> None:
    if (said := db.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
        raise sqlite3.DatabaseError(f"damaged: {said}")


def _check_not_newer(db: sqlite3.Connection, path: Path) -> int:
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found > SCHEMA:
        raise HistoryError(
            f"{path}: written by a newer hetslurm (schema {found}, this one knows {SCHEMA}); "
            "upgrade, or move it away"
        )
    return found


def _check_schema(db: sqlite3.Connection, path: Path) -> None:
    if (found := _check_not_newer(db, path)) < SCHEMA:
        raise sqlite3.DatabaseError(f"no history of runs (schema {found})")

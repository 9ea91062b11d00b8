"""The file: made, checked, opened; what SQLite says becomes LedgerError here and nowhere else."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from hetslurm.cloudburst.ledger.schema import APPLICATION_ID, SCHEMA, VERSION
from hetslurm.errors import LedgerError

BUSY_S = 60.0
_PAGE = 4096
_BESIDE = ("-wal", "-shm", "-journal")


def open_store(path: Path) -> sqlite3.Connection:
    """A connection that writes, durably; the file is made if need be. LedgerError says what to do."""
    if not os.path.lexists(path):
        _make(path)
    _check_files(path)
    return _connect(path, "rw")


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. LedgerError also where there is no ledger."""
    if not os.path.lexists(path):
        raise LedgerError(
            f"{path}: there is no ledger of money; the controller makes it when hetslurm.toml names a "
            "burst.toml ([burst] policy)"
        )
    _check_files(path)
    return _connect(path, "ro")


@contextmanager
def transaction(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All or nothing, on disk when it ends; one writer at a time, others wait for `BUSY_S` at most."""
    with translated(path):
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


@contextmanager
def reading(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    """One state of the ledger, whatever others write meanwhile."""
    with translated(path):
        if db.in_transaction:
            yield
            return
        db.execute("BEGIN")
        try:
            yield
        finally:
            db.execute("ROLLBACK")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """sqlite3's errors, and numbers that SQLite cannot hold, as LedgerError."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        raise LedgerError(f"{path}: {_advice(error)}") from error


def _advice(error: Exception) -> str:
    text = str(error)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return (
            f"another process has held the ledger for more than {BUSY_S:.0f} s ({text}); "
            "find it with `fuser` and see why it hangs"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return (
            f"the ledger is damaged ({text}); nothing is spent until you move it and its -wal aside and put "
            "a copy back, or let a new one begin after you ended every instance"
        )
    if code == sqlite3.SQLITE_FULL:
        return f"no space left ({text}); make room, nothing was changed"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
        return f"the ledger cannot be written or read ({text}); check the disk, its mount and its permissions"
    return f"the ledger refused: {text}"


def _make(path: Path) -> None:
    """A whole, empty ledger appears in one step; of two that make it at once, one wins and both go on."""
    folder = path.parent
    for beside in _BESIDE:
        if os.path.lexists(f"{path}{beside}"):
            raise LedgerError(
                f"{path} is gone, but {path.name}{beside} is there: the ledger was lost. Put a copy of it "
                "back, or move the rest aside as well after you ended every instance"
            )
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        file, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=folder)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be made: {error.strerror}; is {folder} ours to write?") from error
    try:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
            db.execute(f"PRAGMA page_size = {_PAGE}")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.executescript(f"BEGIN;{SCHEMA}COMMIT;")
        os.fchmod(file, 0o600)
        if not os.geteuid():
            owner = folder.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)
        os.fsync(file)
        _link(fresh, path)
        _sync_folder(folder)
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(
            f"{path}: cannot be made: {error}; is there space, and is {folder} ours?"
        ) from error
    finally:
        os.close(file)
        for name in (fresh, *(f"{fresh}{beside}" for beside in _BESIDE)):
            Path(name).unlink(missing_ok=True)


def _link(fresh: str, path: Path) -> None:
    try:
        os.link(fresh, path)
    except FileExistsError:
        return


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _check_files(path: Path) -> None:
    """LedgerError unless the file, and those SQLite keeps beside it, are ours alone."""
    try:
        folder = path.parent.stat()
        if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
            raise LedgerError(
                f"{path.parent}: everybody can replace what is in it; run: chmod o-w {path.parent}"
            )
        us = os.geteuid()
        # Root works on the ledger of whoever the folder is; what it makes beside it is its own for a moment.
        trusted = frozenset({us} if us else {us, folder.st_uid})
        _check(path, path.lstat(), trusted)
        for beside in _BESIDE:
            other = Path(f"{path}{beside}")
            if os.path.lexists(other):
                _check(other, other.lstat(), trusted | {0})
    except FileNotFoundError:
        return  # a -wal or -shm that another process put away while we looked
    except OSError as error:
        raise LedgerError(f"{path}: cannot be looked at: {error.strerror}") from error


def _check(path: Path, status: os.stat_result, trusted: frozenset[int]) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise LedgerError(f"{path} is a symbolic link; put the file itself there")
    if not stat.S_ISREG(status.st_mode):
        raise LedgerError(f"{path} is not a regular file; move it aside")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise LedgerError(f"{path}: others can open it (mode {mode:04o}); run: chmod 600 {path}")
    us = os.geteuid()
    if status.st_uid not in trusted:
        raise LedgerError(
            f"{path} belongs to user {status.st_uid}, and we are {us}; run as that user, or, if the "
            f"controller is to run as {us}: chown {us} {path}"
        )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Refuses what is no ledger of ours, and one that was cut to nothing."""
    with translated(path):
        try:
            in_log = os.path.lexists(f"{path}-wal")
            size = path.stat().st_size
            if not size or (size % _PAGE and not in_log):
                raise LedgerError(
                    f"{path} has {size} bytes: the ledger was cut off. Put a copy back, or move it and its "
                    "-wal aside after you ended every instance"
                )
        except OSError as error:
            raise LedgerError(f"{path}: cannot be looked at: {error.strerror}") from error
        db = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA cell_size_check = ON")
            _check_signs(path, db)
        except BaseException:
            db.close()
            raise
    return db


def _check_signs(path: Path, db: sqlite3.Connection) -> None:
    application, version, mode = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "journal_mode")
    )
    if application != APPLICATION_ID:
        raise LedgerError(f"{path} is no ledger of hetslurm; move it aside")
    if version != VERSION:
        raise LedgerError(
            f"{path} has layout {version}, and this hetslurm reads {VERSION}; use the hetslurm that wrote it"
        )
    if mode != "wal":
        raise LedgerError(f"{path} is in journal mode {mode}; run: sqlite3 {path} 'PRAGMA journal_mode=WAL'")

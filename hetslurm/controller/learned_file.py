"""A SQLite file of what the controller learned and would learn again; one that is damaged is set aside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from hetslurm.errors import HetslurmError


class LearnedFile:
    """The file; one writer, the controller under its lock. Subclasses name it, its schema, what it holds."""

    FILE: ClassVar[str]
    SCHEMA: ClassVar[str]
    HOLDS: ClassVar[str]

    def __init__(self, state_dir: Path) -> None:
        """Open, making it where it is missing. HetslurmError when there is no writing there.

        `set_aside` is where a file that could not be read is now.
        """
        self._path = state_dir / self.FILE
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

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
        try:
            self._path.chmod(0o640)
            db.execute("PRAGMA journal_mode=TRUNCATE")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(self.SCHEMA)
            _check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _put_aside(self) -> None:
        self.set_aside = self._path.with_suffix(".broken")
        self._path.replace(self.set_aside)
        # Its journal would be played into the new file.
        self._path.with_name(f"{self.FILE}-journal").unlink(missing_ok=True)

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
        return HetslurmError(f"{self._path}: cannot keep {self.HOLDS}: {error}")


def _check(db: sqlite3.Connection) -> None:
    if (said := db.execute("PRAGMA quick_check(1)").fetchone()) != ("ok",):
        raise sqlite3.DatabaseError(f"damaged: {said}")

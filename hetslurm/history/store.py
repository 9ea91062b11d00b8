"""The history of finished runs: the one writer, which is the controller under its lock.

What one look at Slurm brings is stored in one transaction, with how far it looked: whatever happens
in between is read again, and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hetslurm.history.file import history_path, open_writer, telling, transaction
from hetslurm.history.rows import UPSERT, row_of
from hetslurm.history.select import Which, runs_in
from hetslurm.runs import Run

DAY_S = 86400.0
# For so long slurmdbd may bring back what was forgotten: as far as it is ever read again.
FORGOTTEN_S = 40 * DAY_S


@dataclass(frozen=True, slots=True)
class Followed:
    """A job that was seen to run: its pool's `speed` then, and the job as JSON."""

    job_id: int
    submit_at: int
    speed: float
    job: str


class HistoryStore:
    """Open for writing. Every call may raise HistoryError, and then has changed nothing."""

    def __init__(self, state_dir: Path, *, keep_runs: int, keep_days: float) -> None:
        """Open, making it where it is missing. `set_aside` is where a file that could not be read is now."""
        self.path = history_path(state_dir)
        self._db, self.set_aside = open_writer(self.path)
        self.keep_runs = keep_runs
        self.keep_days = keep_days
        self._generation = self.generation()
        self._count = self._counted()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def count(self) -> int:
        """Runs in the store."""
        return self._count

    def add(self, runs: Iterable[Run], *, now: float, read_until: float | None = None) -> list[Run]:
        """Store runs; those are returned that were not known. `read_until`: all that ended before was read.

        What is older than `keep_days`, more than `keep_runs` (the oldest first) or forgotten is left out.
        """
        known: list[Run] = []
        with transaction(self._db, self.path) as db:
            oldest = now - self.keep_days * DAY_S
            rules = db.execute("SELECT user, app, before FROM forgotten").fetchall()
            for run in runs:
                if run.end_at < oldest or any(_is_meant(run, *rule) for rule in rules):
                    continue
                key = (int(run.submit_at), run.job_id)
                if not db.execute("SELECT 1 FROM run WHERE submit_at = ? AND job_id = ?", key).fetchone():
                    known.append(run)
                db.execute(UPSERT, row_of(run))
                db.execute("DELETE FROM running WHERE submit_at = ? AND job_id = ?", key)
            if read_until is not None:
                db.execute("INSERT OR REPLACE INTO mark VALUES ('read_until', ?)", (read_until,))
            db.execute("DELETE FROM forgotten WHERE at < ?", (now - FORGOTTEN_S,))
            gone = db.execute("DELETE FROM run WHERE end_at < ?", (oldest,)).rowcount
            count = self._count + len(known) - gone
            if count > self.keep_runs:
                count -= db.execute(
                    "DELETE FROM run WHERE id IN (SELECT id FROM run ORDER BY end_at, id LIMIT ?)",
                    (count - self.keep_runs,),
                ).rowcount
        self._count = count
        return known

    def runs(self, last: int | None = None) -> Iterator[Run]:
        """All of them, or those that ended `last`, in the order in which they ended."""
        with telling(self.path):
            since = None
            if last is not None and last < self._count:
                since = self._db.execute(
                    "SELECT end_at FROM run ORDER BY end_at DESC LIMIT 1 OFFSET ?", (last - 1,)
                ).fetchone()[0]
            yield from runs_in(self._db, Which(since=since))

    def read_until(self) -> float | None:
        """Up to when (Unix seconds) slurmdbd was read; None: never."""
        return self._mark("read_until")

    def generation(self) -> int:
        """Rises whenever runs are forgotten."""
        return int(self._mark("generation") or 0)

    def was_cut(self) -> bool:
        """Runs were forgotten since this was asked last: what was learnt from them must go, too."""
        now = self.generation()
        if now == self._generation:
            return False
        self._generation = now
        self._count = self._counted()
        return True

    def followed(self) -> list[Followed]:
        """Jobs that ran when they were last looked at."""
        with telling(self.path):
            rows = self._db.execute("SELECT job_id, submit_at, speed, job FROM running").fetchall()
        return [Followed(*row) for row in rows]

    def follow(self, seen: Sequence[Followed], gone: Sequence[tuple[int, int]] = ()) -> None:
        """Note jobs that began to run; drop those (job id, submit second) of which no more will be heard."""
        with transaction(self._db, self.path) as db:
            db.executemany(
                "INSERT OR IGNORE INTO running VALUES (?, ?, ?, ?)",
                [(one.job_id, one.submit_at, one.speed, one.job) for one in seen],
            )
            db.executemany("DELETE FROM running WHERE job_id = ? AND submit_at = ?", gone)

    def _mark(self, name: str) -> float | None:
        with telling(self.path):
            row = self._db.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
        return None if row is None else float(row[0])

    def _counted(self) -> int:
        with telling(self.path):
            return int(self._db.execute("SELECT count(*) FROM run").fetchone()[0])


def _is_meant(run: Run, user: str | None, app: str | None, before: float) -> bool:
    return user in (None, run.user) and app in (None, run.app) and run.end_at < before

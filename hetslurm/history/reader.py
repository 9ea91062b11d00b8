"""The history as those see it who only look; and forgetting, which an admin may do beside the controller."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hetslurm.history.file import history_path, open_existing, telling, transaction
from hetslurm.history.select import Order, Which, runs_in
from hetslurm.runs import Run


def read_runs(state_dir: Path, which: Which, order: Order = Order.ENDED) -> Iterator[Run]:
    """Those runs, a few at a time; HistoryError where there is no history, or none that can be read."""
    path = history_path(state_dir)
    with closing(open_existing(path, readonly=True)) as db, telling(path):
        yield from runs_in(db, which, order)


def count_runs(state_dir: Path, which: Which) -> int:
    """How many there are. HistoryError as in `read_runs`."""
    path = history_path(state_dir)
    condition, values = which.where()
    with closing(open_existing(path, readonly=True)) as db, telling(path):
        return int(db.execute(f"SELECT count(*) FROM run WHERE {condition}", values).fetchone()[0])  # noqa: S608


def forget(state_dir: Path, which: Which, now: float) -> int:
    """Delete those runs for good, keep them from coming back, and let the controller learn anew.

    Returns how many. Nothing of them is left in the file. HistoryError: nothing was deleted.
    """
    path = history_path(state_dir)
    condition, values = which.where()
    with closing(open_existing(path, readonly=False)) as db:
        with telling(path):
            db.execute("PRAGMA journal_mode=TRUNCATE")
            db.execute("PRAGMA secure_delete=ON")
        with transaction(db, path):
            count = db.execute(f"DELETE FROM run WHERE {condition}", values).rowcount  # noqa: S608
            db.execute(
                "INSERT INTO forgotten VALUES (?, ?, ?, ?)",
                (now, which.user, which.app, now if which.before is None else which.before),
            )
            db.execute(
                "INSERT INTO mark VALUES ('generation', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
            )
        with telling(path):
            db.execute("VACUUM")
    return count

"""ledger_tx: durable transactions a second of the ledger, over bare durable SQLite commits of the same run.

A job's money is five transactions: reserve, intend (which commits it), launched, ended (which settles it),
release. The baseline commits one row of an entry's size to a bare table, with the same journal and sync. Both
are on the disk that `build/` is on, in turn, since the machine is not ours alone.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer, Wanted
from hetslurm.cloudburst.policy import EACH, Cap, Level, Period, Purchase

ROUNDS = 5
JOBS = 60
WRITERS = 4
STEPS = ("reserve", "intend", "launched", "ended", "release")
LIMIT = 10**15
CAPS = (
    Cap(Level.SITE, "", Period.MONTH, LIMIT),
    Cap(Level.ACCOUNT, EACH, Period.MONTH, LIMIT),
    Cap(Level.USER, EACH, Period.DAY, LIMIT),
    Cap(Level.WORKLOAD, EACH, Period.TOTAL, LIMIT),
)


def measure() -> dict[str, Any]:
    """The record; both figures are medians of a few rounds."""
    build = Path("build")
    build.mkdir(exist_ok=True)
    took = dict.fromkeys(STEPS, 0.0)
    with tempfile.TemporaryDirectory(prefix="ledger-", dir=build) as name:
        folder = Path(name)
        with Book(folder / "one.sqlite3", SystemClock(), CAPS, cluster="bench") as book:
            ours, bare = [], []
            for turn in range(ROUNDS):
                bare.append(_bare(folder / f"bare{turn}.sqlite3", JOBS * len(STEPS)))
                ours.append(_lives(book, turn * JOBS, took))
            crowd = _crowd(book.path)
            started = time.perf_counter()
            if problems := book.verify():
                raise RuntimeError(f"the ledger is not sound: {problems}")
            verified = book.head().seq / (time.perf_counter() - started)
    value, baseline = median(ours), median(bare)
    return {
        "name": "ledger_tx",
        "value": value,
        "unit": "transactions/s",
        "baseline": baseline,
        "ratio": value / baseline,
        "detail": {
            "jobs_per_s": value / len(STEPS),
            "transactions_per_job": len(STEPS),
            "ms_per_step": {step: 1000 * seconds / (ROUNDS * JOBS) for step, seconds in took.items()},
            "rounds": {"ours": ours, "bare": bare},
            f"{WRITERS}_processes_per_s": crowd,
            "verified_entries_per_s": verified,
        },
    }


def _bare(path: Path, count: int) -> float:
    """Commits a second of a table and nothing else."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, at REAL, what TEXT)")
        started = time.perf_counter()
        for _ in range(count):
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO entries (at, what) VALUES (?, ?)", (time.time(), "x" * 200))
            db.execute("COMMIT")
        return count / (time.perf_counter() - started)


def _lives(book: Book, first: int, took: dict[str, float]) -> float:
    """Transactions a second of whole lives of jobs, one after the other."""
    started = time.perf_counter()
    for job in range(first, first + JOBS):
        _live(book, job, took)
    return JOBS * len(STEPS) / (time.perf_counter() - started)


def _live(book: Book, job: int, took: dict[str, float]) -> None:
    node, now = f"c{job}", time.time()
    wanted = Wanted(
        job_id=job + 1,
        submit_at=int(now),
        payer=Payer(f"a{job % 5}", f"u{job % 17}", "blast"),
        partition="cloud",
        node_names=(node,),
        price_cap_micro=3_600_000,
        attempts=2,
        attempt_s=1000.0,
        attempt_micro=1_000_000,
        amount_micro=2_000_000,
        limit_s=600.0,
        expires_at=now + 900,
    )
    marks = [time.perf_counter()]
    reserved = book.reserve(wanted)
    marks.append(time.perf_counter())
    boot = book.intend(node, provider="local", billed_least_s=60.0)
    marks.append(time.perf_counter())
    book.launched(
        node,
        boot.generation,
        instance_id=f"i-{node}",
        zone="here",
        purchase=Purchase.SPOT,
        instance_type="small",
        price_micro=1_000_000,
        on_demand_micro=3_000_000,
        launched_at=now,
    )
    marks.append(time.perf_counter())
    book.ended(node, boot.generation, now + 300, "done")
    marks.append(time.perf_counter())
    book.release(reserved.res_id, "job over")
    marks.append(time.perf_counter())
    for step, begin, end in zip(STEPS, marks, marks[1:], strict=False):
        took[step] += end - begin


def _crowd(path: Path) -> float:
    """Transactions a second of several processes that write one ledger at once, together."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(WRITERS + 1)
    children = [
        context.Process(target=_writer, args=(path, (one + 1) * 100_000, start)) for one in range(WRITERS)
    ]
    for child in children:
        child.start()
    start.wait()
    started = time.perf_counter()
    for child in children:
        child.join()
    if any(child.exitcode for child in children):
        raise RuntimeError("a writer failed")
    return WRITERS * JOBS * len(STEPS) / (time.perf_counter() - started)


def _writer(path: Path, first: int, start: Any) -> None:
    with Book(path, SystemClock()) as book:
        start.wait()
        _lives(book, first, dict.fromkeys(STEPS, 0.0))


if __name__ == "__main__":
    print(measure())

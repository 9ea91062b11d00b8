"""Many processes at once: the last money goes to one of them, and no cap is ever passed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.units import MICRO

from .scenes import cap


def race(path: Path, racers: int, count: int, amount: int) -> list[dict[str, int]]:
    """Start them, let them all go at once, and hear what each got."""
    script = Path(__file__).with_name("racer.py")
    with contextlib.ExitStack() as ending:
        running: list[subprocess.Popen[str]] = []
        for one in range(racers):
            words: Sequence[object] = (script, path, 1 + one * count, count, amount)
            child = subprocess.Popen(
                [sys.executable, "-P", *map(str, words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            running.append(ending.enter_context(child))
            ending.callback(child.kill)
        for child in running:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in running:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        return [json.loads(child.communicate(timeout=300)[0]) for child in running]


def test_of_two_processes_that_want_the_last_money_one_gets_it(path: Path) -> None:
    with Book(path, SystemClock(), [cap(1)]) as book:
        for turn in range(3):
            told = race(path, 2, 1, MICRO)
            assert sorted(one["got"] for one in told) == [0, 1], f"turn {turn}"
            (held,) = book.open_reservations()
            book.release(held.res_id, "again")
        assert book.verify() == ()


def test_eight_processes_with_fifty_jobs_each_never_pass_a_cap(path: Path) -> None:
    caps = [cap(170), cap(60, "account", "*"), cap(35, "user", "*", "day"), cap(25, "user", "u3", "hour")]
    with Book(path, SystemClock(), caps) as book:
        told = race(path, 8, 50, MICRO)
        usage = book.usage()
        assert all(one.used_micro <= one.cap.limit_micro for one in usage)
        got = sum(one["got"] for one in told)
        assert got + sum(one["refused"] for one in told) == 400
        assert usage[0].used_micro == got * MICRO
        # 35 for each of four users and 25 for u3: users' caps bind first, and are used to the last.
        assert got == 4 * 35 + 25
        assert len(book.open_reservations()) == got
        assert book.verify() == ()

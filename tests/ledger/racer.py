"""A process that reserves as fast as it can: `racer.py PATH FIRST_JOB COUNT AMOUNT_MICRO`.

Says "ready", waits for a line, then prints how many it got and what else it was told.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer, Wanted
from hetslurm.errors import BudgetExceeded


def main(path: Path, first: int, count: int, amount: int) -> None:
    """Every job has a user of its own account, so that several caps are contended."""
    got = refused = 0
    with Book(path, SystemClock()) as book:
        print("ready", flush=True)
        sys.stdin.readline()
        for job in range(first, first + count):
            one = Wanted(
                job_id=job,
                submit_at=1,
                payer=Payer(f"a{job % 3}", f"u{job % 5}"),
                partition="cloud",
                node_names=(f"c{job}",),
                price_cap_micro=1,
                attempts=1,
                attempt_s=100.0,
                attempt_micro=amount,
                amount_micro=amount,
                limit_s=10.0,
                expires_at=2e9,
            )
            try:
                book.reserve(one)
                got += 1
            except BudgetExceeded:
                refused += 1
    print(json.dumps({"got": got, "refused": refused}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))

"""Stores runs until it is killed, and says how many each time they are stored: `crash_child.py STATE_DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from hetslurm.history import HistoryStore
from hetslurm.runs import Ending, Run

NOW = 1_800_000_000.0


def run_of(number: int) -> Run:
    """The run of this number; ten are stored at once."""
    at = NOW - 1000 + number
    return Run(number, at, at, 0.5, Ending.COMPLETED, "ann", "cpu", app="crash", node_names=("c1",))


def main(state_dir: str) -> None:
    """Ten at a time, with how far they reach, from where the store has reached."""
    store = HistoryStore(Path(state_dir), keep_runs=500, keep_days=730)
    done = int(store.read_until() or 0)
    while True:
        store.add([run_of(n) for n in range(done, done + 10)], now=NOW, read_until=done + 10)
        done += 10
        sys.stdout.write(f"{done}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])

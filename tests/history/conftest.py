"""Runs made up, and stores of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hetslurm.history import HistoryStore
from hetslurm.runs import Ending, Run

NOW = 1_800_000_000.0
MakeRun = Callable[..., Run]


def _run(job_id: int = 1, *, ended: float = NOW - 100, run_s: float = 50.0, **fields: object) -> Run:
    start = ended - run_s
    values: dict[str, object] = {
        "job_id": job_id,
        "submit_at": float(int(start) - 10),
        "start_at": start,
        "run_s": run_s,
        "ending": Ending.COMPLETED,
        "user": "ann",
        "kind": "gpu",
        "type": "a100",
        "app": "align",
        "node_names": ("gpu1", "gpu2"),
    }
    return Run(**values | fields)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """`make_run(job_id, ended=Unix seconds, run_s=…, any field of Run)`."""
    return _run


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., HistoryStore]]:
    """`open_store(keep_runs=…, keep_days=…)` on the test's folder."""
    made: list[HistoryStore] = []

    def make(*, keep_runs: int = 1000, keep_days: float = 730.0) -> HistoryStore:
        made.append(HistoryStore(tmp_path, keep_runs=keep_runs, keep_days=keep_days))
        return made[-1]

    yield make
    for store in made:
        store.close()

"""A ledger in a folder of its own, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book

from .histories import START, caps


@pytest.fixture
def clock() -> FixedClock:
    """It stands at START."""
    return FixedClock(START)


@pytest.fixture
def book(tmp_path: Path, clock: FixedClock) -> Iterator[Book]:
    """An open ledger with more money than any test spends."""
    with Book(Book.path_in(tmp_path), clock, caps(), cluster="t") as opened:
        yield opened

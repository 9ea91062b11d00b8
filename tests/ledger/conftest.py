"""A ledger in a folder of its own, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book

from .scenes import START, cap


@pytest.fixture
def clock() -> FixedClock:
    """It stands at START."""
    return FixedClock(START)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger of the test is."""
    return Book.path_in(tmp_path)


@pytest.fixture
def book(path: Path, clock: FixedClock) -> Iterator[Book]:
    """An open ledger of a site that may spend 10 in all."""
    with Book(path, clock, [cap(10)], cluster="t") as opened:
        yield opened

"""A state folder on tmpfs where there is one: hundreds of ledgers are written to the disk for good."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """For one test."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-", dir=base) as folder:
        yield Path(folder)

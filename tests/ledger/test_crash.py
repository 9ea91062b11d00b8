"""A process that dies at any step of any act leaves a sound ledger, and the next one finishes the act."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def kill_at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that ends a process at its n-th change of a file."""
    library = tmp_path_factory.mktemp("kill_at") / "kill_at.so"
    source = Path(__file__).with_name("kill_at.c")
    subprocess.run(
        ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, source],
        check=True,
    )
    return library


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory: what a dead process wrote is there, and a thousand syncs take no time."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-", dir=base) as folder:
        yield Path(folder)


def test_a_crash_at_any_write_or_sync_breaks_no_cap_and_the_rest_is_done_once(
    kill_at: Path, memory: Path
) -> None:
    child = Path(__file__).with_name("crash_child.py")
    done = subprocess.run(
        [sys.executable, "-P", str(child), str(memory)],
        env={**os.environ, "LD_PRELOAD": str(kill_at)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["steps"] > 100
    assert report["killed"] == report["steps"]

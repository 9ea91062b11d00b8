"""Which nodes a ResumeProgram works on just now: a locked file for each run, that its death unlocks."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDER = "resuming"


@contextlib.contextmanager
def busy(state_dir: Path, nodes: Sequence[str]) -> Iterator[None]:
    """While inside, `read_busy` names these nodes. A disk that refuses costs the mark, not the launch."""
    folder = state_dir / FOLDER
    path = folder / f"{os.getpid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
            os.truncate(file, 0)
            os.pwrite(file, "\n".join(nodes).encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(file)


def read_busy(state_dir: Path) -> frozenset[str]:
    """Nodes of runs that live; what dead ones left is cleared away."""
    nodes: set[str] = set()
    try:
        paths = sorted((state_dir / FOLDER).iterdir())
    except OSError:
        return frozenset()
    for path in paths:
        with contextlib.suppress(OSError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                nodes.update(file.read().decode("utf-8", "replace").split())
            else:
                if file.read(1):  # an empty one is about to be locked
                    path.unlink()
    return frozenset(nodes)

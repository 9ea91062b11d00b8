"""A sandbox's directory: claimed, locked, filled and cleared. What no sandbox wrote is never removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from hetslurm.errors import SandboxError
from hetslurm.sandbox.layout import Layout
from hetslurm.sandbox.machine import PLUGINS

PUBLIC_FOLDERS = ("run", "log", "spool", "controller", "plugins", "nodes", "programs")
PRIVATE_FOLDERS = ("state", "mysql", "keys", "cloud")
FILES = (
    "slurm.conf",
    "gres.conf",
    "cgroup.conf",
    "plugstack.conf",
    "job_submit_hetslurm.conf",
    "slurmdbd.conf",
    "hetslurm.toml",
    "burst.toml",
    "munge.key",
    "sandbox.json",
    "sandbox.new",
    ".gitignore",
)


def is_claimed(layout: Layout) -> bool:
    """Whether a sandbox has made this directory its own."""
    return layout.lock_file.exists()


@contextlib.contextmanager
def claimed(layout: Layout) -> Iterator[None]:
    """Make the directory, or an empty one, the sandbox's; one `up` or `down` at a time works in it.

    Raises SandboxError when other files lie there, or another one works there now.
    """
    root = layout.root
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not is_claimed(layout) and any(root.iterdir()):
            raise SandboxError(f"{root} holds files that no sandbox wrote; choose a new or empty --dir")
        layout.lock_file.touch()
        root.chmod(0o755)
    except OSError as error:
        raise SandboxError(f"{root} cannot be used: {error.strerror}; choose another --dir") from error
    with locked(layout):
        yield


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Keep every other `up` and `down` out of a claimed directory; one that is not claimed needs no lock."""
    if not is_claimed(layout):
        yield
        return
    with layout.lock_file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SandboxError(
                f"another `hetslurm sandbox` works in {layout.root} now; wait for it"
            ) from None
        yield


def fill(layout: Layout, files: Mapping[str, str], secrets: Mapping[str, bytes], nodes: list[str]) -> None:
    """Write files for all, secrets for the owner alone, a spool folder for every node; drop older logs."""
    shutil.rmtree(layout.log, ignore_errors=True)
    for name in (*PUBLIC_FOLDERS, *(f"spool/{node}" for node in nodes), "state", "cloud"):
        (layout.root / name).mkdir(exist_ok=True)
        (layout.root / name).chmod(0o700 if name in PRIVATE_FOLDERS else 0o755)
    for name, text in files.items():
        (layout.root / name).write_text(text, encoding="utf-8")
        (layout.root / name).chmod(0o644)
    for name, secret in secrets.items():
        fd = os.open(layout.root / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(secret)


def copy_plugins(layout: Layout, source: str) -> None:
    """Take the plugins into the sandbox: all users load them, and no later build may change them."""
    for name in PLUGINS:
        shutil.copyfile(Path(source) / name, layout.plugins / name)
        (layout.plugins / name).chmod(0o755)


def clear(layout: Layout, *, keep_logs: bool) -> None:
    """Remove what a sandbox wrote, and the directory when nothing else is in it."""
    if not is_claimed(layout):
        return
    for name in (*PUBLIC_FOLDERS, *PRIVATE_FOLDERS):
        if name != "log" or not keep_logs:
            shutil.rmtree(layout.root / name, ignore_errors=True)
    for name in FILES:
        (layout.root / name).unlink(missing_ok=True)
    if not keep_logs:
        layout.lock_file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            layout.root.rmdir()


def log_tails(layout: Layout) -> str:
    """The last lines of every log that speak of trouble; where none does, the last lines of all."""
    logs = {
        path.name: path.read_text(errors="replace").splitlines()
        for path in sorted(layout.log.glob("*"))
        if path.is_file()
    }
    bad = {
        name: [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
        for name, lines in logs.items()
    }
    words = []
    for name, lines in (bad if any(bad.values()) else logs).items():
        if lines:
            words += [f"{name}:", *(f"  {line}" for line in lines[-5:])]
    return "\n".join(words)

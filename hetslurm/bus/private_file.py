"""Files that only their owner may read: checked when opened, replaced in one step."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from hetslurm.errors import KeyFileError

MAX_BYTES = 16 << 20


def read_private(path: Path) -> tuple[str, os.stat_result]:
    """The text of a regular file of ours or root's that nobody else can open, and what it was.

    KeyFileError says what is wrong with it and what to do. Root also takes what the folder's owner owns:
    the controller's own user may keep the folder.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeyFileError(f"{path}: {_why(error)}") from error
    with os.fdopen(file, "rb") as opened:
        status = os.fstat(file)
        check_private(path, status)
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise KeyFileError(f"{path}: more than {MAX_BYTES >> 20} MiB; this is no file of hetslurm's")
    try:
        return content.decode("ascii"), status
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path}: not ASCII text; this is no file of hetslurm's") from error


def check_private(path: Path, status: os.stat_result) -> None:
    """KeyFileError unless it is a regular file, ours or root's, closed to anybody else, and so its folder."""
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: not a regular file")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFileError(f"{path}: others can open it (mode {mode:04o}); run: chmod 600 {path}")
    folder = path.parent.stat()
    if folder.st_mode & 0o022:
        raise KeyFileError(f"{path.parent}: others can replace what is in it; run: chmod go-w {path.parent}")
    trusted = {os.geteuid(), 0}
    if not os.geteuid():
        trusted.add(folder.st_uid)
    if status.st_uid not in trusted:
        raise KeyFileError(
            f"{path}: it belongs to user {status.st_uid}, and we are {os.geteuid()}; "
            f"run: chown {os.geteuid()} {path}"
        )


def write_private(path: Path, text: str) -> None:
    """Write or replace the file, mode 0600, on disk when this returns; readers see the old or the new one.

    Root gives it to the folder's owner, so that the controller's own user can read what an admin issued.
    """
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as out:
            os.fchmod(file, 0o600)
            give_to_owner_of(path.parent, file)
            out.write(text)
            out.flush()
            os.fsync(file)
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from error


def give_to_owner_of(folder: Path, file: int) -> None:
    """As root: the open file gets the folder's owner and group."""
    if not os.geteuid():
        status = folder.stat()
        os.fchown(file, status.st_uid, status.st_gid)


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return (
            "there is no such file; run: hetslurm keys init (controller) or hetslurm keys issue NODE (node)"
        )
    if isinstance(error, PermissionError):
        return f"we (user {os.geteuid()}) may not read it; run: chown {os.geteuid()} FILE"
    if error.errno == errno.ELOOP:
        return "it is a symbolic link; put the file itself there"
    return f"cannot be read: {error.strerror}"

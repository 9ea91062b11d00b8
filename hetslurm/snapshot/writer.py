"""The snapshot file: two slots, of which one is always whole.

Layout and order of writes are in `snapshot_layout.h`. The file is never mapped: a full disk is an
error here, and not a SIGBUS.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hetslurm.errors import SnapshotError
from hetslurm.native.layout import CONSTANTS, MAGIC, check_slot, read_slot
from hetslurm.slot import SLOT, header_of
from hetslurm.snapshot.layout import ALIGN, FILE, aligned

_LEAST_SLOT = 256 << 10
_TRUSTED_MODE = 0o644


def read_view(path: str | Path, owner: int | None = None) -> bytes:
    """The bytes of the newest slot in the file, checked as the plugin checks them.

    `owner` is the only uid, besides root, whose file is trusted; by default, whoever owns it.
    Raises SnapshotError with what is wrong.
    """
    if owner is None:
        try:
            owner = os.lstat(path).st_uid
        except OSError as exc:
            raise SnapshotError(f"{path}: {exc.strerror}") from exc
    return read_slot(path, owner)


def slot_array(content: bytes) -> NDArray[np.uint8]:
    """A slot's bytes in aligned memory, for `hetslurm.slot` and the kernel."""
    slot = aligned(len(content))
    slot[:] = np.frombuffer(content, dtype=np.uint8)
    return slot


class SnapshotWriter:
    """The one writer of a snapshot file; a lock on PATH.lock keeps a second one away.

    Generations go on from the file that is there. A file that somebody damaged or replaced is written anew.
    Raises SnapshotError for everything that the system refuses.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = os.fspath(path)
        self._fd = -1
        self._header: Any = np.zeros(1, dtype=FILE)[0]
        self._generation = 0
        try:
            os.makedirs(os.path.dirname(self._path) or ".", mode=0o755, exist_ok=True)
            self._lock = os.open(
                f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as exc:
            raise SnapshotError(f"{self._path}: cannot make it: {exc.strerror}") from exc
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock)
            raise SnapshotError(
                f"{self._path}: another controller is writing this snapshot; stop it first"
            ) from exc
        self._continue_file()

    def __enter__(self) -> SnapshotWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def next_generation(self) -> int:
        """The generation that the next slot must carry."""
        return self._generation + 1

    def close(self) -> None:
        """Let go of the file and the lock. The file stays, and grows stale."""
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    def write(self, slot: NDArray[np.uint8]) -> None:
        """Publish a slot made by `build_slot` for `next_generation`."""
        if self._lock < 0:
            raise SnapshotError(f"{self._path}: the writer is closed")
        check_slot(slot)
        if int(header_of(slot)["generation"]) != self.next_generation:
            raise SnapshotError(f"{self._path}: the slot is not of generation {self.next_generation}")
        try:
            if self._fd >= 0 and slot.size <= int(self._header["slot_size"]) and self._is_ours():
                self._fill_inactive(slot)
            else:
                self._replace_file(slot)
        except OSError as exc:
            raise SnapshotError(f"{self._path}: cannot write: {exc.strerror}") from exc
        self._generation = self.next_generation

    def _continue_file(self) -> None:
        """Take over the file of an earlier controller, if it is good."""
        try:
            content = read_slot(self._path, os.geteuid())
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except (SnapshotError, OSError):
            return  # the first write makes a new one
        self._header = np.frombuffer(bytearray(os.pread(fd, FILE.itemsize, 0)), dtype=FILE)[0]
        self._generation = int(np.frombuffer(content, dtype=SLOT, count=1)[0]["generation"])
        self._fd = fd

    def _is_ours(self) -> bool:
        """Whether the path still leads to our file, as we left it."""
        try:
            there = os.lstat(self._path)
        except OSError:
            return False
        ours = os.fstat(self._fd)
        return (
            (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
            and stat.S_IMODE(there.st_mode) == _TRUSTED_MODE
            and there.st_uid == os.geteuid()
            and there.st_size == FILE.itemsize + 2 * int(self._header["slot_size"])
            and os.pread(self._fd, FILE.itemsize, 0) == self._header.tobytes()
        )

    def _put(self, field: str, value: int, slot: int | None = None) -> None:
        """Set one field of the file's header."""
        kind, offset = FILE.fields[field][:2]  # type: ignore[index]
        if slot is not None:
            kind = kind.base
            offset += slot * kind.itemsize
            self._header[field][slot] = value
        else:
            self._header[field] = value
        os.pwrite(self._fd, np.array(value, dtype=kind).tobytes(), offset)

    def _fill_inactive(self, slot: NDArray[np.uint8]) -> None:
        target = 1 - int(self._header["active"])
        self._put("generation", 0, target)
        _write_all(self._fd, slot, FILE.itemsize + target * int(self._header["slot_size"]))
        self._put("generation", self.next_generation, target)
        self._put("active", target)

    def _replace_file(self, slot: NDArray[np.uint8]) -> None:
        """Write a new file with room to grow, and put it in the old one's place in one step."""
        header = np.zeros(1, dtype=FILE)[0]
        size = -(-max(_LEAST_SLOT, 2 * slot.size) // ALIGN) * ALIGN
        header["magic"] = MAGIC
        header["layout_version"] = CONSTANTS["LAYOUT_VERSION"]
        header["header_size"] = FILE.itemsize
        header["slot_size"] = min(size, CONSTANTS["MAX_SLOT"])
        header["generation"][0] = self.next_generation
        new_path = f"{self._path}.new"
        if os.path.lexists(new_path):
            os.unlink(new_path)
        fd = os.open(new_path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _TRUSTED_MODE)
        try:
            os.fchmod(fd, _TRUSTED_MODE)
            os.posix_fallocate(fd, 0, FILE.itemsize + 2 * int(header["slot_size"]))
            _write_all(fd, slot, FILE.itemsize)
            os.pwrite(fd, header.tobytes(), 0)
            os.rename(new_path, self._path)
        except BaseException:
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new_path)
            raise
        if self._fd >= 0:
            self._put("superseded", 1)  # after the rename: who sees it finds the new file
            os.close(self._fd)
        self._fd, self._header = fd, header


def _write_all(fd: int, data: NDArray[np.uint8], offset: int) -> None:
    rest = data.data
    while rest:
        done = os.pwrite(fd, rest, offset)
        rest, offset = rest[done:], offset + done

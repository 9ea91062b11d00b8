"""One controller a state folder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from hetslurm.errors import HetslurmError


class InstanceLock:
    """Holds `state_dir/controller.lock` until closed; the kernel lets go when the process dies."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "controller.lock"
        self._file = -1

    def __enter__(self) -> InstanceLock:
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            self._close()
            raise HetslurmError(
                f"another controller (pid {holder}) works on {self._path.parent}; stop it first, "
                "or give this one another controller.state_dir"
            ) from None
        except OSError as error:
            self._close()
            raise HetslurmError(
                f"{self._path}: {error.strerror}; controller.state_dir must be writable"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

"""How often cores were slowed down for their heat: thermal_throttle of every core (Intel cpus only)."""

from __future__ import annotations

import os

from hetslurm.host.kernelfs import entries, number, read_text
from hetslurm.host.processors import parse_cpu_list
from hetslurm.telemetry import UNKNOWN


class CoreThrottle:
    """The counters stay open: opening hundreds of files every beat would cost more than all other reading."""

    def __init__(self, base: str) -> None:
        self._folder = f"{base}/sys/devices/system/cpu"
        self._fds: list[int] | None = None

    def read(self) -> dict[str, float]:
        """cpu_throttles since boot; nothing where the cpus do not count, or one of them went offline."""
        if self._fds is None:
            self._fds = self._open()
        if not self._fds:
            return {}
        try:
            total = sum(number(os.pread(fd, 32, 0).decode("ascii", "replace")) for fd in self._fds)
        except OSError:  # cpus changed; the next sample opens those there are
            self.close()
            return {"cpu_throttles": UNKNOWN}
        return {"cpu_throttles": total}

    def close(self) -> None:
        """Let go of the files."""
        for fd in self._fds or ():
            os.close(fd)
        self._fds = None

    def _open(self) -> list[int]:
        fds: list[int] = []
        for name in entries(self._folder):
            if not (name.startswith("cpu") and name[3:].isdecimal() and self._speaks_for_core(name)):
                continue
            path = f"{self._folder}/{name}/thermal_throttle/core_throttle_count"
            try:
                fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                continue  # offline, or a cpu that does not count
        return fds

    def _speaks_for_core(self, name: str) -> bool:
        """Hyperthreads count the events of their core each: only the first of them is asked."""
        text = read_text(f"{self._folder}/{name}/topology/thread_siblings_list", 256)
        threads = parse_cpu_list(text) if text is not None else None
        return not threads or min(threads) == int(name[3:])

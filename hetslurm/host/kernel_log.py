"""Follows the kernel's log: /dev/kmsg (kernel documentation, ABI/testing/dev-kmsg), or a file of plain lines.

Only what is logged after the opening counts, and only what the kernel itself says.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from typing import NamedTuple

from hetslurm.host.kernel_patterns import classify
from hetslurm.host.kernelfs import printable

# One read of /dev/kmsg gives one record, never longer than this.
RECORD_BYTES = 8192
# A storm of messages is read over several samples; what the kernel's ring loses meanwhile is counted as lost.
READS_PER_SAMPLE = 512

_RECORD = re.compile(r"(\d{1,10}),(\d{1,20}),(\d{1,20}),[^;]{0,64};(.*)")
_TIME = re.compile(r"\[ *\d+\.\d+\] ")


class Record(NamedTuple):
    """One message; `sequence` -1 for a plain line. `facility` 0 is the kernel itself (syslog(3))."""

    facility: int
    sequence: int
    text: str


def parse_record(line: str) -> Record | None:
    """A line as /dev/kmsg gives it ("6,1234,5140900,-;text") or a plain one, with or without "[ 5.140900] ".

    None for an empty line, and for the details of a record (" SUBSYSTEM=pci"), which begin with a space.
    """
    if not line or line.startswith(" "):
        return None
    match = _RECORD.fullmatch(line)
    if match is None:
        return Record(0, -1, _TIME.sub("", line, count=1) if line.startswith("[") else line)
    return Record(int(match[1]) >> 3, int(match[2]), match[4])


class KernelLog:
    """Counts lines by what they say. Not readable is unknown, not silent."""

    def __init__(self, path: str, classify_line: Callable[[str], str] = classify) -> None:
        self._path = path
        self._classify = classify_line
        self._fd = -1
        self._rest = ""
        self._next_sequence = -1
        self._counts = {"error": 0, "warning": 0}
        self._lost = 0
        self._newest = ""
        self._open()

    def read(self) -> tuple[dict[str, float], dict[str, str]]:
        """kernel_errors, kernel_warnings since the opening; fact "kernel_line" is the newest that counted."""
        if self._fd < 0 and not self._open():
            return {}, {}
        for _ in range(READS_PER_SAMPLE):
            try:
                data = os.read(self._fd, RECORD_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EPIPE:  # the ring went over what comes next; the gap will show
                    continue
                self.close()
                return {}, {}
            if not data:
                break
            self._take(data.decode("utf-8", "replace"))
        values = {
            "kernel_errors": float(self._counts["error"]),
            "kernel_warnings": float(self._counts["warning"]),
        }
        facts = {"kernel_line": self._newest} if self._newest else {}
        if self._lost:
            facts["kernel_lines_lost"] = str(self._lost)
        return values, facts

    def close(self) -> None:
        """Stop following."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _open(self) -> bool:
        try:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        self._rest = ""
        self._next_sequence = -1
        try:
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            if error.errno != errno.ESPIPE:  # a pipe has no past to skip
                self.close()
                return False
        return True

    def _take(self, text: str) -> None:
        lines = (self._rest + text).split("\n")
        # A plain file may be read in the middle of a line.
        self._rest = lines.pop()[-RECORD_BYTES:]
        for line in lines:
            record = parse_record(line)
            if record is None:
                continue
            if record.sequence >= 0:
                if 0 <= self._next_sequence < record.sequence:
                    self._lost += record.sequence - self._next_sequence
                self._next_sequence = record.sequence + 1
            if record.facility == 0 and (kind := self._classify(record.text)):
                self._counts[kind] += 1
                self._newest = printable(record.text)

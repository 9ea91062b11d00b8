"""Logs in the Standard Workload Format, plain or gzipped, read line by line.

The format: https://www.cs.huji.ac.il/labs/parallel/workload/swf.html. 18 numbers a line, -1 for what is not
known; ";" starts a comment, and comments of the form "; Key: value" ahead of the jobs describe the machine.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import IO

from hetslurm.errors import WorkloadError

FIELDS = 18
# So many broken lines are remembered with their reasons; the others are counted.
REMEMBERED = 20
_LONGEST_LINE = 65536
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class SwfJob:
    """A line of the log. Times are seconds, `submit_s` since the log began; None: not known (-1).

    `status` is 1 for completed, 0 failed, 5 cancelled, 2 to 4 for parts of a checkpointed job.
    """

    job: int
    submit_s: float
    wait_s: float | None = None
    run_s: float | None = None
    procs: int | None = None
    cpu_s: float | None = None
    memory_kb: float | None = None
    procs_requested: int | None = None
    time_requested_s: float | None = None
    memory_requested_kb: float | None = None
    status: int | None = None
    user: int | None = None
    group: int | None = None
    executable: int | None = None
    queue: int | None = None
    partition: int | None = None
    previous_job: int | None = None
    think_s: float | None = None

    @property
    def size(self) -> int:
        """Processors: those used, else those asked for, else 0."""
        return self.procs or self.procs_requested or 0


@dataclass(slots=True)
class SwfLog:
    """A log on disk. Each iteration reads it anew and yields its jobs in the order of the file.

    While and after it is read, `header` holds the comments' keys, `skipped` the number of broken lines,
    `problems` the first of them as "line N: why", and `bytes_read` how far into the file on disk it is.
    """

    path: Path
    header: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    problems: list[str] = field(default_factory=list)
    bytes_read: int = 0

    def __iter__(self) -> Iterator[SwfJob]:
        """Jobs. Raises WorkloadError when no line of the file is a job, or its gzip is broken."""
        self.header, self.skipped, self.problems, self.bytes_read = {}, 0, [], 0
        jobs = number = 0
        with self.path.open("rb") as raw:
            lines = _lines(raw)
            while True:
                try:
                    line = lines.readline(_LONGEST_LINE)
                except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                    raise WorkloadError(
                        f"{self.path}: broken gzip after line {number} ({error}); fetch the file again"
                    ) from error
                if not line:
                    break
                number += 1
                self.bytes_read = raw.tell()
                text = line.decode("utf-8", "replace").strip()
                if text.startswith(";"):
                    self._note(text)
                elif text:
                    try:
                        job = parse_job(text)
                    except ValueError as error:
                        self._skip(number, str(error))
                        continue
                    jobs += 1
                    yield job
        if not jobs:
            why = self.problems[0] if self.problems else "it holds no line of a job"
            raise WorkloadError(f"{self.path}: no SWF log: {why}")

    def _note(self, comment: str) -> None:
        key, colon, value = comment.lstrip("; \t").partition(":")
        if colon and key and len(self.header) < 1000:
            self.header.setdefault(key.strip(), value.strip())

    def _skip(self, number: int, why: str) -> None:
        self.skipped += 1
        if len(self.problems) < REMEMBERED:
            self.problems.append(f"line {number}: {why}")


def parse_job(line: str) -> SwfJob:
    """One line of a job. Raises ValueError, which says what is wrong, for one that is short or no numbers.

    More than 18 fields are as good as 18: some logs carry more.
    """
    words = line.split()
    if len(words) < FIELDS:
        raise ValueError(f"{len(words)} fields where SWF has {FIELDS}")
    values = [_number(word, n) for n, word in enumerate(words[:FIELDS], 1)]
    if values[1] is None:
        raise ValueError("field 2, the submit time, is not known")
    whole = [None if value is None else int(value) for value in values]
    return SwfJob(
        int(float(words[0])), values[1], values[2], values[3], whole[4], values[5], values[6], whole[7],
        values[8], values[9], whole[10], whole[11], whole[12], whole[13], whole[14], whole[15], whole[16],
        values[17],
    )  # fmt: skip


def _number(word: str, field_number: int) -> float | None:
    """None for what is not known: -1, and any other negative number, which no field can have."""
    try:
        value = float(word)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise ValueError(f"field {field_number} is {word[:40]!r}, not a number")
    return value if value >= 0 else None


def _lines(raw: IO[bytes]) -> IO[bytes]:
    """The file itself, or what its gzip holds: told by its first bytes, whatever its name."""
    magic = raw.read(2)
    raw.seek(0)
    return gzip.open(raw) if magic == _GZIP_MAGIC else raw  # type: ignore[return-value]

"""Asks a file system how full it is, in a thread, since a dead server's file system answers nobody, ever.

The thread of a hung check is left to itself: only the server's return, or the end of the process, ends it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hetslurm.host.fullness import Space

StatFileSystem = Callable[[str], Space]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Answer:
    """`space` or `error`, or neither: then it still hangs. `seconds` is how long it took, or hangs by now."""

    seconds: float
    space: Space | None = None
    error: OSError | None = None

    @property
    def hangs(self) -> bool:
        """There was no answer in time."""
        return self.space is None and self.error is None


class _Check(threading.Thread):
    """One question to one file system."""

    def __init__(self, path: str, stat: StatFileSystem, clock: Clock) -> None:
        super().__init__(name=f"statvfs {path}", daemon=True)
        self._path = path
        self._stat = stat
        self._clock = clock
        self._asked = clock()
        self._answer: Answer | None = None

    def run(self) -> None:
        try:
            space = self._stat(self._path)
        except OSError as error:
            self._answer = Answer(self._clock() - self._asked, error=error)
        else:
            self._answer = Answer(self._clock() - self._asked, space=space)

    def answer(self) -> Answer:
        """What there is by now."""
        return self._answer or Answer(self._clock() - self._asked)


class MountChecks:
    """At most one question to a path is open at any time: while one hangs, no other is asked."""

    def __init__(self, clock: Clock, stat: StatFileSystem = os.statvfs) -> None:
        self._clock = clock
        self._stat = stat
        self._hung: dict[str, _Check] = {}

    def ask(self, paths: Mapping[str, str], patience_s: float) -> dict[str, Answer]:
        """Answers by name for `paths` (name: path), all asked at once, within `patience_s` altogether."""
        end = self._clock() + patience_s
        hung = {name: check for name, check in self._hung.items() if name in paths and check.is_alive()}
        fresh = {
            name: _Check(path, self._stat, self._clock) for name, path in paths.items() if name not in hung
        }
        for check in fresh.values():
            check.start()
        # Those that hung before are given no more time.
        for check in fresh.values():
            check.join(max(0.0, end - self._clock()))
        checks = hung | fresh
        answers = {name: checks[name].answer() for name in paths}
        self._hung = {name: checks[name] for name, answer in answers.items() if answer.hangs}
        return answers

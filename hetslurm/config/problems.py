"""What is wrong with a configuration file, one sentence a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `path` is the key's (`pool[2].speed`, entries counted from 1); `line` 0: not known."""

    path: str
    text: str
    line: int = 0

    def render(self, file: str) -> str:
        """As a compiler would say it: `FILE:LINE: KEY: what is wrong, what was expected`."""
        place = f"{file}:{self.line}" if self.line else file
        return f"{place}: {self.path}: {self.text}" if self.path else f"{place}: {self.text}"


class Problems:
    """Collects the mistakes of one file; `lines` maps a key's path to its line, as far as known."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        self._lines = lines
        self._found: list[Problem] = []

    def add(self, path: str, text: str) -> None:
        """Note a mistake at this key; the line is the key's, or that of the nearest table around it."""
        around = path
        while around and around not in self._lines:
            around = around.rpartition(".")[0]
        self._found.append(Problem(path, text, self._lines.get(around, 0)))

    def all(self) -> tuple[Problem, ...]:
        """Every mistake, in the order of the file."""
        return tuple(sorted(self._found, key=lambda p: p.line))


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean "cycle_s"?`, or all the known words when none is near."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known here: {', '.join(names)}" if names else ""

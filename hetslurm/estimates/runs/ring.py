"""The last runs of somebody or something, in a fixed number of rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# A row: Unix seconds of the end, ln seconds of the run, units, minutes of the limit, 1 for a timeout.
END, VALUE, UNITS, LIMIT, TIMEOUT = range(5)
COLUMNS = 5


@dataclass(slots=True)
class Ring:
    """The last `most` rows; `count` of all that were ever added. Its memory grows with its rows."""

    most: int
    count: int = 0
    rows: Vector = field(default_factory=lambda: np.empty((0, COLUMNS)))

    def add(self, row: tuple[float, ...]) -> None:
        """Add a row, in place of the oldest where all places are taken."""
        if self.count >= len(self.rows) and len(self.rows) < self.most:
            grown = np.empty((min(max(4, 2 * len(self.rows)), self.most), COLUMNS))
            grown[: self.count] = self.rows[: self.count]
            self.rows = grown
        self.rows[self.count % len(self.rows)] = row
        self.count += 1

    def until(self, at: float, most: int) -> Vector:
        """The last `most` rows whose run had ended at `at`, the last first."""
        size = len(self.rows)
        if self.count <= size:
            rows = self.rows[: self.count][::-1]
        else:
            first = self.count % size
            rows = np.concatenate((self.rows[first:], self.rows[:first]))[::-1]
        known = rows[:, END] <= at
        return rows[:most] if known.all() else rows[known][:most]


NOTHING = np.empty((0, COLUMNS))

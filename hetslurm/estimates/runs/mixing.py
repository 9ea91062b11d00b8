"""How much of an answer should be history's where the author of a job without an app declared a time."""

from __future__ import annotations

from dataclasses import dataclass

# Before anything is compared: a half, as if the two had been a factor of e apart in five runs.
PRIOR = 0.5
PRIOR_SQUARES = 5.0
DECAY = 0.995


@dataclass(slots=True)
class Mixing:
    """Least squares of ln run on ln declared + share · (ln history - ln declared), later runs more."""

    both: float = PRIOR * PRIOR_SQUARES
    squares: float = PRIOR_SQUARES

    def learn(self, run: float, history: float, declared: float) -> None:
        """All in ln seconds."""
        apart = history - declared
        self.both = self.both * DECAY + (run - declared) * apart
        self.squares = self.squares * DECAY + apart * apart

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return min(max(self.both / self.squares, 0.0), 1.0) if self.squares > 0 else PRIOR

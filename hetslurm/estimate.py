"""A number with its source, so that a default never passes for knowledge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Source(IntEnum):
    """Where a number comes from; the order is that of `enum het_source`, worst first."""

    DEFAULT = 0
    DECLARED = 1
    PREDICTED = 2
    MEASURED = 3

    @property
    def label(self) -> str:
        """The word used in JSON and tables."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its source. The unit is that of the field that holds it."""

    value: float
    source: Source = Source.DEFAULT

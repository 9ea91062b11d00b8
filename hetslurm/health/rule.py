"""What a rule is. Comparisons with NaN are false, so what is unknown never fires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hetslurm.health.rows import Predicate, Rows

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires where `fires` holds on a new sample, `raise_after` new samples in a row.

    With `hard_after`, as many in a row make the finding hard. `metrics` must all be known for a sample to
    speak for or against it. `factor` is what is left of the health. `text` is filled with the row's metrics
    by name, or `say` has the words.
    """

    name: str
    probe: str
    metrics: tuple[str, ...]
    fires: Predicate
    text: str
    factor: float
    raise_after: int = 1
    hard_after: int = 0
    say: Callable[[Rows, int], str] | None = None


@dataclass(frozen=True, slots=True)
class NodeRule:
    """A rule on the probe's runs on a node, or on the node's reports; absence.py has what it asks."""

    name: str
    probe: str
    factor: float
    raise_after: int = 1
    hard_after: int = 0


def tell_slower(rows: Rows, slot: int) -> str:
    ratio = rows.of_baseline()
    parts = []
    if ratio is not None and rows.baseline is not None:
        for at, place in enumerate(rows.table.rates):
            if ratio[at, slot] < rows.limits["slower_ratio"]:
                name = rows.table.metrics[place]
                now, then = rows.table.values[place, slot], rows.baseline[at, slot]
                parts.append(f"{name} {now:.4g}, {then:.4g} in its own past")
    return ", ".join(parts) or "slower than in its own past"

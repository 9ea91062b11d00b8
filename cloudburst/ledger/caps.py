"""Which cap binds whom, and what a cap may be. Pure.

For one level, name and period exactly one cap binds: the most exact one, and of two alike the one that an
admin set by hand over the one of burst.toml:

    set for the name  >  burst.toml for the name  >  set for each ("*")  >  burst.toml for each
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from hetslurm.cloudburst.policy import EACH, Cap, Level, Period
from hetslurm.errors import LedgerError

# Above any budget, and far below what SQLite's 64-bit integers hold when many are added.
MOST_MICRO = 10**17

Key = tuple[Level, str, Period]


class CapSource(StrEnum):
    """Where a cap comes from; of two for the same key, SET wins."""

    FILE = "burst.toml"
    SET = "set"


Recorded = Mapping[tuple[Level, str, Period, CapSource], int]


def key_of(cap: Cap) -> Key:
    """What makes a cap the same cap."""
    return cap.level, cap.name, cap.period


def checked(cap: Cap) -> Cap:
    """The cap, with words made values; LedgerError when it cannot be one."""
    try:
        cap = Cap(Level(cap.level), cap.name, Period(cap.period), cap.limit_micro)
    except ValueError as error:
        raise LedgerError(f"no cap can be set for that: {error}") from error
    if isinstance(cap.limit_micro, bool) or not isinstance(cap.limit_micro, int):
        raise LedgerError(f"a cap is a whole number of micro-units, not {cap.limit_micro!r}")
    if not 0 <= cap.limit_micro <= MOST_MICRO:
        raise LedgerError(f"a cap is between 0 and {MOST_MICRO} micro-units, not {cap.limit_micro}")
    if cap.level is Level.SITE and cap.name:
        raise LedgerError(f"the site has no name: {cap.name!r} is one too many")
    if cap.level is not Level.SITE and not cap.name:
        raise LedgerError(f'a cap of {cap.level} needs a name, or "{EACH}" for each')
    return cap


def same_keys(caps: Iterable[Cap]) -> dict[Key, int]:
    """Limits by key; LedgerError where two caps are for the same."""
    limits: dict[Key, int] = {}
    for cap in map(checked, caps):
        if key_of(cap) in limits:
            raise LedgerError(f"two caps for {describe(cap)}: keep one")
        limits[key_of(cap)] = cap.limit_micro
    return limits


def binding(recorded: Recorded, level: Level, name: str) -> Iterator[Cap]:
    """The caps that bind this name, one a period at most."""
    for period in Period:
        for key_name in (name,) if level is Level.SITE else (name, EACH):
            limits = [
                recorded[(level, key_name, period, source)]
                for source in (CapSource.SET, CapSource.FILE)
                if (level, key_name, period, source) in recorded
            ]
            if limits:
                yield Cap(level, key_name, period, limits[0])
                break


def in_force(recorded: Recorded) -> dict[Key, tuple[int, CapSource]]:
    """What counts for every key: its limit and where that comes from."""
    found: dict[Key, tuple[int, CapSource]] = {}
    for (level, name, period, source), limit in recorded.items():
        key = (level, name, period)
        if source is CapSource.SET or key not in found:
            found[key] = (limit, source)
    return found


def describe(cap: Cap, name: str = "") -> str:
    """A cap in words: `account phys, per day`."""
    who = "the site" if cap.level is Level.SITE else f"{cap.level} {name or cap.name}"
    return f"{who}, {'in total' if cap.period is Period.TOTAL else f'per {cap.period}'}"

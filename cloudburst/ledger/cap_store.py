"""Caps as they are recorded: burst.toml's and those set by hand, each change an entry."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from hetslurm.cloudburst.ledger.caps import (
    CapSource,
    Key,
    Recorded,
    binding,
    checked,
    describe,
    in_force,
    key_of,
    same_keys,
)
from hetslurm.cloudburst.ledger.journal import Act
from hetslurm.cloudburst.ledger.periods import starts_us
from hetslurm.cloudburst.ledger.values import CapInForce, EntryKind, Payer, Usage
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.policy import EACH, Cap, Level, Period
from hetslurm.errors import BudgetExceeded, LedgerError

_NOBODY = Payer("", "")


def recorded(db: sqlite3.Connection) -> dict[tuple[Level, str, Period, CapSource], int]:
    """Every cap, whether another hides it or not."""
    return {
        (Level(row["level"]), row["name"], Period(row["period"]), CapSource(row["source"])): row[
            "limit_micro"
        ]
        for row in db.execute("SELECT * FROM caps")
    }


def changes(db: sqlite3.Connection, caps: Sequence[Cap]) -> dict[Key, int | None]:
    """What is new in what burst.toml says now; None: that cap is gone."""
    said = same_keys(caps)
    had = {key[:3]: limit for key, limit in recorded(db).items() if key[3] is CapSource.FILE}
    return {key: said.get(key) for key in sorted(had.keys() | said.keys()) if said.get(key) != had.get(key)}


def declare(act: Act, caps: Sequence[Cap]) -> None:
    """Record what burst.toml says now. A cap below what is used is taken: nothing new is granted then."""
    for key, limit in changes(act.db, caps).items():
        _write(act, key, CapSource.FILE, limit)


def set_by_hand(act: Act, cap: Cap) -> None:
    """A cap that wins over burst.toml's. BudgetExceeded, with the lowest possible, below what is used."""
    cap = checked(cap)
    now = recorded(act.db)
    if now.get((*key_of(cap), CapSource.SET)) == cap.limit_micro:
        return
    _write(act, key_of(cap), CapSource.SET, cap.limit_micro)
    over = [
        usage for usage in usages(act.db, recorded(act.db), act.at_us) if key_of(usage.cap) == key_of(cap)
    ]
    lowest = max((usage.used_micro for usage in over), default=0)
    if lowest > cap.limit_micro:
        raise BudgetExceeded(
            f"{text_of(lowest)} are reserved or spent under the cap of {describe(cap)}; it can be set to "
            f"{text_of(lowest)} at the lowest now, not to {text_of(cap.limit_micro)}"
        )


def unset(act: Act, level: Level, name: str, period: Period) -> None:
    """Take back what was set by hand; LedgerError where nothing was."""
    key = key_of(checked(Cap(level, name, period, 0)))
    if (*key, CapSource.SET) not in recorded(act.db):
        raise LedgerError(f"nothing is set for {describe(Cap(*key, 0))}")
    _write(act, key, CapSource.SET, None)


def caps_in_force(db: sqlite3.Connection) -> tuple[CapInForce, ...]:
    """What counts, with where it comes from, when, and by whom."""
    all_of_them = recorded(db)
    found = []
    for key, (limit, source) in sorted(in_force(all_of_them).items()):
        row = db.execute(
            'SELECT at_us, "by" FROM caps WHERE (level, name, period, source) = (?, ?, ?, ?)', (*key, source)
        ).fetchone()
        hidden = all_of_them.get((*key, CapSource.FILE)) if source is CapSource.SET else None
        found.append(CapInForce(Cap(*key, limit), str(source), row["at_us"] / 1e6, row["by"], hidden))
    return tuple(found)


def usages(db: sqlite3.Connection, caps: Recorded, at_us: int) -> tuple[Usage, ...]:
    """Every cap with everybody whom it binds: names it gives, and names that use some of it."""
    held = {
        (Level(row["level"]), row["name"]): row["reserved_micro"] for row in db.execute("SELECT * FROM held")
    }
    begun = dict(starts_us(at_us))
    spent = {
        (Level(row["level"]), row["name"], Period(row["period"])): row["spent_micro"]
        for period, since in begun.items()
        for row in db.execute("SELECT * FROM spent WHERE period = ? AND since_us = ?", (period, since))
    }
    names = {(Level.SITE, ""), *held, *(key[:2] for key in spent)}
    names |= {(level, name) for level, name, _, _ in caps if name != EACH}
    order = {level: at for at, level in enumerate(Level)}
    found = (
        Usage(
            cap,
            name,
            begun[cap.period] / 1e6,
            held.get((level, name), 0),
            spent.get((level, name, cap.period), 0),
        )
        for level, name in sorted(names, key=lambda one: (order[one[0]], one[1]))
        for cap in binding(caps, level, name)
    )
    return tuple(usage for usage in found if usage.cap.name != EACH or usage.used_micro)


def _write(act: Act, key: Key, source: CapSource, limit: int | None) -> None:
    if limit is None:
        act.db.execute("DELETE FROM caps WHERE (level, name, period, source) = (?, ?, ?, ?)", (*key, source))
    else:
        act.db.execute(
            "INSERT OR REPLACE INTO caps VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*key, source, limit, act.at_us, act.by),
        )
    what = {"level": key[0], "name": key[1], "period": key[2], "source": source, "limit_micro": limit}
    act.append(EntryKind.CAP, 0, _NOBODY, what=json.dumps(what))

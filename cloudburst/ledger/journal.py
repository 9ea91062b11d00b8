"""Entries, and the balances that they make: written in one transaction, never one without the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from hetslurm.cloudburst.ledger.caps import Recorded, binding, describe
from hetslurm.cloudburst.ledger.chain import GENESIS, hash_of
from hetslurm.cloudburst.ledger.periods import since_us, starts_us
from hetslurm.cloudburst.ledger.values import Entry, EntryKind, Head, Payer, Usage
from hetslurm.cloudburst.money import text_of
from hetslurm.errors import BudgetExceeded


@dataclass(frozen=True, slots=True)
class Act:
    """One transaction. `at_us` is the ledger's time, which never goes back; `now` the clock's."""

    db: sqlite3.Connection
    at_us: int
    now: float
    by: str

    def append(
        self,
        kind: EntryKind,
        res_id: int,
        payer: Payer,
        *,
        reserved_micro: int = 0,
        spent_micro: int = 0,
        what: str,
    ) -> int:
        """Append an entry and move the balances of everybody it counts for; its number."""
        head = read_head(self.db)
        seq = head.seq + 1
        digest = hash_of(
            head.hash,
            seq=seq,
            at_us=self.at_us,
            kind=kind,
            res_id=res_id,
            payer=(payer.account, payer.user, payer.workload),
            reserved_micro=reserved_micro,
            spent_micro=spent_micro,
            what=what,
            by=self.by,
        )
        self.db.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(seq, self.at_us, str(kind), res_id, payer.account, payer.user, payer.workload),
                *(reserved_micro, spent_micro, what, self.by, digest),
            ),
        )
        for level, name in payer.scopes() if reserved_micro or spent_micro else ():
            if reserved_micro:
                self.db.execute("INSERT OR IGNORE INTO held VALUES (?, ?, 0)", (level, name))
                self.db.execute(
                    "UPDATE held SET reserved_micro = reserved_micro + ? WHERE level = ? AND name = ?",
                    (reserved_micro, level, name),
                )
            if spent_micro:
                for period, since in starts_us(self.at_us):
                    self.db.execute(
                        "INSERT INTO spent VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                        " SET spent_micro = spent_micro + excluded.spent_micro",
                        (level, name, period, since, spent_micro),
                    )
        return seq

    def demand(self, recorded: Recorded, payer: Payer, amount_micro: int) -> None:
        """BudgetExceeded unless every cap that binds the payer has this much left, and one binds at all."""
        worst: Usage | None = None
        bound = False
        for usage in usages_of(self.db, recorded, payer, self.at_us):
            bound = True
            missing = usage.used_micro + amount_micro - usage.cap.limit_micro
            if missing > 0 and (
                worst is None or missing > worst.used_micro + amount_micro - worst.cap.limit_micro
            ):
                worst = usage
        if not bound:
            raise BudgetExceeded(
                f"no cap binds account {payer.account}, user {payer.user}: without one nothing is spent; "
                "add a [[cap]] of the site to burst.toml"
            )
        if worst is not None:
            limit, used = worst.cap.limit_micro, worst.used_micro
            raise BudgetExceeded(
                f"the cap of {describe(worst.cap, worst.name)}, is {text_of(limit)}: "
                f"{text_of(worst.reserved_micro)} are reserved and {text_of(worst.spent_micro)} spent, and "
                f"{text_of(amount_micro)} more are {text_of(used + amount_micro - limit)} too much"
            )


def usages_of(db: sqlite3.Connection, recorded: Recorded, payer: Payer, at_us: int) -> Iterator[Usage]:
    """How much is used of every cap that binds a payer."""
    for level, name in payer.scopes():
        held = db.execute(
            "SELECT reserved_micro FROM held WHERE level = ? AND name = ?", (level, name)
        ).fetchone()
        for cap in binding(recorded, level, name):
            since = since_us(cap.period, at_us)
            spent = db.execute(
                "SELECT spent_micro FROM spent WHERE level = ? AND name = ? AND period = ? AND since_us = ?",
                (level, name, cap.period, since),
            ).fetchone()
            yield Usage(cap, name, since / 1e6, held[0] if held else 0, spent[0] if spent else 0)


def read_head(db: sqlite3.Connection) -> Head:
    """The newest entry's number and hash; 0 and GENESIS in an empty ledger."""
    row = db.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    return Head(row["seq"], row["hash"]) if row else Head(0, GENESIS)


def newest_at_us(db: sqlite3.Connection) -> int:
    """When the newest entry was written, microseconds since 1970; 0: never."""
    row = db.execute("SELECT at_us FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0


def read_history(
    db: sqlite3.Connection,
    *,
    limit: int,
    before: int | None,
    account: str,
    user: str,
    job_id: int | None,
    kind: str,
) -> tuple[Entry, ...]:
    """The newest `limit` entries that match, oldest first; of those before a number, where one is given."""
    where: list[str] = ["1"]
    values: list[str | int] = []
    for column, value in (("account", account), ("user", user), ("kind", kind)):
        if value:
            where.append(f"{column} = ?")
            values.append(value)
    if job_id is not None:
        where.append("res_id IN (SELECT res_id FROM reservations WHERE job_id = ?)")
        values.append(job_id)
    if before is not None:
        where.append("seq < ?")
        values.append(before)
    rows = db.execute(
        f"SELECT * FROM entries WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?",  # noqa: S608  our words
        (*values, limit),
    ).fetchall()
    return tuple(entry_of(row) for row in reversed(rows))


def entry_of(row: sqlite3.Row) -> Entry:
    """A row of the entries."""
    return Entry(
        seq=row["seq"],
        at=row["at_us"] / 1e6,
        kind=row["kind"],
        res_id=row["res_id"],
        payer=Payer(row["account"], row["user"], row["workload"]),
        reserved_micro=row["reserved_micro"],
        spent_micro=row["spent_micro"],
        what=row["what"],
        by=row["by"],
        hash=row["hash"],
    )

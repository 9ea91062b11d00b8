"""Everything derived once more from the entries: chain, balances, reservations, caps at every step."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from hetslurm.cloudburst.ledger.caps import CapSource, binding, describe
from hetslurm.cloudburst.ledger.chain import GENESIS, hash_of
from hetslurm.cloudburst.ledger.periods import since_us, starts_us
from hetslurm.cloudburst.ledger.values import EntryKind, Payer
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.policy import Level, Period

MOST_PROBLEMS = 100
_ENDS = (EntryKind.RELEASE, EntryKind.EXPIRE)
_OPEN = ("reserved", "committed")


@dataclass(slots=True)
class _Account:
    """What the entries say of one reservation."""

    payer: Payer
    reserved_micro: int = 0
    granted_micro: int = 0
    spent_micro: int = 0
    commits: list[str] = field(default_factory=list)
    ended: str = ""


@dataclass(slots=True)
class _Derived:
    """What the entries say of everything."""

    held: dict[tuple[Level, str], int] = field(default_factory=lambda: defaultdict(int))
    spent: dict[tuple[Level, str, Period, int], int] = field(default_factory=lambda: defaultdict(int))
    caps: dict[tuple[Level, str, Period, CapSource], int] = field(default_factory=dict)
    reservations: dict[int, _Account] = field(default_factory=dict)


def problems(db: sqlite3.Connection, expect: str = "") -> tuple[str, ...]:
    """What is wrong, `MOST_PROBLEMS` at most; empty: the ledger is sound.

    `expect`: a head hash noted earlier; it is a problem when no entry has it any more.
    """
    found: list[str] = []
    for problem in _problems(db, expect):
        if len(found) == MOST_PROBLEMS:
            found.append("and more")
            break
        found.append(problem)
    return tuple(found)


def _problems(db: sqlite3.Connection, expect: str) -> Iterator[str]:
    for row in db.execute("PRAGMA integrity_check(10)"):
        if row[0] != "ok":
            yield f"the file is damaged: {row[0]}"
    derived = _Derived()
    yield from _walk(db, derived, expect)
    yield from _compare_balances(db, derived)
    yield from _compare_reservations(db, derived)


def _walk(db: sqlite3.Connection, derived: _Derived, expect: str) -> Iterator[str]:
    before, seq, at_us, seen = GENESIS, 0, 0, not expect or expect == GENESIS
    for row in db.execute("SELECT * FROM entries ORDER BY seq"):
        seq += 1
        if row["seq"] != seq:
            yield f"entry {seq} is missing"
            seq = row["seq"]
        payer = Payer(row["account"], row["user"], row["workload"])
        digest = hash_of(
            before,
            seq=row["seq"],
            at_us=row["at_us"],
            kind=row["kind"],
            res_id=row["res_id"],
            payer=(payer.account, payer.user, payer.workload),
            reserved_micro=row["reserved_micro"],
            spent_micro=row["spent_micro"],
            what=row["what"],
            by=row["by"],
        )
        if digest != row["hash"]:
            yield f"entry {seq} was changed, or one before it: its hash is not that of its fields"
        if row["at_us"] < at_us:
            yield f"entry {seq} is older than the one before it"
        before, at_us = row["hash"], row["at_us"]
        seen = seen or before == expect
        yield from _apply(row, payer, derived)
    if not seen:
        yield f"no entry has the hash {expect}: the ledger was cut or rewritten since it was noted"


def _apply(row: sqlite3.Row, payer: Payer, derived: _Derived) -> Iterator[str]:
    seq, kind, res_id = row["seq"], row["kind"], row["res_id"]
    reserved, spent = row["reserved_micro"], row["spent_micro"]
    if kind == EntryKind.CAP:
        yield from _apply_cap(row, derived)
        return
    for scope in payer.scopes():
        derived.held[scope] += reserved
        if derived.held[scope] < 0:
            yield f"entry {seq} takes away more than {scope[0]} {scope[1]} had reserved"
        for period, since in starts_us(row["at_us"]):
            derived.spent[(*scope, period, since)] += spent
    account = derived.reservations.setdefault(res_id, _Account(payer))
    if account.payer != payer:
        yield f"entry {seq} is for another payer than reservation {res_id}"
    if account.ended and kind not in (EntryKind.SPEND, EntryKind.OVERRUN):
        yield f"entry {seq} changes reservation {res_id}, which was over"
    account.reserved_micro += reserved
    account.granted_micro += reserved if kind in (EntryKind.RESERVE, EntryKind.TOP_UP) else 0
    account.spent_micro += spent
    if kind == EntryKind.COMMIT:
        account.commits.append(row["what"])
    if kind in _ENDS:
        account.ended = kind
    if account.reserved_micro < 0 or spent < 0:
        yield f"entry {seq} takes away more than reservation {res_id} held"
    if kind == EntryKind.OVERRUN:
        yield (
            f"overrun: {row['what']} cost {text_of(spent)} more than reservation {res_id} held (entry {seq})"
        )
    elif reserved + spent > 0:
        yield from _over(row, payer, derived)


def _apply_cap(row: sqlite3.Row, derived: _Derived) -> Iterator[str]:
    try:
        what = json.loads(row["what"])
        key = (Level(what["level"]), str(what["name"]), Period(what["period"]), CapSource(what["source"]))
        limit = None if what["limit_micro"] is None else int(what["limit_micro"])
    except (ValueError, KeyError, TypeError) as error:
        yield f"entry {row['seq']} is a cap that cannot be read: {error}"
        return
    if row["reserved_micro"] or row["spent_micro"]:
        yield f"entry {row['seq']} is a cap and moves money"
    if limit is None:
        derived.caps.pop(key, None)
    else:
        derived.caps[key] = limit


def _over(row: sqlite3.Row, payer: Payer, derived: _Derived) -> Iterator[str]:
    for scope in payer.scopes():
        for cap in binding(derived.caps, *scope):
            spent = derived.spent[(*scope, cap.period, since_us(cap.period, row["at_us"]))]
            used = derived.held[scope] + spent
            if used > cap.limit_micro:
                yield (
                    f"entry {row['seq']} breaks the cap of {describe(cap, scope[1])}: {text_of(used)} of "
                    f"{text_of(cap.limit_micro)}"
                )


def _compare_balances(db: sqlite3.Connection, derived: _Derived) -> Iterator[str]:
    held = {(row["level"], row["name"]): row["reserved_micro"] for row in db.execute("SELECT * FROM held")}
    for scope in sorted(held.keys() | derived.held.keys()):
        kept, right = held.get(scope, 0), derived.held.get((Level(scope[0]), scope[1]), 0)
        if kept != right:
            yield (
                f"{' '.join(scope).strip()}: {text_of(kept)} is kept as reserved, the entries say "
                f"{text_of(right)}"
            )
    spent = {
        (row["level"], row["name"], row["period"], row["since_us"]): row["spent_micro"]
        for row in db.execute("SELECT * FROM spent")
    }
    for key in sorted(spent.keys() | derived.spent.keys()):
        kept = spent.get(key, 0)
        right = derived.spent.get((Level(key[0]), key[1], Period(key[2]), key[3]), 0)
        if kept != right:
            yield (
                f"{key[0]} {key[1]} per {key[2]} from {key[3] // 1_000_000}: {text_of(kept)} is kept as "
                f"spent, the entries say {text_of(right)}"
            )
    caps = {
        (row["level"], row["name"], row["period"], row["source"]): row["limit_micro"]
        for row in db.execute("SELECT * FROM caps")
    }
    if caps != derived.caps:
        yield "the caps that are kept are not those of the entries"


def _compare_reservations(db: sqlite3.Connection, derived: _Derived) -> Iterator[str]:
    left = dict(derived.reservations)
    for row in db.execute("SELECT * FROM reservations ORDER BY res_id"):
        res_id = row["res_id"]
        account = left.pop(res_id, None)
        if account is None:
            yield f"reservation {res_id} has no entry"
            continue
        is_open = row["state"] in _OPEN
        if account.payer != Payer(row["account"], row["user"], row["workload"]):
            yield f"reservation {res_id} is of another payer than its entries"
        if is_open == bool(account.ended):
            yield f"reservation {res_id} is {row['state']}, and its entries say otherwise"
        if account.spent_micro != row["spent_micro"]:
            yield (
                f"reservation {res_id}: {text_of(row['spent_micro'])} is kept as spent, the entries say "
                f"{text_of(account.spent_micro)}"
            )
        held = max(0, row["amount_micro"] - row["spent_micro"]) if is_open else 0
        if account.reserved_micro != held:
            yield (
                f"reservation {res_id}: {text_of(held)} is kept as held, the entries say "
                f"{text_of(account.reserved_micro)}"
            )
        yield from _compare_instances(db, res_id, account, row["spent_micro"])
        kept = {node["node"] for node in db.execute("SELECT node FROM nodes WHERE res_id = ?", (res_id,))}
        if kept != (set(json.loads(row["node_names"])) if is_open else set()):
            yield f"reservation {res_id} does not hold the nodes it says"
    for res_id in sorted(left):
        yield f"reservation {res_id} is in the entries and nowhere else"
    for row in db.execute(
        "SELECT token FROM instances WHERE res_id NOT IN (SELECT res_id FROM reservations)"
    ):
        yield f"instance {row['token']} has no reservation"


def _compare_instances(
    db: sqlite3.Connection, res_id: int, account: _Account, spent_micro: int
) -> Iterator[str]:
    rows = db.execute("SELECT token, cost_micro FROM instances WHERE res_id = ?", (res_id,)).fetchall()
    if {row["token"] for row in rows} != set(account.commits) or len(rows) != len(account.commits):
        yield f"reservation {res_id}: its instances are not those that its entries committed"
    if sum(row["cost_micro"] for row in rows) != spent_micro:
        yield f"reservation {res_id}: what its instances cost is not what it spent"

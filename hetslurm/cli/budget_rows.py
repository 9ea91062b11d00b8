"""What `hetslurm budget` shows: the same facts for programs and as rows of tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hetslurm.cloudburst.ledger.caps import describe
from hetslurm.cloudburst.ledger.reader import Reader
from hetslurm.cloudburst.ledger.values import CapInForce, Entry, Reservation, Usage
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.policy import EACH, Cap, Level, Period

CAP_COLUMNS = (
    ("cap of", "left"),
    ("period", "left"),
    ("limit", "right"),
    ("reserved", "right"),
    ("spent", "right"),
    ("left", "right"),
    ("used", "right"),
    ("from", "left"),
)
RESERVATION_COLUMNS = (
    ("reservation", "right"),
    ("job", "right"),
    ("account", "left"),
    ("user", "left"),
    ("nodes", "left"),
    ("state", "left"),
    ("held", "right"),
    ("spent", "right"),
)
ENTRY_COLUMNS = (
    ("entry", "right"),
    ("at", "left"),
    ("kind", "left"),
    ("reservation", "right"),
    ("account", "left"),
    ("user", "left"),
    ("reserved", "right"),
    ("spent", "right"),
    ("what", "left"),
    ("by", "left"),
)


def gather(book: Reader, currency: str, *, account: str, user: str, workload: str) -> dict[str, Any]:
    """Everything that `budget show --json` prints. Of a name that is given, and of the site, when one is."""
    asked = {Level.ACCOUNT: account, Level.USER: user, Level.WORKLOAD: workload}
    asked = {level: name for level, name in asked.items() if name}
    in_force = {(one.cap.level, one.cap.name, one.cap.period): one for one in book.caps_in_force()}
    rows = [
        _cap(usage, in_force[(usage.cap.level, usage.cap.name, usage.cap.period)])
        for usage in _with_unused(book.usage(), in_force, asked)
        if not asked or usage.cap.level is Level.SITE or asked.get(usage.cap.level) == usage.name
    ]
    reservations = [
        _reservation(one)
        for one in book.open_reservations()
        if all(name == dict(one.wanted.payer.scopes()).get(level) for level, name in asked.items())
    ]
    overruns = book.history(20, account=account, user=user, kind="overrun")
    head = book.head()
    return {
        "currency": currency,
        "head": {"seq": head.seq, "hash": head.hash},
        "caps": rows,
        "reservations": reservations,
        "overruns": [entry_facts(one) for one in overruns],
    }


def cap_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """A cap as a row of CAP_COLUMNS."""
    who = "site" if one["level"] == Level.SITE else f"{one['level']} {one['name']}"
    each = " (each)" if one["cap_name"] == EACH and one["name"] != EACH else ""
    left = f"OVER by {one['over']}" if one["over_micro"] else one["free"]
    share = f"{100 * one['used_micro'] / one['limit_micro']:.0f} %" if one["limit_micro"] else "-"
    source = f"set by {one['by']}" if one["source"] == "set" else one["source"]
    return (who + each, one["period"], one["limit"], one["reserved"], one["spent"], left, share, source)


def reservation_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """A reservation as a row of RESERVATION_COLUMNS."""
    return (
        *(str(one["reservation"]), str(one["job_id"]), one["account"], one["user"]),
        *(",".join(one["nodes"]), one["state"], one["held"], one["spent"]),
    )


def entry_facts(entry: Entry) -> dict[str, Any]:
    """An entry as `budget history --json` prints it."""
    return {
        "seq": entry.seq,
        "at": _iso(entry.at),
        "kind": entry.kind,
        "reservation": entry.res_id or None,
        "account": entry.payer.account,
        "user": entry.payer.user,
        "workload": entry.payer.workload,
        "reserved": text_of(entry.reserved_micro),
        "spent": text_of(entry.spent_micro),
        "reserved_micro": entry.reserved_micro,
        "spent_micro": entry.spent_micro,
        "what": json.loads(entry.what) if entry.kind == "cap" else entry.what,
        "by": entry.by,
        "hash": entry.hash,
    }


def entry_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    """An entry as a row of ENTRY_COLUMNS."""
    what = _cap_in_words(one["what"]) if one["kind"] == "cap" else one["what"]
    return (
        *(
            str(one["seq"]),
            one["at"],
            one["kind"],
            str(one["reservation"] or ""),
            one["account"],
            one["user"],
        ),
        *(one["reserved"] if one["reserved_micro"] else "", one["spent"] if one["spent_micro"] else ""),
        *(what, one["by"]),
    )


def _with_unused(
    usages: tuple[Usage, ...],
    in_force: Mapping[tuple[Level, str, Period], CapInForce],
    asked: Mapping[Level, str],
) -> list[Usage]:
    """And the caps for each that nobody uses, or that the one who asks does not use, with nothing used."""
    found = list(usages)
    for (level, name, period), one in in_force.items():
        wanted = asked.get(level, EACH)
        binds = not any(
            use.cap.level is level and use.cap.period is period and use.name == wanted for use in usages
        )
        if name == EACH and binds and (level in asked or not asked):
            found.append(Usage(one.cap, wanted, 0.0, 0, 0))
    order = list(Level)
    return sorted(
        found, key=lambda use: (order.index(use.cap.level), use.name, list(Period).index(use.cap.period))
    )


def _cap(usage: Usage, cap: CapInForce) -> dict[str, Any]:
    left = usage.cap.limit_micro - usage.used_micro
    return {
        "level": usage.cap.level,
        "name": usage.name,
        "cap_name": usage.cap.name,
        "period": usage.cap.period,
        "since": _iso(usage.since),
        "limit": text_of(usage.cap.limit_micro),
        "reserved": text_of(usage.reserved_micro),
        "spent": text_of(usage.spent_micro),
        "free": text_of(max(0, left)),
        "over": text_of(max(0, -left)),
        "limit_micro": usage.cap.limit_micro,
        "reserved_micro": usage.reserved_micro,
        "spent_micro": usage.spent_micro,
        "used_micro": usage.used_micro,
        "free_micro": max(0, left),
        "over_micro": max(0, -left),
        "source": cap.source,
        "by": cap.by,
        "set_at": _iso(cap.at),
        "file_limit_micro": cap.hidden_micro if cap.source == "set" else usage.cap.limit_micro,
    }


def _reservation(one: Reservation) -> dict[str, Any]:
    return {
        "reservation": one.res_id,
        "job_id": one.wanted.job_id,
        "account": one.wanted.payer.account,
        "user": one.wanted.payer.user,
        "workload": one.wanted.payer.workload,
        "partition": one.wanted.partition,
        "nodes": list(one.wanted.node_names),
        "state": one.state,
        "held": text_of(one.held_micro),
        "spent": text_of(one.spent_micro),
        "held_micro": one.held_micro,
        "spent_micro": one.spent_micro,
        "created_at": _iso(one.created_at),
        "expires_at": _iso(one.wanted.expires_at),
    }


def _cap_in_words(what: Mapping[str, Any]) -> str:
    cap = Cap(Level(what["level"]), what["name"], Period(what["period"]), what["limit_micro"] or 0)
    limit = "taken back" if what["limit_micro"] is None else text_of(cap.limit_micro)
    return f"{describe(cap)}: {limit} ({what['source']})"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

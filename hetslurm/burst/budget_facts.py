"""What `hetslurm budget show` says of caps and of money that is held, as values for JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hetslurm.cloudburst.ledger.reader import Reader
from hetslurm.cloudburst.ledger.values import CapInForce, Entry, Reservation, Usage
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.policy import EACH, Level

_MOST_OVERRUNS = 20


def gather(book: Reader, currency: str, now: float) -> dict[str, Any]:
    """Every cap with everybody who uses it, and those for each ("*") once more, unused; reservations."""
    with book.at_once():
        in_force = {(one.cap.level, one.cap.name, one.cap.period): one for one in book.caps_in_force()}
        each = [Usage(one.cap, EACH, 0.0, 0, 0) for one in in_force.values() if one.cap.name == EACH]
        head = book.head()
        return {
            "at": _iso(now),
            "currency": currency,
            "head": {"seq": head.seq, "hash": head.hash},
            "caps": [
                _cap(usage, in_force[(usage.cap.level, usage.cap.name, usage.cap.period)])
                for usage in [*book.usage(), *each]
            ],
            "reservations": [_reservation(one) for one in book.open_reservations()],
            "overruns": [entry_facts(one) for one in book.history(_MOST_OVERRUNS, kind="overrun")],
        }


def narrowed(facts: Mapping[str, Any], *, account: str, user: str, workload: str) -> dict[str, Any]:
    """What concerns them: the site, and in each level that a name is given for the caps that bind it."""
    asked = {
        level: name
        for level, name in ((Level.ACCOUNT, account), (Level.USER, user), (Level.WORKLOAD, workload))
        if name
    }
    if not asked:
        return dict(facts)
    own = {(one["level"], one["period"]) for one in facts["caps"] if one["name"] == asked.get(one["level"])}
    caps = [
        {**one, "name": asked.get(one["level"], one["name"])}
        for one in facts["caps"]
        if one["level"] == Level.SITE
        or one["name"] == asked.get(one["level"])
        or (one["name"] == EACH and one["level"] in asked and (one["level"], one["period"]) not in own)
    ]
    return {
        **facts,
        "caps": caps,
        "reservations": [one for one in facts["reservations"] if _is_of(one, asked)],
        "overruns": [one for one in facts["overruns"] if _is_of(one, asked)],
    }


def _is_of(one: Mapping[str, Any], asked: Mapping[Level, str]) -> bool:
    return all(one[level] == name for level, name in asked.items())


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


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

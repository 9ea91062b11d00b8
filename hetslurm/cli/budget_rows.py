"""What `hetslurm budget` shows, as rows of tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hetslurm.cloudburst.ledger.caps import describe
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


def _cap_in_words(what: Mapping[str, Any]) -> str:
    cap = Cap(Level(what["level"]), what["name"], Period(what["period"]), what["limit_micro"] or 0)
    limit = "taken back" if what["limit_micro"] is None else text_of(cap.limit_micro)
    return f"{describe(cap)}: {limit} ({what['source']})"

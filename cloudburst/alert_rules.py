"""Which caps are used so far that somebody must be told. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hetslurm.cloudburst.ledger.caps import describe
from hetslurm.cloudburst.ledger.values import AlertKey, Usage
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.policy import Alert

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Crossing:
    """A cap that is used up to a share, and whom to tell: a command, or a webhook where there is none."""

    usage: Usage
    share: float
    command: tuple[str, ...]
    webhook: str

    @property
    def key(self) -> AlertKey:
        """What makes it the same message: told once. A cap with another limit is another cap."""
        cap = self.usage.cap
        sink = hashlib.sha256(json.dumps([self.command, self.webhook]).encode()).hexdigest()[:16]
        return AlertKey(
            cap.level,
            self.usage.name,
            cap.period,
            round(self.usage.since * 1e6),
            cap.limit_micro,
            round(self.share * _MILLION),
            sink,
        )


def crossings(usages: Sequence[Usage], alerts: Sequence[Alert]) -> Iterator[Crossing]:
    """The highest share that each cap has reached, for everybody who wants to know of it."""
    for usage in usages:
        for alert in alerts:
            reached = [share for share in alert.at if _is_reached(usage, share)]
            if not reached:
                continue
            if alert.command:
                yield Crossing(usage, max(reached), alert.command, "")
            if alert.webhook:
                yield Crossing(usage, max(reached), (), alert.webhook)


def message(crossing: Crossing, currency: str, now: float) -> dict[str, object]:
    """What is told. Money as decimal text and in micro-units; `text` says it all in a line."""
    usage = crossing.usage
    cap = usage.cap
    used, limit = text_of(usage.used_micro), text_of(cap.limit_micro)
    return {
        "event": "budget",
        "text": (
            f"hetslurm: {used} of {limit} {currency} are used under the cap of {describe(cap, usage.name)} "
            f"({text_of(usage.spent_micro)} spent, {text_of(usage.reserved_micro)} reserved)"
        ),
        "level": cap.level,
        "name": usage.name,
        "period": cap.period,
        "since": _iso(usage.since),
        "at": _iso(now),
        "share": crossing.share,
        "currency": currency,
        "limit": limit,
        "used": used,
        "reserved": text_of(usage.reserved_micro),
        "spent": text_of(usage.spent_micro),
        "limit_micro": cap.limit_micro,
        "used_micro": usage.used_micro,
        "reserved_micro": usage.reserved_micro,
        "spent_micro": usage.spent_micro,
    }


def _is_reached(usage: Usage, share: float) -> bool:
    return (
        usage.used_micro > 0
        and usage.used_micro * _MILLION >= round(share * _MILLION) * usage.cap.limit_micro
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

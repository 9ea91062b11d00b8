"""One drain of ours as the ledger knows it, and how it is told from everybody else's. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hetslurm.cluster import Node
from hetslurm.health.judgement import Finding

PREFIX = "hetslurm: "
_LONGEST_TEXT = 160
# What Slurm, its clients and `scontrol show node` read as something else than text.
_NOT_PLAIN = re.compile(r"[^ -~]|[\"'\\=@\[\]`]")

DRAINED_FLAGS = frozenset({"DRAIN", "DRAINED", "DRAINING"})
POWER_FLAGS = frozenset(
    {"POWERED_DOWN", "POWERING_UP", "POWER_UP", "POWERING_DOWN", "POWER_DOWN", "POWER_DRAIN"}
)
# Nobody's hands but Slurm's or an admin's belong on a node in one of these.
HANDS_OFF = (
    POWER_FLAGS
    | {"DOWN", "ERROR", "FAIL", "FAILED", "FAILING", "FUTURE", "INVAL", "INVALID_REG", "MAINT", "MAINTENANCE"}
    | {"NOT_RESPONDING", "REBOOT", "REBOOT_ISSUED", "REBOOT_REQUESTED", "UNKNOWN"}
)


class State(StrEnum):
    """Where an entry stands; the first six are live.

    INTENT: about to be drained. DRAINED: done and seen. RELEASING: about to be undrained. WIPED: Slurm
    itself dropped the drain. HANDED_OVER: the drain is an admin's now. RESUMED: an admin took the drain
    back, and what he saw is pardoned. RELEASED: we took it back. WITHDRAWN: it never came to be. LAPSED:
    the pardon is over. GONE: Slurm has no such node.
    """

    INTENT = "intent"
    DRAINED = "drained"
    RELEASING = "releasing"
    WIPED = "wiped"
    HANDED_OVER = "handed over"
    RESUMED = "resumed"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    GONE = "gone"


HOLDING = frozenset({State.INTENT, State.DRAINED, State.RELEASING, State.WIPED})
LIVE = HOLDING | {State.HANDED_OVER, State.RESUMED}


@dataclass(frozen=True, slots=True)
class Entry:
    """A drain of ours, from intent to end. Times are Unix seconds.

    `reason` is the whole text in Slurm, with a token that no other entry has; `reason_by` and `reason_at` are
    what Slurm showed with it ("" and None: not seen yet). `findings` are the keys (`finding_key`) that it was
    made for, `pardoned` those that an admin let pass, until `pardon_until` where that is given.
    `updates_before` is slurmctld's count of node changes just before our own.
    """

    entry_id: int
    node: str
    reason: str
    state: State
    why: str
    created_at: float
    changed_at: float
    findings: frozenset[str] = frozenset()
    pardoned: frozenset[str] = frozenset()
    pardon_until: float | None = None
    reason_by: str = ""
    reason_at: float | None = None
    updates_before: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it still decides anything."""
        return self.state in LIVE

    def owns(self, node: Node) -> bool:
        """The node's drain is exactly this one: text and, where known, who set it and when."""
        return (
            is_drained(node)
            and node.reason == self.reason
            and (self.reason_at is None or node.reason_at == self.reason_at)
            and (not self.reason_by or node.reason_by == self.reason_by)
        )


def is_drained(node: Node) -> bool:
    """Drained or draining, by whomever."""
    return bool(node.state & DRAINED_FLAGS)


def obstacle(node: Node) -> str:
    """Why this node must not be drained by us; "" when it may be. Any reason on it is somebody's word."""
    if is_drained(node):
        if node.reason.startswith(PREFIX):
            return f"a drain that the ledger does not own: {node.reason}"
        return f"drained by {node.reason_by or 'somebody'}: {node.reason or 'no reason given'}"
    if node.reason:
        return f"has a reason of {node.reason_by or 'somebody'}: {node.reason}"
    flags = sorted(node.state & HANDS_OFF)
    return f"is {'+'.join(flags)}" if flags else ""


def finding_key(finding: Finding) -> str:
    """What a finding is known by while it lasts: probe, row and rule."""
    return f"{finding.probe}/{finding.index}/{finding.rule}"


def drain_text(findings: Sequence[Finding]) -> str:
    """The admin's words for these findings: the oldest, and how many more. Plain ASCII, bounded."""
    first = min(findings, key=lambda f: (f.since, finding_key(f)))
    text = " ".join(_NOT_PLAIN.sub(" ", first.text).split()) or finding_key(first)
    more = f" (+{len(findings) - 1} more)" if len(findings) > 1 else ""
    return text[:_LONGEST_TEXT].rstrip() + more


def drain_reason(text: str, token: str) -> str:
    """The reason as Slurm will hold it."""
    return f"{PREFIX}{text} #{token}"


def newest(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The newest entry of every node."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.node not in found or entry.entry_id > found[entry.node].entry_id:
            found[entry.node] = entry
    return found

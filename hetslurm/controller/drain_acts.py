"""How one drain is set and taken back, so that no admin's drain is ever taken for ours.

Slurm overwrites a node's reason without comparing, so a look at the node before and after a change of ours
does not show a drain that somebody set in between. What shows it is slurmctld's own count of node changes:
only when it rose by exactly one was ours the only change. Else the node stays drained, and is the admins'.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from hetslurm.clock import Clock
from hetslurm.cluster import Node
from hetslurm.controller.drain_ledger import DrainLedger
from hetslurm.errors import SlurmRefused
from hetslurm.health.drain_entry import (
    HANDS_OFF,
    POWER_FLAGS,
    Entry,
    State,
    drain_reason,
    is_drained,
    obstacle,
)
from hetslurm.health.drain_scene import Drain
from hetslurm.slurm.protocol import SlurmAdapter

# slurmctld counts a change just after it has answered.
_COUNT_TRIES = 5
_CONTENDED = "others changed nodes at the same time: the drain may be theirs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The entry after an act, and whether it did what was wanted. Its `why` says what happened."""

    entry: Entry
    done: bool


class DrainActs:
    """The only place that changes nodes. At most ten short commands an act, none of them repeated."""

    def __init__(
        self,
        adapter: SlurmAdapter,
        ledger: DrainLedger,
        clock: Clock,
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._adapter = adapter
        self._ledger = ledger
        self._clock = clock
        self._token = token

    def drain(self, wanted: Drain) -> Outcome:
        """Drain a node. SlurmError: it was not done, or is found out at the next look."""
        before = self._adapter.count_node_updates()
        entry = self._ledger.intend(
            wanted.node,
            drain_reason(wanted.text, self._token()),
            why=wanted.text,
            findings=wanted.findings,
            pardoned=wanted.pardoned,
            updates_before=before,
            now=self._clock.now(),
        )
        return self._set(entry)

    def reassert(self, entry: Entry, why: str) -> Outcome:
        """Drain a node again with the reason that it had."""
        before = self._adapter.count_node_updates()
        fresh = {"updates_before": before, "reason_by": "", "reason_at": None}
        return self._set(self._record(entry, State.INTENT, why, **fresh))

    def undrain(self, entry: Entry, why: str) -> Outcome:
        """Take back a drain of ours, if it still is exactly that."""
        before = self._adapter.count_node_updates()
        entry = self._record(entry, State.RELEASING, why, updates_before=before)
        node = self._adapter.read_node(entry.node)
        if not entry.owns(node) or node.state & (HANDS_OFF - {"NOT_RESPONDING"}):
            return Outcome(self._record(entry, State.DRAINED, "changed just before it was taken back"), False)
        try:
            self._adapter.resume_node(entry.node)
        except SlurmRefused as refused:
            self._record(entry, State.DRAINED, f"not taken back: {refused}")
            raise
        seen = self._adapter.read_node(entry.node)
        return self._taken_back(entry, seen, why, alone=self._was_alone(before))

    def _set(self, entry: Entry) -> Outcome:
        stop = obstacle(self._adapter.read_node(entry.node))
        if stop:
            return Outcome(self._record(entry, State.WITHDRAWN, stop), False)
        try:
            self._adapter.drain_node(entry.node, entry.reason)
        except SlurmRefused as refused:
            self._record(entry, State.WITHDRAWN, f"refused: {refused}")
            raise
        seen = self._adapter.read_node(entry.node)
        whose = {"reason_by": seen.reason_by, "reason_at": seen.reason_at}
        if not entry.owns(seen):
            return Outcome(self._not_ours(entry, seen), False)
        if not self._was_alone(entry.updates_before):
            return Outcome(self._record(entry, State.HANDED_OVER, _CONTENDED, **whose), False)
        return Outcome(self._record(entry, State.DRAINED, entry.why, **whose), True)

    def _not_ours(self, entry: Entry, seen: Node) -> Entry:
        if is_drained(seen):
            by = seen.reason_by or "somebody"
            return self._record(entry, State.HANDED_OVER, f"{by} set a reason: {seen.reason}")
        if seen.state & POWER_FLAGS:
            return self._record(entry, State.WIPED, "power saving dropped the drain")
        pardoned = entry.pardoned | entry.findings
        return self._record(entry, State.RESUMED, "taken back at once", pardoned=pardoned)

    def _taken_back(self, entry: Entry, seen: Node, why: str, *, alone: bool) -> Outcome:
        if entry.owns(seen):
            return Outcome(self._record(entry, State.DRAINED, "Slurm did not take it back"), False)
        if is_drained(seen):
            return Outcome(self._not_ours(entry, seen), False)
        if not alone and not seen.reason and not seen.state & (HANDS_OFF - {"NOT_RESPONDING"}):
            return Outcome(self._put_back(entry), False)
        # What an admin let pass while the node was ours stays so.
        over = State.RESUMED if entry.pardoned else State.RELEASED
        return Outcome(self._record(entry, over, why), True)

    def _put_back(self, entry: Entry) -> Entry:
        """We may just have undone an admin's drain: the node goes out again, and he decides."""
        token = entry.reason.rpartition("#")[2]
        reason = drain_reason("well again, but others changed nodes while this was taken back", token)
        self._adapter.drain_node(entry.node, reason)
        why = "others changed nodes while it was taken back: drained again, for an admin to look"
        return self._record(entry, State.HANDED_OVER, why, reason=reason)

    def _was_alone(self, before: int) -> bool:
        """Whether the one change since `before` was ours; read until it stands still."""
        last = before
        for _ in range(_COUNT_TRIES):
            now = self._adapter.count_node_updates()
            if now == last and now != before:
                return now == before + 1
            last = now
        return False

    def _record(self, entry: Entry, state: State, why: str, **changes: object) -> Entry:
        return self._ledger.record(entry, state, why, self._clock.now(), **changes)

"""What became of the drains that the ledger knows, and what follows for each. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hetslurm.cluster import Node
from hetslurm.health.drain_entry import HOLDING, POWER_FLAGS, Entry, State, is_drained, obstacle
from hetslurm.health.drain_scene import (
    Action,
    Hard,
    Reassert,
    Scene,
    Settle,
    Undrain,
    Withhold,
    hard_findings,
)

# A drain that vanished while nobody watched may have been an admin's doing: his word holds for so long.
DOUBT_S = 3600.0
# Slurm does not show powered-down cloud nodes to everybody; one that stays away longer is no more.
GONE_S = 30 * 86400.0
_UNDRAIN_WAITS = (
    POWER_FLAGS
    | {"DOWN", "MAINT", "MAINTENANCE", "UNKNOWN"}
    | {"REBOOT", "REBOOT_ISSUED", "REBOOT_REQUESTED"}
)


@dataclass(frozen=True, slots=True)
class _Case:
    """An entry, its node, and whether that is heard and has a finding to be drained for."""

    scene: Scene
    entry: Entry
    node: Node
    heard: bool
    fails: bool

    def settle(self, state: State, why: str) -> Settle:
        return Settle(self.entry, state, why, self.entry.pardoned, self.entry.pardon_until)

    def withhold(self, why: str) -> Withhold:
        return Withhold(self.entry.node, why)

    def hand_over(self) -> Settle:
        node = self.node
        return self.settle(State.HANDED_OVER, f"{node.reason_by or 'somebody'} set a reason: {node.reason}")

    def resumed(self, why: str, until: float | None = None) -> Settle:
        """What he saw when he resumed it, he let pass: that and what it was drained for."""
        entry = self.entry
        seen = hard_findings(self.scene.judgement).get(entry.node, {})
        return Settle(entry, State.RESUMED, why, entry.pardoned | entry.findings | seen.keys(), until)


def follow(scene: Scene, entry: Entry, heard: frozenset[str], hard: Hard) -> Action | None:
    """What follows for the newest entry of a node; None: nothing, for now.

    `heard`: nodes with a fresh report; `hard`: their findings that nobody pardoned.
    """
    node = scene.nodes.get(entry.node)
    if node is not None:
        return _FOLLOW[entry.state](_Case(scene, entry, node, entry.node in heard, entry.node in hard))
    if entry.state in HOLDING - {State.WIPED}:
        return Settle(entry, State.WIPED, "Slurm does not show it any more", entry.pardoned)
    if entry.is_live and scene.now - entry.changed_at > GONE_S:
        return Settle(entry, State.GONE, "Slurm has not shown it for long")
    return None


def _intent(case: _Case) -> Action | None:
    """Somebody ended between the intent and its confirmation: what did Slurm make of it?"""
    entry, node = case.entry, case.node
    if node.reason == entry.reason:
        if is_drained(node):
            return _intent_done(case)
        if node.state & POWER_FLAGS:
            return case.settle(State.WIPED, "power saving dropped the drain")
        return case.resumed("taken back at once")
    return case.hand_over() if is_drained(node) else case.settle(State.WITHDRAWN, "never reached Slurm")


def _intent_done(case: _Case) -> Action:
    updates = case.scene.updates
    if updates is None:
        return case.withhold("slurmctld's count of node changes cannot be read")
    if updates == case.entry.updates_before + 1:
        return case.settle(State.DRAINED, "drained, as found after an interruption")
    return case.settle(State.HANDED_OVER, "others changed nodes at the same time: the drain may be theirs")


def _drained(case: _Case) -> Action | None:
    entry, node = case.entry, case.node
    if is_drained(node):
        return _maybe_undrain(case) if entry.owns(node) else case.hand_over()
    if node.state & POWER_FLAGS:
        return case.settle(State.WIPED, "power saving dropped the drain")
    if node.reason:
        ours = node.reason == entry.reason
        return case.resumed("taken back while the node was down") if ours else case.hand_over()
    if node.state & {"UNKNOWN", "NOT_RESPONDING"}:
        return case.withhold("its drain is gone; waits until Slurm knows the node's state")
    return _vanished(case)


def _vanished(case: _Case) -> Action:
    """No drain, no reason, no power saving: slurmctld lost its state, or an admin resumed the node."""
    scene = case.scene
    seen = scene.seen_at.get(case.entry.node)
    if seen is None:
        return case.resumed("the drain vanished while nobody watched", until=scene.now + DOUBT_S)
    if scene.started_at is None:
        return case.withhold("its drain is gone; slurmctld does not say since when it runs")
    # Told in whole seconds: within that second, a restart shows by another start than at our drain.
    if scene.started_at + 1 > seen and scene.started_at != scene.set_under.get(case.entry.node):
        return _restore(case, "slurmctld lost the drain in a restart")
    return case.resumed("resumed by an admin")


def _maybe_undrain(case: _Case) -> Action | None:
    scene, entry = case.scene, case.entry
    quiet = scene.quiet_since.get(entry.node)
    if quiet is None or scene.now - quiet < scene.site.clear_s:
        return None
    flags = sorted(case.node.state & _UNDRAIN_WAITS)
    if flags:
        return case.withhold(f"well again, but is {'+'.join(flags)}")
    return Undrain(entry, f"{scene.now - quiet:.0f} s of fresh reports without a hard finding")


def _wiped(case: _Case) -> Action:
    if case.entry.owns(case.node):
        return case.settle(State.DRAINED, "the drain is there again")
    return case.hand_over() if is_drained(case.node) else _restore(case, case.entry.why)


def _restore(case: _Case, why: str) -> Action:
    """Drain again, once the node is up and heard, if it still fails; else Slurm's word may stand."""
    stop = obstacle(case.node)
    if not stop and not case.heard:
        stop = "no fresh report: what is silent is not drained"
    if stop:
        return case.withhold(f"{why}; not drained again yet: {stop}")
    if case.fails:
        return Reassert(case.entry, why)
    return case.settle(State.RELEASED, f"{why}; nothing hard is found any more")


def _releasing(case: _Case) -> Action:
    """Somebody ended between the intent to undrain and its confirmation."""
    if case.entry.owns(case.node):
        return case.settle(State.DRAINED, "not taken back yet, as found after an interruption")
    if is_drained(case.node):
        return case.hand_over()
    return case.settle(State.RELEASED, "taken back, as found after an interruption")


def _handed_over(case: _Case) -> Action | None:
    return None if obstacle(case.node) else case.resumed("the admin took the drain back")


def _on_pardon(case: _Case) -> Action | None:
    scene, entry = case.scene, case.entry
    if entry.pardon_until is not None and scene.now >= entry.pardon_until:
        return case.settle(State.LAPSED, "the pardon's time is over")
    calm = scene.calm_since.get(entry.node)
    if calm is not None and scene.now - calm >= scene.site.clear_s:
        return case.settle(State.LAPSED, "the pardoned findings are gone")
    return _ended(case)


def _ended(case: _Case) -> Action | None:
    """A drain that was taken back can come back: slurmctld was killed before it saved the release."""
    if case.entry.reason_at is not None and case.entry.owns(case.node):
        return case.settle(State.DRAINED, "slurmctld went back to a state with our drain")
    return None


def _never(case: _Case) -> Action | None:
    return None


_FOLLOW: dict[State, Callable[[_Case], Action | None]] = {
    State.INTENT: _intent,
    State.DRAINED: _drained,
    State.RELEASING: _releasing,
    State.WIPED: _wiped,
    State.HANDED_OVER: _handed_over,
    State.RESUMED: _on_pardon,
    State.RELEASED: _ended,
    State.LAPSED: _ended,
    State.WITHDRAWN: _never,
    State.GONE: _never,
}

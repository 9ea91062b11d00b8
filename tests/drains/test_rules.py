"""What the drain rules say, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.cluster import Node
from hetslurm.health.drain_breaker import Breaker
from hetslurm.health.drain_entry import State, drain_reason, drain_text
from hetslurm.health.drain_follow import DOUBT_S, GONE_S
from hetslurm.health.drain_rules import plan_breaker, plan_drains
from hetslurm.health.drain_scene import (
    Action,
    Drain,
    Reassert,
    Scene,
    Settle,
    Undrain,
    Withhold,
    follow_quiet,
)
from hetslurm.health.judgement import Finding
from hetslurm.site import DrainSite

from .scenes import NOW, drained, entry, finding, judgement, node, pool

SITE = DrainSite(mode="on", pool_share=0.5, burst_share=0.5, burst_window_s=300, clear_s=60)


def _scene(*nodes: Node, hard: dict[str, list[Finding]] | None = None, **more: object) -> Scene:
    said = judgement([n.name for n in nodes], hard if hard is not None else {"n1": [finding()]})
    scene = Scene({n.name: n for n in nodes}, said, (), (), SITE, NOW)
    return replace(scene, **more)  # type: ignore[arg-type]


def _one(scene: Scene) -> Action | None:
    actions = plan_drains(scene)
    assert len(actions) <= 1
    return actions[0] if actions else None


def test_a_hard_finding_drains_an_idle_node_and_says_why() -> None:
    action = _one(_scene(node()))
    assert action == Drain("n1", "gpu 0: 3 uncorrectable ECC errors", frozenset({"gpu/0/ecc"}))


@pytest.mark.parametrize(
    "state", ["MIXED", "ALLOCATED", "IDLE+PLANNED", "IDLE+CLOUD", "ALLOCATED+COMPLETING"]
)
def test_a_node_with_jobs_is_drained_too(state: str) -> None:
    assert isinstance(_one(_scene(node(state=state))), Drain)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("IDLE+DRAIN", "an admin's"),
        ("IDLE+DRAIN", ""),
        ("IDLE+DRAINED", "an admin's"),
        ("MIXED+DRAINING", "an admin's"),
        ("DOWN", "an admin's"),
        ("DOWN+NOT_RESPONDING", ""),
        ("IDLE", "a note that an admin left"),
        ("IDLE+FAIL", ""),
        ("IDLE+POWERED_DOWN", ""),
        ("IDLE+POWER_DOWN", ""),
        ("IDLE+POWERING_DOWN", ""),
        ("IDLE+POWERING_UP", ""),
        ("ALLOCATED+POWERING_UP", ""),
        ("IDLE+POWER_UP+POWERED_DOWN", ""),
        ("IDLE+REBOOT_REQUESTED", ""),
        ("DOWN+REBOOT_ISSUED", ""),
        ("IDLE+MAINTENANCE", ""),
        ("IDLE+MAINT", ""),
        ("UNKNOWN", ""),
        ("IDLE+INVALID_REG", ""),
        ("IDLE+NOT_RESPONDING", ""),
        ("IDLE+DRAIN", "hetslurm: something that the ledger does not know #1234"),
    ],
)
def test_a_node_that_is_somebody_else_s_or_on_its_way_is_left_alone(state: str, reason: str) -> None:
    action = _one(_scene(node(state=state, reason=reason, reason_by="ann")))
    assert isinstance(action, Withhold)
    assert action.why


@pytest.mark.parametrize("soft", [{"is_hard": False}, {"counts": False}, {"is_hard": False, "factor": 0.0}])
def test_only_hard_findings_that_count_drain(soft: dict[str, object]) -> None:
    assert _one(_scene(node(), hard={"n1": [finding(**soft)]})) is None


def test_a_silent_node_is_not_drained() -> None:
    said = judgement(["n1"], {"n1": [finding()]}, silent=["n1"])
    assert _one(_scene(node(), judgement=said)) == Withhold(
        "n1", "no fresh report: what is silent is not drained"
    )


def test_a_node_that_slurm_does_not_show_is_not_drained() -> None:
    assert isinstance(_one(_scene(node("n2"))), Withhold)


def test_our_drain_is_taken_back_after_its_time_of_good_reports_and_not_before() -> None:
    ours = entry()
    for quiet, wanted in ((NOW - 60, Undrain), (NOW - 59, type(None))):
        scene = _scene(drained(ours), hard={}, entries=(ours,), quiet_since={"n1": quiet})
        assert isinstance(_one(scene), wanted)


def test_silence_never_takes_a_drain_back() -> None:
    ours = entry()
    assert _one(_scene(drained(ours), hard={}, entries=(ours,))) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"reason": "bad GPU, ticket 12"},
        {"reason": "hetslurm: gpu 0: 3 uncorrectable ECC errors #abce"},
        {"reason_at": NOW - 5},
        {"reason_by": "ann"},
    ],
)
def test_a_reason_that_an_admin_changed_hands_the_drain_over(changed: dict[str, object]) -> None:
    ours = entry()
    theirs = replace(drained(ours), **changed)  # type: ignore[arg-type]
    action = _one(_scene(theirs, hard={}, entries=(ours,), quiet_since={"n1": NOW - 9999}))
    assert isinstance(action, Settle)
    assert action.state is State.HANDED_OVER


def test_a_drain_that_was_handed_over_is_never_taken_back_nor_made_anew() -> None:
    theirs = entry(State.HANDED_OVER)
    for hard in ({}, {"n1": [finding()]}):
        scene = _scene(drained(theirs), hard=hard, entries=(theirs,), quiet_since={"n1": NOW - 9999})
        assert _one(scene) is None


@pytest.mark.parametrize(
    "state", ["DOWN+DRAIN", "IDLE+DRAIN+POWERED_DOWN", "IDLE+DRAIN+MAINT", "IDLE+DRAIN+REBOOT_REQUESTED"]
)
def test_a_node_is_not_undrained_while_it_is_down_or_in_transition(state: str) -> None:
    ours = entry()
    scene = _scene(drained(ours, state), hard={}, entries=(ours,), quiet_since={"n1": NOW - 9999})
    assert isinstance(_one(scene), Withhold)


def test_an_admin_s_resume_stands_and_pardons_what_he_saw() -> None:
    ours = entry()
    action = _one(
        _scene(
            node(),
            hard={"n1": [finding(), finding("xid")]},
            entries=(ours,),
            seen_at={"n1": NOW - 2},
            started_at=NOW - 86400,
        )
    )
    assert action == Settle(
        ours, State.RESUMED, "resumed by an admin", frozenset({"gpu/0/ecc", "gpu/0/xid"}), None
    )


def test_a_pardoned_finding_does_not_drain_again_and_a_new_one_does() -> None:
    pardon = entry(State.RESUMED, pardoned=frozenset({"gpu/0/ecc"}))
    assert _one(_scene(node(), entries=(pardon,))) is None
    action = _one(_scene(node(), hard={"n1": [finding(), finding("xid")]}, entries=(pardon,)))
    assert isinstance(action, Drain)
    assert action.findings == {"gpu/0/xid"}
    assert action.pardoned == {"gpu/0/ecc"}


def test_a_pardon_ends_when_the_finding_has_been_gone_for_long_enough() -> None:
    pardon = entry(State.RESUMED, pardoned=frozenset({"gpu/0/ecc"}))
    action = _one(_scene(node(), hard={}, entries=(pardon,), calm_since={"n1": NOW - 60}))
    assert isinstance(action, Settle)
    assert action.state is State.LAPSED
    assert _one(_scene(node(), hard={}, entries=(pardon,), calm_since={"n1": NOW - 59})) is None


def test_a_drain_that_vanished_unwatched_counts_as_an_admin_s_resume_for_a_while() -> None:
    ours = entry()
    action = _one(_scene(node(), entries=(ours,), started_at=NOW))
    assert isinstance(action, Settle)
    assert (action.state, action.pardon_until) == (State.RESUMED, NOW + DOUBT_S)
    pardon = replace(ours, state=State.RESUMED, pardoned=action.pardoned, pardon_until=NOW)
    over = _one(_scene(node(), hard={}, entries=(pardon,)))
    assert isinstance(over, Settle)
    assert over.state is State.LAPSED


@pytest.mark.parametrize("state", ["IDLE+POWERING_DOWN", "IDLE+POWERED_DOWN", "IDLE+POWERING_UP"])
@pytest.mark.parametrize("reason_stays", [True, False])
def test_a_drain_that_power_saving_dropped_is_noted_as_wiped(state: str, reason_stays: bool) -> None:
    ours = entry()
    asleep = node(state=state, reason=ours.reason if reason_stays else "")
    action = _one(_scene(asleep, entries=(ours,), seen_at={"n1": NOW - 2}))
    assert isinstance(action, Settle)
    assert action.state is State.WIPED


def test_a_wiped_drain_is_set_again_when_the_node_is_up_heard_and_still_fails() -> None:
    wiped = entry(State.WIPED)
    assert isinstance(_one(_scene(node(), entries=(wiped,))), Reassert)


def test_a_wiped_drain_waits_while_the_node_is_on_its_way_or_silent() -> None:
    wiped = entry(State.WIPED)
    assert isinstance(_one(_scene(node(state="IDLE+POWERING_UP"), entries=(wiped,))), Withhold)
    said = judgement(["n1"], {"n1": [finding()]}, silent=["n1"])
    assert isinstance(_one(_scene(node(), judgement=said, entries=(wiped,))), Withhold)


def test_a_wiped_drain_of_a_node_that_came_back_well_is_over() -> None:
    action = _one(_scene(node(), hard={}, entries=(entry(State.WIPED),)))
    assert isinstance(action, Settle)
    assert action.state is State.RELEASED


def test_an_admin_s_drain_after_a_wipe_is_the_admin_s() -> None:
    theirs = node(state="IDLE+DRAIN", reason="an admin's")
    action = _one(_scene(theirs, entries=(entry(State.WIPED),)))
    assert isinstance(action, Settle)
    assert action.state is State.HANDED_OVER


def test_a_drain_that_a_restart_of_slurmctld_lost_is_set_again() -> None:
    ours = entry()
    scene = _scene(node(), entries=(ours,), seen_at={"n1": NOW - 5}, started_at=NOW - 3)
    assert isinstance(_one(scene), Reassert)
    waiting = replace(scene, nodes={"n1": node(state="UNKNOWN")})
    assert isinstance(_one(waiting), Withhold)
    assert isinstance(_one(replace(scene, started_at=None)), Withhold)


def test_in_the_second_of_slurmctld_s_start_only_another_start_is_a_restart() -> None:
    ours = entry()
    scene = _scene(node(), entries=(ours,), seen_at={"n1": NOW + 0.5}, started_at=NOW, set_under={"n1": NOW})
    resumed = _one(scene)
    assert isinstance(resumed, Settle)
    assert resumed.state is State.RESUMED
    assert isinstance(_one(replace(scene, set_under={"n1": NOW - 9})), Reassert)


def test_a_release_that_a_restart_of_slurmctld_lost_is_ours_again() -> None:
    for state in (State.RELEASED, State.LAPSED, State.RESUMED):
        action = _one(_scene(drained(entry(state)), hard={}, entries=(entry(state),)))
        assert isinstance(action, Settle)
        assert action.state is State.DRAINED


@pytest.mark.parametrize(
    ("shown", "updates", "state"),
    [
        (drained(entry()), 8, State.DRAINED),
        (drained(entry()), 9, State.HANDED_OVER),
        (drained(entry()), 0, State.HANDED_OVER),
        (node(), 7, State.WITHDRAWN),
        (node(state="IDLE+DRAIN", reason="an admin's"), 8, State.HANDED_OVER),
        (drained(entry(), "IDLE+POWERED_DOWN"), 8, State.WIPED),
    ],
)
def test_an_intent_that_nobody_confirmed_is_put_right(shown: Node, updates: int, state: State) -> None:
    left = entry(State.INTENT, reason_at=None, reason_by="", updates_before=7)
    action = _one(_scene(shown, entries=(left,), updates=updates))
    assert isinstance(action, Settle)
    assert action.state is state


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        (drained(entry()), State.DRAINED),
        (node(), State.RELEASED),
        (node(state="IDLE+DRAIN", reason="an admin's"), State.HANDED_OVER),
    ],
)
def test_a_release_that_nobody_confirmed_is_put_right(shown: Node, state: State) -> None:
    action = _one(_scene(shown, hard={}, entries=(entry(State.RELEASING),)))
    assert isinstance(action, Settle)
    assert action.state is state


def test_a_node_that_slurm_stops_showing_is_kept_in_mind_for_long_and_then_forgotten() -> None:
    action = _one(_scene(node("n2"), hard={}, entries=(entry(),)))
    assert isinstance(action, Settle)
    assert action.state is State.WIPED
    old = entry(State.WIPED, changed_at=NOW - GONE_S - 1)
    gone = _one(_scene(node("n2"), hard={}, entries=(old,)))
    assert isinstance(gone, Settle)
    assert gone.state is State.GONE


def test_no_more_than_the_share_of_a_pool_is_drained_and_the_oldest_finding_goes_first() -> None:
    names = [f"n{i}" for i in range(1, 6)]
    hard = {name: [finding(since=NOW - i)] for i, name in enumerate(names)}
    scene = _scene(*(node(n) for n in names), hard=hard, pools=(pool(*names),))
    actions = plan_drains(scene)
    assert [a.node for a in actions if isinstance(a, Drain)] == ["n5", "n4"]
    assert len([a for a in actions if isinstance(a, Withhold)]) == 3


def test_one_node_of_even_the_smallest_pool_may_be_drained() -> None:
    assert isinstance(_one(_scene(node(), pools=(pool("n1"),))), Drain)


def test_drains_in_place_count_into_the_share_of_every_pool_of_a_node() -> None:
    ours = entry(name="n2")
    pools = (pool("n1", "n2", name="both"), pool("n1", "n3", "n4", name="wide"))
    scene = _scene(node("n1"), drained(ours), node("n3"), node("n4"), entries=(ours,), pools=pools)
    action = _one(scene)
    assert isinstance(action, Withhold)
    assert "pool both" in action.why


def test_nodes_of_no_pool_share_a_limit_too() -> None:
    names = [f"n{i}" for i in range(4)]
    scene = _scene(*(node(n) for n in names), hard={n: [finding()] for n in names})
    assert len([a for a in plan_drains(scene) if isinstance(a, Drain)]) == 2


def test_an_open_breaker_holds_every_new_drain_and_no_release() -> None:
    ours = entry(name="n2")
    scene = _scene(
        node("n1"),
        drained(ours),
        entries=(ours,),
        quiet_since={"n2": NOW - 9999},
        breaker=Breaker(NOW, frozenset({"n1"})),
    )
    actions = plan_drains(scene)
    assert [type(a) for a in actions] == [Undrain, Withhold]


def test_the_breaker_opens_on_a_burst_and_not_on_old_news() -> None:
    names = [f"n{i}" for i in range(6)]
    for since, is_open in ((NOW - 10, True), (NOW - 400, False)):
        scene = _scene(*(node(n) for n in names), hard={n: [finding(since=since)] for n in names[:4]})
        assert plan_breaker(Breaker(), scene).is_open is is_open


def test_two_nodes_that_fail_together_open_no_breaker_in_the_smallest_cluster() -> None:
    scene = _scene(node("n1"), node("n2"), hard={"n1": [finding()], "n2": [finding()]})
    assert not plan_breaker(Breaker(), scene).is_open


def test_nodes_that_the_ledger_has_known_for_long_are_no_burst_when_rules_start_anew() -> None:
    names = [f"n{i}" for i in range(6)]
    known = tuple(replace(entry(name=n), entry_id=i) for i, n in enumerate(names))
    scene = _scene(*(drained(e) for e in known), hard={n: [finding(since=NOW)] for n in names}, entries=known)
    assert not plan_breaker(Breaker(), scene).is_open


def test_an_open_breaker_waits_for_recovery_and_not_for_time() -> None:
    names = [f"n{i}" for i in range(8)]
    hard = {n: [finding()] for n in names[:6]}
    opened = plan_breaker(Breaker(), _scene(*(node(n) for n in names), hard=hard))
    assert opened.is_open
    later = replace(_scene(*(node(n) for n in names), hard=hard), now=NOW + 99_999)
    still = plan_breaker(opened, later)
    assert still == opened
    fewer = {n: [finding()] for n in names[:4]}
    assert not plan_breaker(still, _scene(*(node(n) for n in names), hard=fewer)).is_open


def test_an_admin_who_looked_closes_the_breaker_for_what_he_saw() -> None:
    names = [f"n{i}" for i in range(6)]
    hard = {n: [finding()] for n in names}
    scene = _scene(*(node(n) for n in names), hard=hard)
    opened = replace(plan_breaker(Breaker(), scene), looked_at=NOW)
    assert not plan_breaker(opened, scene).is_open


def test_quiet_begins_anew_after_a_silence() -> None:
    first = follow_quiet({}, ["a", "b"], ["b"], 10.0)
    assert first == {"a": 10.0}
    assert follow_quiet(first, ["a", "b"], [], 20.0) == {"a": 10.0, "b": 20.0}
    assert follow_quiet(follow_quiet(first, [], [], 20.0), ["a"], [], 30.0) == {"a": 30.0}


def test_a_reason_is_plain_bounded_and_tells_how_much_more_there_is() -> None:
    odd = 'gpu "0"\n[x]=é' + "y" * 500
    text = drain_text([finding(text=odd), finding("xid", NOW)])
    reason = drain_reason(text, "0a1b")
    assert reason.startswith("hetslurm: gpu 0 x yyy")
    assert reason.endswith(" (+1 more) #0a1b")
    assert reason.isascii()
    assert len(reason) < 200
    assert drain_text([finding(text="\n\u00e9")]) == "gpu/0/ecc"

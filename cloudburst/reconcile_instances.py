"""What becomes of one instance that the book holds for live. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hetslurm.cloudburst.ledger.values import Instance, InstanceState
from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.protocol import Seen, SeenState
from hetslurm.cloudburst.reconcile_values import (
    COMING_UP,
    GOING_DOWN,
    OURS,
    SLURMS_OWN,
    Action,
    Adopt,
    Cool,
    Fail,
    Launch,
    NodeDown,
    Settle,
    Sight,
    Terminate,
    Watch,
)
from hetslurm.cluster import Node

_ALIVE = frozenset({SeenState.PENDING, SeenState.RUNNING})
_BOOT_TIMEOUT_S = 600.0


def judge_instance(row: Instance, seen: Seen | None, sight: Sight, watch: Watch) -> Iterator[Action]:
    """The steps for one live row; `seen` is what its provider, which did answer, has for it."""
    match row.state:
        case InstanceState.INTENT:
            yield from _judge_intent(row, seen, sight, watch)
        case InstanceState.LAUNCHED:
            yield from _judge_launched(row, seen, sight, watch)
        case InstanceState.TERMINATING:
            yield from _judge_terminating(row, seen, sight, watch)
        case _:
            return


def _judge_intent(row: Instance, seen: Seen | None, sight: Sight, watch: Watch) -> Iterator[Action]:
    if sight.now - row.intended_at < sight.guard_s:
        return
    if seen is not None and seen.state in _ALIVE | {SeenState.ENDING}:
        yield Adopt(row, seen, "launched by somebody who could not write it down")
    elif seen is not None:
        ended_at = seen.ended_at if seen.ended_at is not None else sight.now
        yield Settle(row, ended_at, "launched, and ended before it was written down", seen)
    elif row.node in sight.busy:
        return
    elif sight.slurm is None:
        if sight.now > row.deadline_at:
            yield Fail(row, "not launched before its money ended")
    elif sight.now < row.deadline_at and _is_awaited(row.node, sight):
        if watch.is_due(f"launch {row.token}", sight.guard_s):
            yield Launch(row.node, "intended, not launched, and its node still powers up")
    elif row.purchase is None or watch.lasted(f"absent {row.token}") >= sight.guard_s:
        # What was ordered may be slow to show.
        yield Fail(row, "never launched, and nobody waits for it any more")


def _judge_launched(row: Instance, seen: Seen | None, sight: Sight, watch: Watch) -> Iterator[Action]:
    begun = row.launched_at if row.launched_at is not None else row.intended_at
    if sight.now - begun < sight.guard_s:
        return
    if seen is None:
        if watch.lasted(f"absent {row.token}") >= sight.guard_s:
            yield from _lost(row, sight.now, "its provider does not know it any more", sight)
    elif seen.state is SeenState.ENDED:
        ended_at = seen.ended_at if seen.ended_at is not None else sight.now
        yield from _lost(row, ended_at, "its provider says that it ended", sight, seen)
    elif seen.state in _ALIVE:
        yield from _judge_running(row, begun, sight, watch)


def _judge_running(row: Instance, begun: float, sight: Sight, watch: Watch) -> Iterator[Action]:
    node = sight.slurm.nodes.get(row.node) if sight.slurm is not None else None
    if sight.now > row.deadline_at:
        yield Terminate(row.provider, row.instance_id, row, "its money ended")
        if node is not None:
            yield NodeDown(row.node, f"{OURS}its money ended")
    elif sight.slurm is None:
        return
    elif node is None:
        yield Terminate(row.provider, row.instance_id, row, "Slurm knows no such node")
    else:
        yield from _judge_node_of(row, node, begun, sight, watch)


def _judge_node_of(row: Instance, node: Node, begun: float, sight: Sight, watch: Watch) -> Iterator[Action]:
    joined = f"joined {row.token}"
    is_up = node.is_usable and "POWERED_DOWN" not in node.state and not node.state & COMING_UP
    if is_up or watch.held_before(joined):
        watch.lasted(joined)
    if node.state & GOING_DOWN:
        return
    if "DOWN" in node.state or "NOT_RESPONDING" in node.state or node.state & COMING_UP:
        yield from _judge_silent(row, node, begun, sight, joined=watch.held_before(joined))
    elif "POWERED_DOWN" in node.state:
        yield Terminate(row.provider, row.instance_id, row, "Slurm has powered its node down")


def _judge_silent(row: Instance, node: Node, begun: float, sight: Sight, *, joined: bool) -> Iterator[Action]:
    """The instance runs, and Slurm has no slurmd of it (any more)."""
    pool = sight.policy.pool_of(row.partition)
    patience_s = pool.boot_timeout_s if pool is not None else _BOOT_TIMEOUT_S
    if sight.now - begun < patience_s and "POWERED_DOWN" not in node.state:
        return
    is_given_up = "DOWN" in node.state and (
        not node.reason or node.reason.startswith((OURS, *SLURMS_OWN)) or "POWERED_DOWN" in node.state
    )
    if joined:
        if is_given_up:
            yield Terminate(row.provider, row.instance_id, row, "its node died")
            yield NodeDown(row.node, f"{OURS}lost: its node died ({node.reason or 'no reason given'})")
    elif is_given_up or "NOT_RESPONDING" in node.state or node.state & COMING_UP:
        why = f"did not join the cluster within {patience_s:g} s of its launch"
        yield Terminate(row.provider, row.instance_id, row, why)
        yield Cool(row.partition, row.zone, row.purchase or Purchase.SPOT, "configuration", why)
        yield NodeDown(row.node, f"{OURS}boot: {row.instance_id} {why}")


def _judge_terminating(row: Instance, seen: Seen | None, sight: Sight, watch: Watch) -> Iterator[Action]:
    if seen is None:
        if not row.instance_id and sight.now - row.intended_at < sight.guard_s:
            return
        if watch.lasted(f"absent {row.token}") >= sight.guard_s:
            yield Settle(row, sight.now, "ended; its provider does not know it any more")
    elif seen.state is SeenState.ENDED:
        ended_at = seen.ended_at if seen.ended_at is not None else sight.now
        yield Settle(row, ended_at, row.why or "ended", seen)
    elif seen.state in _ALIVE and watch.is_due(f"terminate {row.token}", sight.guard_s / 6):
        yield Terminate(row.provider, seen.instance_id, row, row.why or "told to end, and still there")


def _lost(
    row: Instance, ended_at: float, why: str, sight: Sight, seen: Seen | None = None
) -> Iterator[Action]:
    node = sight.slurm.nodes.get(row.node) if sight.slurm is not None else None
    if node is not None and not node.state & GOING_DOWN and "POWERED_DOWN" not in node.state:
        yield NodeDown(row.node, f"{OURS}lost: {why}")
    yield Settle(row, ended_at, f"lost: {why}", seen)


def _is_awaited(name: str, sight: Sight) -> bool:
    """A node that Slurm is powering up for a job that has money."""
    node = sight.slurm.nodes.get(name) if sight.slurm is not None else None
    held = sight.reservation_of_node(name)
    if node is None or held is None or sight.is_over(held):
        return False
    return bool(node.state & COMING_UP) and "DOWN" not in node.state

"""What becomes of cloud nodes for which the book holds no live instance. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hetslurm.cloudburst.reconcile_values import (
    COMING_UP,
    GOING_DOWN,
    OURS,
    SLURMS_OWN,
    Action,
    Launch,
    NodeDown,
    PowerDown,
    Sight,
    Undrain,
    Watch,
)
from hetslurm.cluster import Node


def judge_nodes(sight: Sight, watch: Watch) -> Iterator[Action]:
    """Nodes that power up with nothing behind them, that run without an instance, that stay DOWN for us."""
    if sight.slurm is None:
        return
    live = {row.node for row in sight.instances}
    for name, node in sight.slurm.nodes.items():
        if name not in live and not node.state & GOING_DOWN:
            yield from _judge_node(node, sight, watch)


def _judge_node(node: Node, sight: Sight, watch: Watch) -> Iterator[Action]:
    ours = node.reason.startswith(OURS)
    if "DOWN" in node.state:
        # The reason stays long enough to be read.
        given_up = ours or not node.reason or node.reason.startswith(SLURMS_OWN)
        is_read = given_up and watch.lasted(f"down {node.name}") >= sight.guard_s
        if is_read and watch.is_due(f"power down {node.name}", sight.guard_s):
            yield PowerDown(node.name, f"it can be used again: {node.reason}")
    elif node.state & COMING_UP:
        yield from _judge_powering_up(node, sight, watch)
    elif "POWERED_DOWN" in node.state:
        if ours and "DRAIN" in node.state:
            yield Undrain(node.name, f"powered down: {node.reason}")
    elif watch.lasted(f"no instance {node.name}") >= sight.guard_s:
        yield NodeDown(node.name, f"{OURS}it runs, and no instance of ours stands behind it")


def _judge_powering_up(node: Node, sight: Sight, watch: Watch) -> Iterator[Action]:
    """Its ResumeProgram died before it wrote anything down, or refused and died before it said so."""
    if node.name in sight.busy or watch.lasted(f"awaited {node.name}") < sight.guard_s:
        return
    held = sight.reservation_of_node(node.name)
    if held is None or sight.is_over(held):
        yield NodeDown(node.name, f"{OURS}no money is set aside for this node")
    elif watch.is_due(f"launch {node.name}", sight.guard_s):
        yield Launch(node.name, "its node powers up, and nobody has begun to launch")

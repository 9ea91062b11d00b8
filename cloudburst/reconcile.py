"""Compares provider, Slurm and book, and says what is to be done so that they agree again. Pure.

Whatever crashed, and wherever, left one of the states that are named here; each look finishes it a step
further. Nothing is acted on that is younger than the guard: its author may still be at work.
"""

from __future__ import annotations

from collections.abc import Iterator

from hetslurm.cloudburst.ledger.values import Instance
from hetslurm.cloudburst.provider.protocol import Seen, SeenState
from hetslurm.cloudburst.reconcile_instances import judge_instance
from hetslurm.cloudburst.reconcile_jobs import judge_jobs, judge_reservations
from hetslurm.cloudburst.reconcile_nodes import judge_nodes
from hetslurm.cloudburst.reconcile_values import Action, Memory, Sight, Terminate, Watch

_ALIVE = frozenset({SeenState.PENDING, SeenState.RUNNING})


def reconcile(sight: Sight, before: Memory = Memory()) -> tuple[tuple[Action, ...], Memory]:  # noqa: B008
    """What to do, in this order, and what to remember for the next look."""
    watch = Watch(before, sight.now)
    actions = (
        *judge_orphans(sight),
        *_judge_instances(sight, watch),
        *judge_nodes(sight, watch),
        *judge_jobs(sight, watch),
        *judge_reservations(sight),
    )
    return actions, watch.memory()


def judge_orphans(sight: Sight) -> Iterator[Terminate]:
    """Instances with our tag that no live row of the book stands for, and twins of one that does."""
    rows = {(row.provider, row.token): row for row in sight.instances}
    for provider, found in sight.seen.items():
        for seen in found or ():
            if seen.state not in _ALIVE or sight.now - seen.launched_at < sight.guard_s:
                continue
            row = rows.get((provider, seen.token))
            if row is None:
                yield Terminate(provider, seen.instance_id, None, f"orphan: no live row for {seen.token}")
            elif row.instance_id and row.instance_id != seen.instance_id:
                yield Terminate(provider, seen.instance_id, None, f"twin of {row.instance_id}")


def _judge_instances(sight: Sight, watch: Watch) -> Iterator[Action]:
    for row in sight.instances:
        found = sight.seen.get(row.provider)
        if found is not None:
            yield from judge_instance(row, _match(row, found), sight, watch)


def _match(row: Instance, found: tuple[Seen, ...]) -> Seen | None:
    """What the provider has for a row; of twins the one that the book knows, else the one that lives."""
    ours = [seen for seen in found if seen.token == row.token]
    if row.instance_id:
        return next((seen for seen in ours if seen.instance_id == row.instance_id), None)
    return min(ours, key=lambda seen: (seen.state not in _ALIVE, seen.launched_at), default=None)

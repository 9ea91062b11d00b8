"""The reconciler's acts in the words of log and audit. Pure."""

from __future__ import annotations

from hetslurm.cloudburst.reconcile_values import (
    Action,
    Adopt,
    Cool,
    Evict,
    Fail,
    Launch,
    NodeDown,
    PowerDown,
    Settle,
    Start,
    Terminate,
    Undrain,
)


def name_of(action: Action) -> str:
    """`NodeDown` is node-down."""
    letters = (f"-{c.lower()}" if c.isupper() else c for c in type(action).__name__)
    return "".join(letters).strip("-")


def describe(action: Action) -> tuple[str, dict[str, object]]:
    """An act's name, and what it is about."""
    about: dict[str, object]
    match action:
        case Terminate(provider, instance_id, row):
            node = row.node if row is not None else None
            about = {"provider": provider, "instance": instance_id, "node": node}
        case Adopt(row, seen):
            about = {"node": row.node, "token": row.token, "instance": seen.instance_id}
        case Settle(row) | Fail(row):
            about = {"node": row.node, "token": row.token, "instance": row.instance_id}
        case Cool(partition, zone, purchase, trouble):
            about = {"partition": partition, "zone": zone, "purchase": purchase, "trouble": trouble}
        case Launch(node) | NodeDown(node) | PowerDown(node) | Undrain(node):
            about = {"node": node}
        case Evict(job) | Start(job):
            about = {"job_id": job.job_id}
        case _:
            reservation = action.reservation
            about = {"job_id": reservation.wanted.job_id, "reservation": reservation.res_id}
    return name_of(action), about

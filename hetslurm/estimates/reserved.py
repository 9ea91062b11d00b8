"""When reservations keep nodes from jobs that are not theirs. Pure.

Slurm starts no other job on a reserved node that could, by its limit, still run when the reservation begins.
A job is taken to be nobody's: who may use a reservation must ask for it, and then waits elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hetslurm.cluster import UNUSABLE, Cluster, Node, Reservation
from hetslurm.estimates.supply import HORIZON_S, Steps

# A node that only these keep from jobs is back when its reservation ends.
_RESERVED = frozenset({"MAINT", "MAINTENANCE", "RESERVED"})
_EVERY_S = {"HOURLY": 3600.0, "DAILY": 86400.0, "WEEKDAY": 86400.0, "WEEKEND": 86400.0, "WEEKLY": 604800.0}
# So many more times a reservation that repeats is expected.
_REPEATS = 14


class Window(NamedTuple):
    """From when to when (seconds from now) which share of a node is kept."""

    start_s: float
    end_s: float
    share: float


def windows_by_node(cluster: Cluster, now: float) -> dict[str, tuple[Window, ...]]:
    """The windows of every node that has any, by start. `now` is Unix seconds.

    One that repeats comes again, on any day where it might (WEEKDAY counts as DAILY).
    """
    cpus = {node.name: node.cpus for node in cluster.nodes}
    found: dict[str, list[Window]] = {}
    for reservation in cluster.reservations:
        windows = _windows(reservation, cpus, now)
        for name in reservation.node_names if windows else ():
            found.setdefault(name, []).extend(windows)
    return {name: tuple(sorted(windows)) for name, windows in found.items()}


def _windows(reservation: Reservation, cpus: Mapping[str, int], now: float) -> list[Window]:
    if reservation.flags & {"LICENSE_ONLY", "LIC_ONLY", "ANY_NODES"}:
        return []
    start, end = reservation.start_at - now, reservation.end_at - now
    there = sum(cpus.get(name, 0) for name in reservation.node_names)
    share = min(1.0, reservation.cpus / there) if reservation.cpus and there else 1.0
    every = min((_EVERY_S[flag] for flag in reservation.flags & _EVERY_S.keys()), default=0.0)
    shifts = [every * n for n in range(_REPEATS + 1)] if every else [0.0]
    return [
        Window(max(start + shift, 0.0), min(end + shift, HORIZON_S), share)
        for shift in shifts
        if end + shift > 0.0 and start + shift < HORIZON_S and start < end
    ]


def returns(node: Node, windows: Sequence[Window]) -> bool:
    """Nothing but a reservation that has an end keeps it from jobs now."""
    return (
        bool(node.state & _RESERVED)
        and node.state & UNUSABLE <= _RESERVED
        and any(window.start_s <= 0.0 for window in windows)
    )


def keep_free(steps: Steps, windows: Iterable[Window]) -> Steps:
    """What of a node's free units is left beside its windows; no longer rising."""
    windows = list(windows)
    full = steps[-1][1]
    times = {at for at, _ in steps} | {at for window in windows for at in (window.start_s, window.end_s)}
    left: list[tuple[float, float]] = []
    for at in sorted(times):
        free = next(units for since, units in reversed(steps) if since <= at)
        taken = full * min(1.0, sum(w.share for w in windows if w.start_s <= at < w.end_s))
        free = min(free, max(0.0, float(int(full - taken + 1e-6))))
        if not left or left[-1][1] != free:
            left.append((at, free))
    return tuple(left)

"""A move by its route, as the updates that make it, one request each. Pure."""

from __future__ import annotations

from dataclasses import replace

from hetslurm.rebinding.capability import Route, Way
from hetslurm.slurm.protocol import JobUpdate


def steps(update: JobUpdate, way: Way) -> tuple[JobUpdate, ...]:
    """The requests that carry out `update` by this way, in order; its `gres` gives way to the way's.

    Where there are two, the job is without GRES between them: hold it first, release it when the last is
    verified. ValueError when the way is closed.
    """
    match way.route:
        case None:
            raise ValueError(f"there is no way: {way.why}")
        case Route.PLAIN:
            return (replace(update, gres=None, clear_gres=False),)
        case Route.SET_GRES | Route.FILLER:
            return (replace(update, gres=way.gres, clear_gres=way.per_job),)
        case Route.DUMMY if way.gres:
            return JobUpdate(clear_gres=True), replace(update, gres=way.gres, clear_gres=False)
        case _:
            return (replace(update, gres=(), clear_gres=True),)

"""What binding a held job changes: what its author left open, and nothing else."""

from __future__ import annotations

import pytest

from hetslurm.cluster import Gres
from hetslurm.job import Request
from hetslurm.placement import Asked, Candidate
from hetslurm.slurm.binding import bind
from hetslurm.target import Target

GPU = Candidate(0, 0, "gpu:a100:1", "gpu", "gpu", "gpu", "a100", (), 1.0, 1.0, {})
REQUEST = Request((Target("gpu", "a100", 1, cpus=4, mem_mb=1024),))


@pytest.mark.parametrize(
    ("asked", "pins", "gres"),
    [
        ("", "", (Gres("gpu", "a100", 1),)),
        ("gres:gpu:2", "g", None),
        ("gres:lscratch:100", "g", (Gres("lscratch", "", 100), Gres("gpu", "a100", 1))),
    ],
)
def test_a_device_that_the_author_named_stays_and_scratch_stays_beside_ours(
    asked: str, pins: str, gres: tuple[Gres, ...] | None
) -> None:
    assert bind(REQUEST, Asked(uid=0, gres=asked), pins, GPU).gres == gres


def test_what_is_pinned_is_not_touched() -> None:
    update = bind(REQUEST, Asked(uid=0, cpus=2, mem_mb=10), "cmnkt", GPU)
    assert (update.cpus_per_task, update.cpus_per_node, update.tasks, update.nodes) == (
        None,
        None,
        None,
        None,
    )
    assert (update.mem_mb_per_node, update.time_limit_min) == (None, None)

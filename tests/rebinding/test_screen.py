"""One batch says which pending jobs are worth a closer look: it holds none back that would go."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from hetslurm.controller import rebind_screen

Make = Callable[..., Any]
CPU, GPU, FPGA = "target=cpu,cpus=16", "target=gpu:a100:1,cpus=8", "target=fpga:u250:1,cpus=4"


def random_jobs(seed: int, pending: Make) -> list[Any]:
    """Thirty jobs with two targets each, wherever their authors had them."""
    chance = random.Random(seed)
    jobs = []
    for job_id in range(1, 31):
        targets = [f"{target},time={chance.choice([10, 40, 200])}:00" for target in (CPU, GPU, FPGA)]
        chance.shuffle(targets)
        objective = chance.choice(["latency", "throughput"])
        deadline = chance.choice(["", ";deadline=+30m"])
        alt = chance.randrange(2)
        pool = targets[alt].split("=")[1].split(":")[0].split(",")[0]
        het = f"{targets[0]};{targets[1]};objective={objective}{deadline}"
        jobs.append(pending(job_id, het, alt=alt, pool=pool))
    return jobs


@pytest.mark.parametrize("seed", range(8))
def test_no_job_that_would_go_is_held_back(
    make_desk: Make, pending: Make, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    def moves(sift: Any = None) -> list[Any]:
        desk = make_desk(*random_jobs(seed, pending))
        if seed % 2:
            desk.drain("gpu")
        with monkeypatch.context() as patch:
            if sift:
                patch.setattr(rebind_screen.Screen, "sift", sift)
            desk.settle()
            assert desk.rebinder.report.looked_at == 30
        return [call for call in desk.slurm.calls if call[0] == "update"]

    sifted = moves()
    assert sifted
    assert sifted == moves(lambda screen, look, jobs: list(jobs))


def test_jobs_that_are_well_where_they_are_cost_no_closer_look(make_desk: Make, pending: Make) -> None:
    het = f"{CPU},time=10:00;{GPU},time=40:00"
    desk = make_desk(*(pending(n, het) for n in (1, 2, 3)))
    report = desk.settle()
    assert (report.looked_at, report.stays) == (3, {rebind_screen.NOWHERE_BETTER: 3})

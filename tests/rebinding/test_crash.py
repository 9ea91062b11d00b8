"""A controller that dies at any step of a move, before or after its effect, leaves every job whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.errors import HetslurmError, SlurmError, SlurmUnavailable
from hetslurm.slurm.rebound import NEVER_RUNS

Make = Callable[..., Any]
STEPS = frozenset(
    {"hold", "update_job", "release", "read_job", "read_task", "intend", "done", "forget", "call_bad"}
)


class Died(BaseException):
    """The process is gone."""


class Fate:
    """Ends the `at`-th step of all, before or after its effect; 0: never."""

    def __init__(self, at: int, *, after: bool, error: BaseException | None = None) -> None:
        self.at, self.after, self.count = at, after, 0
        self.error = error or Died()

    def over(self, thing: Any) -> Any:
        """The thing, with this fate over its steps."""
        return _Doomed(thing, self)


class _Doomed:
    def __init__(self, thing: Any, fate: Fate) -> None:
        self._thing, self._fate = thing, fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name not in STEPS:
            return found

        def step(*arguments: Any, **options: Any) -> Any:
            fate = self._fate
            fate.count += 1
            mine = fate.count == fate.at
            if mine and not fate.after:
                raise fate.error
            result = found(*arguments, **options)
            if mine:
                raise fate.error
            return result

        return step


def scene_of(name: str, make_desk: Make, pending: Make) -> Any:
    """A desk whose next cycle moves (or repairs) jobs."""
    gpu = {"pool": "gpu", "alt": 1, "cpus": 8, "time_limit_min": 30}
    if name == "array":
        desk = make_desk(pending(10, array_job_id=10, array_task="1-2", tasks=2))
    elif name == "back to cpu":
        desk = make_desk(pending(1, **gpu), version=(26, 5, 5))
    else:
        desk = make_desk(pending(1), pending(2), version=(26, 5, 5))
    desk.drain("gpu" if name == "back to cpu" else "cpu")
    if name == "repair":
        desk.settle()
        for job in desk.slurm.cluster.jobs:
            desk.slurm.put(replace(job, priority=0, reason="BadConstraints"))
    return desk


def check_whole(desk: Any, tasks: int) -> None:
    """Every job waits, is released, and asks for what its record says."""
    jobs = desk.slurm.cluster.jobs
    assert sum(job.tasks for job in jobs) == tasks
    for job in jobs:
        record = desk.record(job.job_id)
        assert (job.state, job.priority > 0) == ("PENDING", True)
        assert job.partition == record["partition"]
        assert [gres.name for gres in job.gres] == ([record["kind"]] if record["kind"] != "cpu" else [])
        assert job.cpus == (16 if record["kind"] == "cpu" else 8)
        assert job.reason not in NEVER_RUNS or not desk.ledger.unfinished()
    assert desk.ledger.unfinished() == []


def die(desk: Any, fate: Fate) -> bool:
    """A cycle under this fate; True: it was cut off."""
    desk.open(fate.over(desk.slurm), fate.over)
    try:
        desk.settle()
    except (Died, SlurmError, HetslurmError):
        return True
    return fate.count >= fate.at


@pytest.mark.parametrize("scene", ["to gpu", "back to cpu", "array", "repair"])
@pytest.mark.parametrize("error", [None, SlurmUnavailable("no answer"), HetslurmError("the disk is full")])
def test_a_crash_at_any_step_leaves_every_job_whole(
    make_desk: Make, pending: Make, scene: str, error: Exception | None
) -> None:
    at = 0
    while True:
        at += 1
        struck = False
        for after in (False, True):
            desk = scene_of(scene, make_desk, pending)
            tasks = sum(job.tasks for job in desk.slurm.cluster.jobs)
            fate = Fate(at, after=after, error=error)
            if not die(desk, fate) and fate.count < at:
                continue
            struck = True
            desk.open()
            desk.cycle()
            check_whole(desk, tasks)
            desk.clock.advance(120)
            desk.cycle()
            check_whole(desk, tasks)
            there = "cpu" if scene in ("back to cpu", "repair") else "gpu"
            assert {job.partition for job in desk.slurm.cluster.jobs} == {there}
        if not struck:
            break
    assert at > 5


def test_a_crash_of_the_recovery_is_recovered_from_too(make_desk: Make, pending: Make) -> None:
    for first in (2, 3, 4, 6):
        for second in (1, 2, 3):
            desk = scene_of("to gpu", make_desk, pending)
            die(desk, Fate(first, after=True))
            die(desk, Fate(second, after=True))
            desk.open()
            desk.cycle()
            desk.clock.advance(120)
            desk.cycle()
            check_whole(desk, 2)
            assert {job.partition for job in desk.slurm.cluster.jobs} == {"gpu"}

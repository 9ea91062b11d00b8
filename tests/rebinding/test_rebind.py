"""Pending jobs go where they are done sooner, by moves that their Slurm can make; nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.cluster import Gres
from hetslurm.errors import SlurmUnavailable

Make = Callable[..., Any]


class Instead:
    """A Slurm, but for what a subclass does instead."""

    def __init__(self, slurm: Any) -> None:
        self.slurm = slurm

    def __getattr__(self, name: str) -> Any:
        return getattr(self.slurm, name)


def test_a_job_leaves_a_drained_pool_and_asks_for_what_its_other_target_needs(
    make_desk: Make, pending: Make
) -> None:
    desk = make_desk(pending(1))
    desk.drain("cpu")
    assert desk.settle().moved == 1
    job, record = desk.job(1), desk.record(1)
    assert (job.partition, job.gres, job.cpus) == ("gpu", (Gres("gpu", "a100", 1),), 8)
    assert (job.mem_mb_per_node, job.time_limit_min) == (8192, 30)
    assert (record["state"], record["pool"], record["kind"], record["alt"]) == ("placed", "gpu", "gpu", 1)
    assert (record["by"], record["moves"], record["gen"]) == ("controller", 1, 7)
    assert desk.whats() == ["moved"]
    assert "on cpu in" in desk.kept.events[0].why


def test_a_pool_that_has_just_gone_may_come_back(make_desk: Make, pending: Make) -> None:
    desk = make_desk(pending(1))
    desk.drain("cpu")
    assert desk.cycle().moved == 0
    desk.clock.advance(3)
    assert desk.cycle().moved == 0


def test_a_job_that_is_well_where_it_is_stays(make_desk: Make, pending: Make) -> None:
    desk = make_desk(pending(1, pool="gpu", alt=1, cpus=8, time_limit_min=30))
    desk.settle()
    assert desk.slurm.calls == []
    assert desk.rebinder.report.stays


@pytest.mark.parametrize(
    "change",
    [
        {"state": "RUNNING"},
        {"priority": 0, "reason": "JobHeldUser"},
        {"priority": 0, "reason": "JobHeldAdmin"},
        {"pins": "p"},
        {"reason": "Dependency"},
        {"reason": "QOSMaxJobsPerUserLimit"},
        {"partition": "fpga"},
        {"admin_comment": "somebody's"},
        {"het_offset": 0},
    ],
)
def test_a_job_that_is_not_ours_to_move_is_never_touched(
    make_desk: Make, pending: Make, change: dict[str, Any]
) -> None:
    desk = make_desk(pending(1, **change))
    desk.drain("cpu")
    desk.settle()
    assert desk.slurm.calls == []


def test_a_job_that_ran_before_is_left_alone(make_desk: Make, pending: Make) -> None:
    desk = make_desk(pending(1))
    desk.slurm.restarts[1] = 1
    desk.drain("cpu")
    desk.settle()
    desk.settle()
    assert desk.slurm.calls == []


def test_advice_changes_nothing_and_is_given_once(make_desk: Make, pending: Make) -> None:
    desk = make_desk(pending(1))
    desk.site = replace(desk.site, rebind=replace(desk.site.rebind, mode="advise"))
    desk.drain("cpu")
    assert desk.settle().advised == 1
    assert desk.settle().advised == 0
    assert desk.slurm.calls == []
    assert desk.whats() == ["advised"]


def test_off_is_off(make_desk: Make, pending: Make) -> None:
    desk = make_desk(pending(1))
    desk.site = replace(desk.site, rebind=replace(desk.site.rebind, mode="off"))
    desk.drain("cpu")
    desk.settle()
    assert (desk.slurm.calls, desk.whats()) == ([], [])


def test_a_move_that_this_release_cannot_make_is_never_tried(make_desk: Make, pending: Make) -> None:
    jobs = [pending(1, pool="gpu", alt=1, cpus=8, time_limit_min=30)]
    desk = make_desk(*jobs, version=(22, 5, 8))
    desk.drain("gpu")
    desk.settle()
    assert desk.slurm.calls == []
    newest = make_desk(*jobs, version=(26, 5, 5))
    newest.drain("gpu")
    assert newest.settle().moved == 1
    job = newest.job(1)
    assert (job.partition, job.gres, job.cpus, job.time_limit_min) == ("cpu", (), 16, 60)


def test_the_best_placement_that_can_be_reached_is_taken_where_the_best_cannot(
    make_desk: Make, pending: Make
) -> None:
    het = "target=fpga:u250:1,cpus=4,time=10:00;target=gpu:a100:1,cpus=8,time=30:00;target=cpu,cpus=16"
    desk = make_desk(pending(1, het, pool="gpu", alt=1, cpus=8, time_limit_min=30), version=(24, 11, 5))
    desk.drain("gpu", "fpga")
    desk.settle()
    assert desk.slurm.calls == []
    desk.drain("fpga", state=frozenset({"IDLE"}))
    desk.settle()
    assert desk.job(1).partition == "fpga"


def test_an_array_moves_by_task_until_nothing_is_gained(make_desk: Make, pending: Make) -> None:
    array = pending(10, array_job_id=10, array_task="1-8", tasks=8)
    desk = make_desk(array)
    desk.drain("cpu2", "cpu3", "cpu4")
    desk.settle()
    went = [job for job in desk.slurm.cluster.jobs if job.partition == "gpu"]
    left = desk.job(10)
    assert 0 < len(went) < 8
    assert [job.array_task for job in went] == [str(n) for n in range(1, len(went) + 1)]
    assert left.tasks == 8 - len(went)
    assert left.partition == "cpu"
    assert {event.task for event in desk.kept.events} == {job.array_task for job in went}


def test_a_hundred_jobs_do_not_all_go_to_the_pool_that_is_new(make_desk: Make, pending: Make) -> None:
    desk = make_desk(*(pending(i) for i in range(1, 101)))
    desk.site = replace(desk.site, rebind=replace(desk.site.rebind, moves_per_minute=1e5))
    desk.settle()
    moved = sum(job.partition == "gpu" for job in desk.slurm.cluster.jobs)
    # Two GPUs that take half an hour a job, beside four nodes that take an hour: half of them.
    assert 40 <= moved <= 57
    before = len(desk.slurm.calls)
    for _ in range(5):
        desk.settle(60)
    assert len(desk.slurm.calls) - before <= 4, "it swings"


def test_no_more_move_than_the_rate_allows_over_restarts_too(make_desk: Make, pending: Make) -> None:
    desk = make_desk(*(pending(i) for i in range(1, 30)))
    desk.site = replace(desk.site, rebind=replace(desk.site.rebind, moves_per_minute=5.0))
    desk.drain("cpu")
    desk.cycle()
    desk.clock.advance(12)
    assert desk.cycle().moved == 5
    desk.open()
    desk.cycle()
    desk.clock.advance(11)
    assert desk.cycle().moved == 0
    desk.clock.advance(49)
    assert 4 <= desk.cycle().moved <= 5


def test_a_job_that_began_meanwhile_is_left_as_it_is(make_desk: Make, pending: Make) -> None:
    desk = make_desk(pending(1))
    desk.drain("cpu")

    class Begins(Instead):
        def update_job(self, job_id: int, *arguments: Any, **options: Any) -> None:
            slurm = self.slurm
            slurm.put(replace(slurm.read_job(job_id).job, state="RUNNING"))
            slurm.update_job(job_id, *arguments, **options)

    desk.open(Begins(desk.slurm))
    desk.settle()
    assert desk.updates() == []
    assert desk.job(1).partition == "cpu"
    assert desk.whats() == ["not_moved"]


def test_a_job_that_slurm_cannot_run_after_a_move_goes_back_and_is_never_sent_there_again(
    make_desk: Make, pending: Make
) -> None:
    desk = make_desk(pending(1), version=(26, 5, 5))
    desk.drain("cpu")
    desk.settle()
    assert desk.job(1).partition == "gpu"
    desk.slurm.put(replace(desk.job(1), priority=0, reason="BadConstraints"))
    desk.clock.advance(2)
    assert desk.cycle().repaired == 1
    job = desk.job(1)
    assert (job.partition, job.gres, job.cpus, job.priority) == ("cpu", (), 16, 1)
    assert desk.whats() == ["moved", "repaired"]
    desk.settle()
    desk.open()
    desk.settle()
    assert desk.job(1).partition == "cpu"


def test_slurm_that_is_away_ends_the_cycle_and_the_next_one_goes_on(make_desk: Make, pending: Make) -> None:
    desk = make_desk(*(pending(i) for i in range(1, 4)))
    desk.drain("cpu")

    class Away(Instead):
        def update_job(self, *_: Any, **__: Any) -> None:
            raise SlurmUnavailable("Unable to contact slurm controller")

    desk.open(Away(desk.slurm))
    with pytest.raises(SlurmUnavailable):
        desk.settle()
    desk.open()
    assert desk.settle().moved >= 2

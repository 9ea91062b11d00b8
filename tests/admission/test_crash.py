"""A controller that dies at any step of a move, before or after it took effect, loses no job and no money."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.burst.move import UNDER_WAY
from hetslurm.cloudburst.policy import Cap, Level, Period
from hetslurm.cloudburst.worst_case import worst_case
from hetslurm.errors import LedgerError, SlurmUnavailable

Make = Callable[..., Any]
ALLOW = "target=cpu,cpus=16,time=1:00:00;preemptible=yes;burst=allow"
STEPS = frozenset({"hold", "update_job", "release", "reserve", "note"})
ASKED = frozenset({"hold", "update_job", "release", "read_job"})
WRITTEN = frozenset({"reserve", "note", "release"})


class Died(BaseException):
    """The process is gone."""


class Fate:
    """Kills at the `at`-th step of all, before or after its effect; 0: never."""

    def __init__(self, at: int, *, after: bool, error: BaseException | None = None) -> None:
        self.at, self.after, self.count = at, after, 0
        self.error = error or Died()

    def over(self, thing: Any, steps: frozenset[str] = STEPS) -> Any:
        """The thing, with this fate over its steps."""
        return _Doomed(thing, self, steps)


class _Doomed:
    def __init__(self, thing: Any, fate: Fate, steps: frozenset[str]) -> None:
        object.__setattr__(self, "_thing", thing)
        object.__setattr__(self, "_fate", fate)
        object.__setattr__(self, "_steps", steps)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._thing, name, value)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name not in self._steps:
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


def run_until_death(desk: Any, fate: Fate, act: Callable[[Any], object]) -> bool:
    """A controller under this fate; True: it died."""
    desk.open(slurm=fate.over(desk.slurm), book=fate.over(desk.book))
    try:
        act(desk)
    except Died:
        return True
    finally:
        check_no_free_ride(desk)
    return False


def check_no_free_ride(desk: Any) -> None:
    """At every instant: what can start on a cloud node has its money, and no cap is broken."""
    open_ones = {r.res_id: r for r in desk.book.open_reservations()}
    for job in desk.slurm.cluster.jobs:
        if job.partition in desk.policy.partitions and job.priority > 0:
            money = open_ones[desk.record(job.job_id)["res"]]
            assert set(money.wanted.node_names) == set(desk.slurm.required[job.job_id])
    for usage in desk.book.usage():
        assert usage.used_micro <= usage.cap.limit_micro


def check_whole(desk: Any, before: Any, *, only: bool) -> None:
    """Either it is in the cloud with its money, or as it was without."""
    job, reservations = desk.job(1), desk.book.open_reservations()
    assert desk.book.read_note(UNDER_WAY) == ""
    if job.partition in desk.policy.partitions and job.priority > 0:
        (money,) = reservations
        assert desk.record(1)["res"] == money.res_id
        assert money.amount_micro == worst_of(desk)
        return
    assert reservations == ()
    assert desk.reserved() == 0
    if only:
        assert (job.priority, job.reason, desk.record(1)["state"]) == (0, "JobHeldUser", "held")
    else:
        assert job == before


def worst_of(desk: Any) -> int:
    """What one job of an hour reserves."""
    return worst_case(desk.policy.pools[0], desk.policy.retry, nodes=1, limit_s=3600).total_micro


def leave(desk: Any) -> None:
    """The move out."""
    desk.step()


def leave_and_return(desk: Any) -> None:
    """Out, and home again."""
    desk.step()
    for reservation in desk.book.open_reservations():
        desk.spiller.mover.return_home(reservation, "a test")


def fates(desk_of: Callable[[], Any], act: Callable[[Any], object]) -> Iterator[tuple[Any, Fate]]:
    """Every step of an act, before and after its effect, each on a desk of its own."""
    at = 1
    while True:
        died = False
        for after in (False, True):
            desk, fate = desk_of(), Fate(at, after=after)
            if run_until_death(desk, fate, act):
                died = True
                yield desk, fate
        if not died:
            assert at > 6, "an act of so few steps is none of ours"
            return
        at += 1


@pytest.mark.parametrize("act", [leave, leave_and_return])
@pytest.mark.parametrize("only", [False, True])
def test_a_crash_at_any_step_leaves_the_job_and_its_money_whole(
    make_desk: Make, make_job: Make, make_only: Make, act: Callable[[Any], object], only: bool
) -> None:
    job = make_only(1) if only else make_job(1, ALLOW)
    count = 0
    for desk, _ in fates(lambda: tight_desk(make_desk, job), act):
        desk.open()
        desk.step()
        check_no_free_ride(desk)
        desk.clock.advance(60)
        desk.step()
        check_no_free_ride(desk)
        check_whole(desk, job, only=only)
        assert desk.job(1).partition == "cloud", "nothing stands in its way, and it did not go"
        count += 1
    assert count >= 12


@pytest.mark.parametrize("only", [False, True])
def test_a_crash_of_the_recovery_is_recovered_from_too(
    make_desk: Make, make_job: Make, make_only: Make, only: bool
) -> None:
    job = make_only(1) if only else make_job(1, ALLOW)
    for first in range(1, 20):
        for second in range(1, 6):
            desk = tight_desk(make_desk, job)
            if not run_until_death(desk, Fate(first, after=True), leave_and_return):
                return
            died = run_until_death(desk, Fate(second, after=True), leave)
            desk.open()
            desk.step()
            desk.clock.advance(60)
            desk.step()
            check_no_free_ride(desk)
            check_whole(desk, job, only=only)
            if not died:
                break


def test_a_crash_before_a_job_is_moved_frees_its_money_when_the_cloud_is_shut(
    make_desk: Make, make_job: Make
) -> None:
    job = make_job(1, ALLOW)
    for desk, _ in fates(lambda: tight_desk(make_desk, job), leave):
        desk.price_micro = 0
        desk.open()
        desk.step()
        desk.step()
        check_whole(desk, job, only=False)
        assert desk.job(1).partition == "cpu"


@pytest.mark.parametrize("error", [SlurmUnavailable("no answer"), LedgerError("the disk is full")])
@pytest.mark.parametrize("only", [False, True])
def test_an_answer_that_is_lost_or_a_full_disk_at_any_step_is_survived(
    make_desk: Make, make_job: Make, make_only: Make, error: Exception, only: bool
) -> None:
    job = make_only(1) if only else make_job(1, ALLOW)
    for at in range(1, 200):
        for after in (False, True):
            desk, fate = tight_desk(make_desk, job), Fate(at, after=after, error=error)
            ours = isinstance(error, SlurmUnavailable)
            slurm = fate.over(desk.slurm, ASKED) if ours else desk.slurm
            desk.open(slurm=slurm, book=desk.book if ours else fate.over(desk.book, WRITTEN))
            for _ in range(2):
                with suppress(SlurmUnavailable, LedgerError):
                    leave_and_return(desk)
                check_no_free_ride(desk)
                desk.clock.advance(60)
            if fate.count < at:
                return
            desk.step()
            desk.clock.advance(60)
            desk.step()
            check_no_free_ride(desk)
            check_whole(desk, job, only=only)
            assert desk.job(1).partition == "cloud"
    pytest.fail("it has no end")


def tight_desk(make_desk: Make, job: Any) -> Any:
    """Money for one job and not a unit more: what leaks once is missing afterwards."""
    desk = make_desk(job)
    desk.policy = replace(desk.policy, caps=(Cap(Level.SITE, "", Period.DAY, worst_of(desk)),))
    return desk

"""A program that dies at any of its steps, before or after its effect, loses no money and no instance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hetslurm.burst.reconcile_acts import Acts
from hetslurm.burst.reconciler import Reconciler
from hetslurm.burst.resume import resume
from hetslurm.burst.resume_fail import resume_fail
from hetslurm.burst.suspend import suspend
from hetslurm.cloudburst.ledger.values import InstanceState

from .desk import Desk

NODES = ("cloud1", "cloud2")
STEPS = frozenset(
    {"intend", "ordered", "launched", "terminating", "failed", "ended", "cool", "note"}
    | {"launch", "terminate", "seen", "quotes"}
    | {"node_down", "power_down", "set_node_address"}
)


class Died(BaseException):
    """The process is gone."""


class Fate:
    """Kills at the `at`-th step, before or after its effect."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at, self.after, self.count = at, after, 0

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
            if fate.count == fate.at and not fate.after:
                raise Died
            result = found(*arguments, **options)
            if fate.count == fate.at:
                raise Died
            return result

        return step


class Nobody:
    """Writes nothing down, and takes no job home."""

    def note(self, *_: object, **__: object) -> None: ...

    def return_home(self, *_: object, **__: object) -> None: ...


def _run(desk: Desk, program: Any, fate: Fate) -> bool:
    """A run under this fate; True: it died."""
    try:
        program(desk.power(fate.over))
    except Died:
        return True
    finally:
        desk.check()
    return False


def _resume(power: Any) -> None:
    resume(power, ("cloud1", "cloud2", "cloud3"), None)


def _suspend(power: Any) -> None:
    suspend(power, NODES)


def _fail(power: Any) -> None:
    resume_fail(power, NODES)


# How many steps each takes here; `test_every_step_is_tried` holds them to it.
PROGRAMS = {_resume: 11, _suspend: 11, _fail: 17}
DEATHS = [
    (program, at, after)
    for program, steps in PROGRAMS.items()
    for at in range(1, steps + 1)
    for after in (False, True)
]


@pytest.mark.parametrize(("at", "after"), [death[1:] for death in DEATHS if death[0] is _resume])
def test_resume_that_died_is_done_by_the_next_run_and_starts_nothing_twice(
    quick_path: Path, at: int, after: bool
) -> None:
    desk = Desk(quick_path)
    desk.money(*NODES)
    _run(desk, _resume, Fate(at, after=after))

    result = resume(desk.power(), ("cloud1", "cloud2", "cloud3"), None)

    desk.check()
    assert sorted(result.started) == list(NODES)
    assert sorted(seen.node for seen in desk.cloud.alive()) == list(NODES)
    assert "POWERING_DOWN" in desk.state("cloud3")
    desk.book.close()


@pytest.mark.parametrize(("program", "at", "after"), DEATHS)
def test_nothing_runs_90_s_after_a_death_when_nobody_wants_it_and_all_is_paid(
    quick_path: Path, program: Any, at: int, after: bool
) -> None:
    desk = Desk(quick_path)
    reservation = desk.money(*NODES)
    if program is not _resume:
        resume(desk.power(), NODES, None)
        desk.clock.advance(120)
    _run(desk, program, Fate(at, after=after))
    desk.all_down()

    reconciler = Reconciler(Acts(desk.power(), homeward=Nobody(), audit=Nobody()))
    for _ in range(15):
        desk.clock.advance(6)
        reconciler.look(desk.slurm.read_cluster())
        desk.check()
    assert not desk.cloud.alive()
    for _ in range(6):
        desk.clock.advance(30)
        reconciler.look(desk.slurm.read_cluster())
    assert not desk.book.instances()
    paid = [i.cost_micro for i in desk.book.instances(live=False) if i.state is InstanceState.ENDED]
    assert desk.book.reservation(reservation.res_id).spent_micro == sum(paid)
    assert sum(paid) >= desk.cloud.spent_micro(60)
    desk.book.close()


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_step_is_tried(quick_path: Path, program: Any) -> None:
    desk = Desk(quick_path)
    desk.money(*NODES)
    if program is not _resume:
        resume(desk.power(), NODES, None)
    fate = Fate(0, after=False)
    _run(desk, program, fate)
    assert fate.count == PROGRAMS[program]
    desk.book.close()

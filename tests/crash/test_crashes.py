"""A process that dies after any step leaves nothing that the others do not make good.

Every call that changes the book, Slurm or the cloud is a step. The state after a step is the state before the
next one, so that a death on either side of every effect is tried. At every step no cap is broken; in the end
the ledger is sound, each instance was paid, none runs, none was launched twice, and the job was run.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .scenarios import SCENARIOS, Scenario
from .story import Story

Tell = Callable[..., Story]
_TWICE = [s for s in SCENARIOS if s.name in ("interrupted", "never boots")]


@pytest.fixture
def tell(state_dir: Path) -> Iterator[Tell]:
    """`tell(scenario, crash_at)`: a story in a state folder of its own."""
    told: list[Story] = []

    def make(scenario: Scenario, crash_at: tuple[int, ...] = ()) -> Story:
        for old in told:
            old.close()
        folder = state_dir / str(len(told))
        folder.mkdir(mode=0o700)
        told.append(Story(scenario, folder, crash_at))
        return told[-1]

    yield make
    for story in told:
        story.close()


def steps_of(story: Story) -> list[int]:
    """The numbers of the steps that do something; a heartbeat a cycle is one like the other."""
    story.play()
    beats = [n for n, what in enumerate(story.steps, 1) if what == "book.beat"]
    return [n for n in range(1, len(story.steps) + 1) if n not in beats[1:]]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_a_death_after_any_step_is_made_good(scenario: Scenario, tell: Tell) -> None:
    for step in steps_of(tell(scenario)):
        tell(scenario, (step,)).play()


@pytest.mark.parametrize("scenario", _TWICE, ids=str)
def test_who_makes_it_good_may_die_too(scenario: Scenario, tell: Tell) -> None:
    for step in steps_of(tell(scenario)):
        tell(scenario, (step, step + 1, step + 4)).play()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_all_processes_killed_at_once_by_sigkill_are_made_good(scenario: Scenario, tell: Tell) -> None:
    steps = steps_of(tell(scenario))
    for step in steps if scenario.name == "plain" else steps[:: max(1, len(steps) // 5)]:
        story = tell(scenario)
        kept = story.state_dir / "world"
        kill_after(story, step, kept)
        story.go_on_from(kept.read_bytes())
        story.play()


def kill_after(story: Story, step: int, kept: Path) -> None:
    """Play in a child that a real SIGKILL ends after that step; the world, as it was then, is kept."""

    def die(told: Story) -> None:
        if len(told.steps) == step:
            kept.write_bytes(told.keep())
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            story.on_step = die
            story.play()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"step {step} of {story.scenario} never came"
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_without_any_of_ours_every_instance_ends_when_its_money_does(scenario: Scenario, tell: Tell) -> None:
    for step in [n for n, what in enumerate(_played(tell(scenario)).steps, 1) if what == "cloud.launch"]:
        story = tell(scenario, (step,))
        story.play_until(lambda: len(story.steps) >= step)  # noqa: B023
        story.actors.close()
        for _ in range(300):
            story.world.programs.clear()
            story.world.tick(5.0)
        assert story.world.cloud.alive() == ()
        assert story.world.cloud.spent_micro(60.0) <= story.world.policy.caps[0].limit_micro
        story.world.slurm.now = story.world.clock.now()
        story.play_until(lambda: not story.book.instances())  # noqa: B023
        assert story.book.verify() == ()


def _played(story: Story) -> Story:
    story.play()
    return story

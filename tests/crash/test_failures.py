"""What a cloud may refuse: a clear reason on the node, the job requeued or home again, the money right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.protocol import Trouble
from hetslurm.cluster import QueuedJob

from .scenarios import Scenario
from .story import Story
from .world import World, job

TOO_DEAR = {Purchase.SPOT: 2_000_000, Purchase.ON_DEMAND: 3_000_000}


Tell = Callable[[Callable[[World], None]], Story]


@pytest.fixture
def tell(state_dir: Path) -> Iterator[Tell]:
    """`tell(begin)`: one waiting job, and a cloud as `begin` makes it."""
    told: list[Story] = []

    def make(begin: Callable[[World], None]) -> Story:
        def with_job(world: World) -> None:
            world.submit(job(7, 150))
            begin(world)

        told.append(Story(Scenario("failure", with_job), state_dir))
        return told[-1]

    yield make
    for story in told:
        story.close()


def is_home(story: Story) -> bool:
    """The job waits on-premises, free to start, and no money is held for it."""
    one = next(j for j in story.world.slurm.cluster.jobs if j.job_id == 7)
    waits = (one.state, one.partition, one.priority > 0) == ("PENDING", "cpu", True)
    return waits and not story.book.open_reservations() and not story.book.instances()


def spent(story: Story) -> int:
    """By all reservations."""
    return sum(r.spent_micro for r in story.book.reservations())


def fail_at_launch(trouble: Trouble) -> Callable[[World], None]:
    """Every zone answers so."""

    def begin(world: World) -> None:
        world.cloud.troubles["*"] = trouble

    return begin


@pytest.mark.parametrize("trouble", [Trouble.CAPACITY, Trouble.QUOTA, Trouble.CONFIGURATION, Trouble.PRICE])
def test_what_cannot_be_had_sends_the_job_home_with_its_money(trouble: Trouble, tell: Tell) -> None:
    story = tell(fail_at_launch(trouble))
    story.play_until(lambda: bool(story.reasons) and is_home(story))
    assert story.reasons[0].startswith(f"hetslurm: {trouble}: ")
    assert story.world.cloud.launches == {}
    assert spent(story) == 0
    assert story.book.verify() == ()


@pytest.mark.parametrize("trouble", [Trouble.CAPACITY, Trouble.QUOTA, Trouble.CONFIGURATION, Trouble.PRICE])
def test_it_is_tried_again_when_the_offering_has_rested(trouble: Trouble, tell: Tell) -> None:
    story = tell(fail_at_launch(trouble))
    story.play_until(lambda: bool(story.reasons) and is_home(story))
    story.world.cloud.troubles.clear()
    story.play()


def test_throttling_is_waited_out_and_launches_one(tell: Tell) -> None:
    story = tell(fail_at_launch(Trouble.THROTTLE))
    story.play_until(lambda: any("hetslurm: " in reason for reason in story.reasons))
    assert story.world.cloud.launches == {}
    story.world.cloud.troubles.clear()
    story.play()
    assert sum(story.world.cloud.launches.values()) == 1


def test_a_boot_that_never_joins_is_paid_and_said_and_ends(tell: Tell) -> None:
    def begin(world: World) -> None:
        world.cloud.never_boots = True

    story = tell(begin)
    story.play_until(lambda: bool(story.reasons) and is_home(story))
    assert any(reason.startswith("hetslurm: boot: i-0001 did not join") for reason in story.reasons)
    assert spent(story) >= story.world.cloud.spent_micro(60.0) > 0
    assert story.book.verify() == ()


def test_a_price_above_the_cap_lets_no_job_go(tell: Tell) -> None:
    def begin(world: World) -> None:
        world.cloud.prices = dict(TOO_DEAR)

    story = tell(begin)
    for _ in range(20):
        story.beat()
    assert is_home(story)
    assert story.book.reservations() == ()


def test_no_price_is_no_launch(tell: Tell) -> None:
    def begin(world: World) -> None:
        world.cloud.prices = {}

    story = tell(begin)
    for _ in range(20):
        story.beat()
    assert is_home(story)
    assert story.book.reservations() == ()


def test_a_price_that_rises_before_the_launch_starts_nothing(tell: Tell) -> None:
    story = tell(lambda world: None)
    story.actors.cycle()
    assert story.book.open_reservations()
    story.world.cloud.prices = dict(TOO_DEAR)
    story.play_until(lambda: bool(story.reasons) and is_home(story))
    assert story.reasons[0].startswith("hetslurm: price: ")
    assert story.world.cloud.launches == {}


def test_a_provider_that_is_down_at_the_launch_is_asked_again_with_the_same_token(tell: Tell) -> None:
    story = tell(lambda world: None)
    story.actors.cycle()
    story.world.cloud.is_down = True
    story.play_until(lambda: any("hetslurm: " in reason for reason in story.reasons))
    assert story.world.cloud.launches == {}
    story.world.cloud.is_down = False
    story.play()
    assert sum(story.world.cloud.launches.values()) == 1


def test_a_provider_that_is_down_from_the_start_lets_no_job_go(tell: Tell) -> None:
    def begin(world: World) -> None:
        world.cloud.is_down = True

    story = tell(begin)
    for _ in range(20):
        story.beat()
    assert is_home(story)


def test_a_limit_beyond_the_cap_goes_back_and_the_job_is_told(tell: Tell) -> None:
    story = tell(lambda world: None)
    story.play_until(lambda: story.world.state(7) == "RUNNING")
    story.world.raise_limit(7, 6000)
    story.play_until(lambda: job_of(story, 7).time_limit_min == 10)
    assert "its time limit is 10 min again" in job_of(story, 7).admin_comment
    assert any("its time limit is 10 min again" in text for _, text in story.world.slurm.told)
    story.play()


def test_a_job_on_cloud_nodes_without_money_is_held_and_starts_nothing(tell: Tell) -> None:
    def begin(world: World) -> None:
        world.submit(job(8, 60, partition="cloud", admin_comment=""))
        world.slurm.required[8] = ("c2",)

    story = tell(begin)
    story.play_until(lambda: job_of(story, 8).priority == 0)
    story.play()
    assert job_of(story, 8).state == "PENDING"
    assert all("-c2-" not in token for token in story.world.cloud.launches)


def job_of(story: Story, job_id: int) -> QueuedJob:
    """As Slurm has it."""
    return next(j for j in story.world.slurm.cluster.jobs if j.job_id == job_id)

"""Lives of jobs in the cloud, with what may happen to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hetslurm.cloudburst.policy import Cap, Level, Period
from hetslurm.cloudburst.provider.protocol import Trouble

from .world import POLICY, World, job

# One attempt costs 0.23 at most, two 0.46.
ONE_JOB_MICRO = 600_000


@dataclass(frozen=True)
class Scenario:
    """`begin` sets the world up; each of `events` is done once, when its condition first holds."""

    name: str
    begin: Callable[[World], None]
    events: tuple[tuple[Callable[[World], bool], Callable[[World], None]], ...] = ()
    ends: dict[int, str] = field(default_factory=lambda: {7: "COMPLETED"})

    def __str__(self) -> str:
        return self.name


def _one_job(world: World) -> None:
    world.submit(job(7, 150))


def _runs_a_while(world: World) -> bool:
    one = next(j for j in world.slurm.cluster.jobs if j.job_id == 7)
    return one.state == "RUNNING" and one.start_at is not None and world.clock.now() >= one.start_at + 20


def _only(world: World) -> str:
    return world.cloud.alive()[0].instance_id


def _notice(world: World) -> None:
    world.cloud.give_notice(_only(world), world.clock.now() + 120)


def _vanish(world: World) -> None:
    world.cloud.vanish(_only(world))


def _boots_never(world: World) -> None:
    _one_job(world)
    world.cloud.never_boots = True


def _one_came_and_went(world: World) -> bool:
    return bool(world.cloud.launches) and not world.cloud.alive()


def _boots_again(world: World) -> None:
    world.cloud.never_boots = False


def _lost(call: str) -> Callable[[World], None]:
    def begin(world: World) -> None:
        _one_job(world)
        world.cloud.lost_answers.append(call)

    return begin


def _full_zone(world: World) -> None:
    _one_job(world)
    world.cloud.troubles["z1"] = Trouble.CAPACITY


def _boots(world: World) -> bool:
    return world.state(7) == "CONFIGURING"


def _cancel(world: World) -> None:
    world.end(7, "CANCELLED")


def _long_job(world: World) -> None:
    world.submit(job(7, 700))


def _one_run(world: World) -> None:
    world.policy = replace(POLICY, retry=replace(POLICY.retry, requeues=0))
    _one_job(world)


def _admin_takes_c1(world: World) -> None:
    world.slurm.drain_node("c1", "mine")


def _two_jobs(world: World) -> None:
    world.policy = replace(POLICY, caps=(Cap(Level.SITE, "", Period.TOTAL, ONE_JOB_MICRO),))
    world.submit(job(7, 60))
    world.submit(job(8, 60))


SCENARIOS = (
    Scenario("plain", _one_job),
    Scenario("interrupted", _one_job, ((_runs_a_while, _notice),)),
    Scenario("vanishes", _one_job, ((_runs_a_while, _vanish),)),
    Scenario("never boots", _boots_never, ((_one_came_and_went, _boots_again),)),
    Scenario("launch answer lost", _lost("launch")),
    Scenario("terminate answer lost", _lost("terminate")),
    Scenario("zone is full", _full_zone),
    Scenario("cancelled while it boots", _one_job, ((_boots, _cancel),), {7: "CANCELLED"}),
    Scenario("interrupted, money for one run", _one_run, ((_runs_a_while, _notice),)),
    Scenario("its node is taken by an admin", _one_job, ((lambda world: True, _admin_takes_c1),)),
    Scenario("topped up", _long_job, ((_runs_a_while, lambda world: world.raise_limit(7, 15)),)),
    Scenario("two jobs, money for one", _two_jobs, (), {7: "COMPLETED", 8: "COMPLETED"}),
)

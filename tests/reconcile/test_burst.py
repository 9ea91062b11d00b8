"""Cloud burst in the controller is off without a policy, and never in the way of anything else."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.provider.fake import FakeProvider
from hetslurm.cloudburst.provider.protocol import Seen
from hetslurm.cluster import Cluster, Partition
from hetslurm.controller import burst as burst_module
from hetslurm.controller.burst import Burst, Scene
from hetslurm.controller.burst_metrics import burst_metrics, burst_status
from hetslurm.daemon.log import Log
from hetslurm.site import BurstSite, Site
from hetslurm.slurm.fake import FakeSlurm

from .views import node

POLICY = """
[provider.p]
kind = "local"
dir = "/nowhere"
[[pool]]
partition = "cloud"
provider = "p"
instance_type = "big"
max_price = 1
[[cap]]
level = "site"
per = "day"
limit = 10
"""


class SlowProvider(FakeProvider):
    """Answers when it is let."""

    gate = threading.Event()

    def seen(self) -> tuple[Seen, ...]:
        """See Provider."""
        assert self.gate.wait(60)
        return ()


@dataclass
class Desk:
    """A Burst on a cluster in memory."""

    burst: Burst
    scene: Scene
    policy: Path
    state_dir: Path
    log: io.StringIO
    provider: FakeProvider

    def beat(self) -> float:
        """When the reconciler last said that it lives."""
        with Book(Book.path_in(self.state_dir), SystemClock()) as book:
            return book.heartbeat()


class Quiet:
    """An audit that keeps nothing."""

    def note(self, action: str, **what: object) -> None:
        """See Auditor."""


@pytest.fixture
def open_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Desk]]:
    """`open_desk(policy text)`: every cycle looks."""
    desks: list[Desk] = []
    monkeypatch.setattr(burst_module, "LOOK_EVERY_S", 0.0)

    def make(text: str = POLICY, provider: FakeProvider | None = None, named: bool = True) -> Desk:
        clock, out, state = SystemClock(), io.StringIO(), tmp_path / "state"
        state.mkdir(mode=0o755)
        cloud = provider or FakeProvider(clock)
        monkeypatch.setattr("hetslurm.controller.burst_room.open_providers", lambda *_: {"p": cloud})
        policy = tmp_path / "burst.toml"
        policy.write_text(text)
        cluster = Cluster(
            "k", (22, 5, 8), clock.now(), (node("IDLE+POWERED_DOWN"),), (Partition("cloud", ("c1",)),), ()
        )
        slurm = FakeSlurm(cluster)
        burst = Burst(slurm, Quiet(), state, log=Log("text", out, clock), clock=clock)
        site = Site(burst=BurstSite(str(policy) if named else ""))
        desks.append(Desk(burst, Scene(site, cluster), policy, state, out, cloud))
        return desks[-1]

    yield make
    for desk in desks:
        desk.burst.close()


def test_without_a_policy_nothing_is_opened(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk(named=False)
    assert desk.burst.cycle(desk.scene, 0.0)
    assert list(desk.state_dir.iterdir()) == []
    assert list(burst_metrics(desk.burst.facts)) == []
    assert burst_status(desk.burst.facts) is None


def test_with_one_each_look_ends_with_a_heartbeat_and_facts(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    assert desk.burst.cycle(desk.scene, 60.0)
    assert desk.beat() > 0
    assert desk.burst.facts.on
    names = {metric.name: metric for metric in burst_metrics(desk.burst.facts)}
    assert names["hetslurm_burst_healthy"].samples[0].value == 1
    assert (burst_status(desk.burst.facts) or {})["reservations"] == 0


def test_a_cloud_that_does_not_answer_holds_no_cycle_up(open_desk: Callable[..., Desk]) -> None:
    provider = SlowProvider(SystemClock())
    provider.gate.clear()
    desk = open_desk(provider=provider)
    assert not desk.burst.cycle(desk.scene, 0.1)
    begun = time.monotonic()
    assert not desk.burst.cycle(desk.scene, 60.0)
    assert time.monotonic() - begun < 30
    provider.gate.set()
    while not desk.burst.cycle(desk.scene, 60.0):
        assert time.monotonic() - begun < 60
        time.sleep(0.05)  # as a controller rests between cycles; else the thread is given work without end


def test_a_provider_that_is_down_is_said_once_and_the_heart_beats_on(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    desk.provider.is_down = True
    for _ in range(3):
        assert desk.burst.cycle(desk.scene, 60.0)
    assert desk.beat() > 0
    assert desk.log.getvalue().count("burst provider does not answer") == 1
    assert desk.burst.facts.troubles == {"p": "the provider does not answer"}


def test_a_policy_that_turns_wrong_leaves_the_old_one_in_force(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    assert desk.burst.cycle(desk.scene, 60.0)
    desk.policy.write_text(POLICY.replace("max_price = 1", "max_price = -1"))
    assert desk.burst.cycle(desk.scene, 60.0)
    assert desk.burst.facts.on
    assert "max_price" in (desk.burst.facts.policy_error or "")


def test_a_policy_that_never_was_right_spends_nothing(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk("nonsense = 1\n")
    assert desk.burst.cycle(desk.scene, 60.0)
    assert not desk.burst.facts.on
    assert "nonsense" in (desk.burst.facts.policy_error or "")
    assert list(desk.state_dir.iterdir()) == []


def test_a_part_that_fails_keeps_no_other_from_its_work(
    open_desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(burst_module, "_spill", broken)
    desk = open_desk()
    assert desk.burst.cycle(desk.scene, 60.0)
    assert desk.beat() > 0
    assert desk.burst.facts.error == "ValueError: a bug"


def test_instances_are_looked_after_while_slurm_is_away(open_desk: Callable[..., Desk]) -> None:
    desk = open_desk()
    assert desk.burst.cycle(desk.scene, 60.0)
    before = desk.beat()
    assert desk.burst.cycle(Scene(desk.scene.site), 60.0)
    assert desk.beat() > before

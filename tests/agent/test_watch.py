"""When a probe is asked, and what is not asked again at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from select import select

import pytest

from hetslurm.agent import watch as watching
from hetslurm.agent.child import Opener
from hetslurm.agent.nursery import Nursery
from hetslurm.agent.ward import Ward
from hetslurm.agent.watch import Outcome
from hetslurm.clock import FixedClock
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState, Row, Sample

from .conftest import PATIENCE_S, good, hang, scripted, tells_pid

BEAT_S = 5.0


class Desk:
    """A ward with one probe, on a clock that stands still."""

    def __init__(self, nursery: Nursery, agent: AgentSite) -> None:
        self.clock = FixedClock(1000.0)
        self.nursery = nursery
        self.ward = Ward(agent, nursery, beat_s=BEAT_S, clock=self.clock, chance=lambda: 0.5)
        self.beats = 0

    def beat(self, *, after_s: float = BEAT_S) -> bool:
        """One beat later; whether anybody was asked."""
        self.clock.advance(after_s)
        self.ward.beat(self.beats)
        self.beats += 1
        return not self.ward.settled

    def outcome(self) -> Outcome:
        """The next run that ends, by itself."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            readable, _, _ = select(self.ward.lines(), [], [], 1.0)
            if outcomes := self.ward.advance(readable):
                (outcome,) = outcomes
                return outcome
        raise AssertionError("no run ended")

    def ask(self) -> Outcome:
        assert self.beat()
        return self.outcome()

    def let_children_go(self) -> None:
        """Wait until the nursery has told of every death that is under way."""
        end = time.monotonic() + PATIENCE_S
        runners = [runner for watch in self.ward._watches.values() for runner in watch.runners]
        while any(runner.stuck for runner in runners):
            assert time.monotonic() < end
            select([self.nursery], [], [], 1.0)
            self.ward.advance([])


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(make_nursery: Callable[..., Nursery]) -> MakeDesk:
    """`make_desk(openers, …fields of AgentSite)`."""

    def make(openers: Mapping[str, Opener], probe: str = "host", **fields: float) -> Desk:
        nursery = make_nursery({probe: openers["host"]})
        desk = Desk(nursery, AgentSite(probes=frozenset({probe}), **fields))  # type: ignore[arg-type]
        made.append(desk)
        return desk

    made: list[Desk] = []
    yield make  # type: ignore[misc]
    for desk in made:
        desk.ward.stop()


def test_a_probe_is_asked_every_beat(make_desk: MakeDesk) -> None:
    desk = make_desk(scripted(lambda: good(load1=1.0)))
    for runs in (1, 2, 3):
        assert desk.ask().run.sample.state is ProbeState.OK
        assert desk.ward.observed[0].runs == runs
    assert desk.ward.observed[0].sampled_at == desk.clock.monotonic()


def test_mounts_are_asked_every_second_beat(make_desk: MakeDesk) -> None:
    desk = make_desk(scripted(lambda: Sample("mount", ProbeState.OK)), probe="mount")
    asked = []
    for _ in range(4):
        asked.append(desk.beat())
        if asked[-1]:
            desk.outcome()
    assert asked == [True, False, True, False]


def test_a_probe_that_hangs_is_not_asked_again_while_it_does(make_desk: MakeDesk) -> None:
    desk = make_desk(scripted(hang), deadline_s=12.0)
    assert desk.beat()
    assert not desk.beat()
    assert desk.ward.observed[0].state is ProbeState.PENDING
    assert desk.ward.due_at() == 1005.0 + 12.0


def test_a_killed_child_comes_back_later_and_later(make_desk: MakeDesk) -> None:
    desk = make_desk(scripted(hang), deadline_s=2.0)
    waits = []
    for _ in range(4):
        begun = desk.clock.monotonic()
        while not desk.beat(after_s=1.0):
            assert desk.clock.monotonic() - begun < 1000
        waits.append(desk.clock.monotonic() - begun)
        desk.clock.advance(2.0)
        (outcome,) = desk.ward.advance([])
        assert outcome.run.sample.state is ProbeState.TIMED_OUT
        desk.let_children_go()
    assert waits == [1.0, 5.0, 10.0, 20.0]
    assert desk.ward.runs["host", "sample", "timed out"] == 4


def test_the_last_good_rows_stay_while_a_probe_fails(make_desk: MakeDesk, tmp_path: Path) -> None:
    marker = tmp_path / "sick"

    def sometimes() -> Sample:
        if marker.exists():
            return Sample("host", ProbeState.FAILED, (), "no")
        return good(load1=3.0)

    desk = make_desk(scripted(sometimes))
    desk.ask()
    marker.touch()
    desk.ask()
    (seen,) = desk.ward.observed
    assert (seen.state, seen.rows[0].values["load1"], seen.runs) == (ProbeState.FAILED, 3.0, 2)
    assert seen.sampled_at == desk.clock.monotonic() - BEAT_S


def test_an_absent_device_is_looked_for_again_only_after_minutes_and_afresh(
    make_desk: MakeDesk, tmp_path: Path
) -> None:
    def absent() -> Sample:
        return Sample("host", ProbeState.ABSENT, (), "no card")

    desk = make_desk(scripted(tells_pid(absent, tmp_path / "pids")))
    assert desk.ask().run.sample.state is ProbeState.ABSENT
    desk.let_children_go()
    begun, beats = desk.clock.monotonic(), 1
    while not desk.beat():
        beats += 1
    assert desk.clock.monotonic() - begun == watching.ABSENT_EVERY_S
    desk.outcome()
    assert len(set((tmp_path / "pids").read_text().split())) == 2


def test_benchmarks_run_at_their_own_times_and_join_later_samples(make_desk: MakeDesk) -> None:
    desk = make_desk(scripted(lambda: good(load1=1.0), lambda: good(mem_gbs=20.0)), measure_every_s=100.0)
    tasks = []
    for _ in range(12):
        assert desk.beat()
        while not desk.ward.settled or any(watch.measuring for watch in desk.ward._watches.values()):
            tasks.append(desk.outcome().task)
    assert tasks.count("measure") == 1
    values = desk.ward.observed[0].rows[0].values
    assert values == {"load1": 1.0, "mem_gbs": 20.0, "measured_age_s": 10.0}


def test_a_sample_does_not_wait_for_a_benchmark(make_desk: MakeDesk) -> None:
    desk = make_desk(scripted(lambda: good(load1=1.0), hang), measure_every_s=10.0)
    for _ in range(5):
        assert desk.beat()
        assert desk.outcome().task == "sample"


def test_a_benchmark_that_hangs_is_killed_and_changes_no_sample(make_desk: MakeDesk) -> None:
    desk = make_desk(scripted(lambda: good(load1=1.0), hang), measure_every_s=4.0, deadline_s=10.0)
    desk.ask()
    desk.ask()
    desk.clock.advance(watching.measure_deadline_s(AgentSite(deadline_s=10.0), 1))
    (outcome,) = desk.ward.advance([])
    assert (outcome.task, outcome.run.sample.state) == ("measure", ProbeState.TIMED_OUT)
    assert desk.ward.observed[0].state is ProbeState.OK
    assert desk.ward.runs["host", "measure", "timed out"] == 1


def test_a_device_that_was_busy_is_measured_again_sooner(make_desk: MakeDesk) -> None:
    def busy() -> Sample:
        return Sample("host", ProbeState.OK, (Row(),), "not idle: 1 job steps run")

    desk = make_desk(scripted(lambda: good(load1=1.0), busy), measure_every_s=1000.0)
    measured_at = []
    while len(measured_at) < 2:
        assert desk.beat()
        while not desk.ward.settled or any(watch.measuring for watch in desk.ward._watches.values()):
            if desk.outcome().task == "measure":
                measured_at.append(desk.clock.monotonic())
        desk.let_children_go()
    assert measured_at == [1500.0, 1600.0]


def test_a_changed_configuration_keeps_what_is_known(make_desk: MakeDesk) -> None:
    desk = make_desk(scripted(lambda: good(load1=1.0)))
    desk.ask()
    desk.ward.follow(AgentSite(probes=frozenset({"host"}), deadline_s=3.0), BEAT_S)
    (seen,) = desk.ward.observed
    assert (seen.runs, seen.rows[0].values["load1"]) == (1, 1.0)
    assert desk.ask().run.sample.state is ProbeState.OK
    assert desk.ward.observed[0].runs == 2

"""One probe: when it is asked, what became of it, what is known."""

from __future__ import annotations

from dataclasses import dataclass

from hetslurm.agent.frames import Task
from hetslurm.agent.nursery import Ended, Nursery
from hetslurm.agent.observed import Benchmarks, Observed, remember
from hetslurm.agent.probes import EVERY_BEATS, MEASURED
from hetslurm.agent.runner import Run, Runner
from hetslurm.backoff import Chance, backoff_s, jittered
from hetslurm.clock import Clock
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState

# A device that is not there is looked for again: a driver may be loaded, a card come back from a reset.
ABSENT_EVERY_S = 300.0
LONGEST_BACKOFF_S = 300.0
# What a benchmark may take, in deadlines, for the start and for each device.
MEASURE_DEADLINES = 6.0
# A device that was busy is tried again after this share of the time between benchmarks.
MEASURE_AGAIN = 0.1


def measure_deadline_s(agent: AgentSite, devices: int) -> float:
    """What a benchmark of so many devices may take."""
    return MEASURE_DEADLINES * agent.deadline_s * (1 + devices)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that ended, of which probe and what for."""

    probe: str
    task: Task
    run: Run


class Watch:
    """Samples and benchmarks have a child each, so that a benchmark of a minute keeps no sample waiting.

    The benchmark's child ends with it and takes its libraries, and what they hold of the device, along.
    """

    def __init__(
        self,
        probe: str,
        agent: AgentSite,
        nursery: Nursery,
        *,
        beat_s: float,
        clock: Clock,
        chance: Chance,
        before: Watch | None = None,
    ) -> None:
        """`before` is the same probe under an older configuration: what it knew stays known."""
        self.probe = probe
        self._agent = agent
        self._beat_s = beat_s
        self._clock = clock
        self._chance = chance
        self._sampler = Runner(probe, agent, nursery, clock)
        self._measurer = Runner(probe, agent, nursery, clock)
        self.observed: Observed = before.observed if before else Observed(probe, clock.monotonic())
        self._benchmarks: Benchmarks = before._benchmarks if before else {}
        self._failures = 0
        self._not_before = 0.0
        self._measure_at = clock.monotonic() + agent.measure_every_s * chance()

    @property
    def runners(self) -> tuple[Runner, Runner]:
        """Both, for whoever waits for their lines and deadlines."""
        return (self._sampler, self._measurer)

    @property
    def measuring(self) -> bool:
        """A benchmark works a device now."""
        return self._measurer.busy

    def ask(self, beat: int) -> bool:
        """Ask for a sample where one is due on this beat; whether it was asked."""
        if beat % EVERY_BEATS.get(self.probe, 1) or self._clock.monotonic() < self._not_before:
            return False
        if self._sampler.busy or self._sampler.stuck:
            return False
        self._sampler.ask("sample", self._agent.deadline_s)
        return True

    def measure(self) -> bool:
        """Start a benchmark where one is due; whether one works now."""
        due = self._agent.measure_every_s > 0 and self._clock.monotonic() >= self._measure_at
        if not due or self.probe not in MEASURED or self.observed.state is not ProbeState.OK:
            return False
        if self._measurer.busy or self._measurer.stuck:
            return False
        self._measurer.ask("measure", measure_deadline_s(self._agent, len(self.observed.rows)))
        return True

    def hear(self, runner: Runner) -> Outcome | None:
        """One of our runners can be read."""
        return self._after(runner, runner.hear())

    def overdue(self) -> list[Outcome]:
        """Runs whose time is up."""
        outcomes = [self._after(runner, runner.overdue()) for runner in self.runners]
        return [outcome for outcome in outcomes if outcome]

    def gone(self, ended: Ended) -> Outcome | None:
        """A child is gone; it may be ours."""
        for runner in self.runners:
            if runner.child == ended.child:
                return self._after(runner, runner.gone(ended.how))
        return None

    def stop(self) -> None:
        """Have both children killed."""
        for runner in self.runners:
            runner.stop()

    def _after(self, runner: Runner, run: Run | None) -> Outcome | None:
        if run is None:
            return None
        if runner is self._sampler:
            self._sampled(run)
            return Outcome(self.probe, "sample", run)
        self._measured(run)
        return Outcome(self.probe, "measure", run)

    def _sampled(self, run: Run) -> None:
        self.observed = self.observed.after(run, self._benchmarks)
        now = self._clock.monotonic()
        if run.sample.state in (ProbeState.TIMED_OUT, ProbeState.CRASHED):
            self._failures += 1
            first = max(1.0, self._beat_s)
            self._not_before = now + backoff_s(
                self._failures, first_s=first, longest_s=LONGEST_BACKOFF_S, chance=self._chance
            )
            return
        self._failures = 0
        if run.sample.state is ProbeState.ABSENT:
            # Its memory is better used, and a library that saw no device once may never see one.
            self._sampler.leave()
            self._not_before = now + jittered(ABSENT_EVERY_S, 0.2, self._chance)

    def _measured(self, run: Run) -> None:
        self._benchmarks = remember(self._benchmarks, run, self.observed.rows)
        self._measurer.leave()
        left_alone = run.sample.state is ProbeState.OK and not all(row.values for row in run.sample.rows)
        every = self._agent.measure_every_s * (MEASURE_AGAIN if left_alone else 1.0)
        self._measure_at = self._clock.monotonic() + jittered(every, 0.1, self._chance)

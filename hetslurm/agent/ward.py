"""All probes of a node, and the processes that they run in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hetslurm.agent.nursery import Nursery
from hetslurm.agent.observed import Observed
from hetslurm.agent.runner import Runner
from hetslurm.agent.watch import Outcome, Watch
from hetslurm.backoff import Chance
from hetslurm.clock import Clock
from hetslurm.daemon.stop import Line
from hetslurm.site import AgentSite
from hetslurm.telemetry import PROBES


class Ward:
    """`runs` counts runs by (probe, task, state's label), over changes of the configuration, too."""

    def __init__(
        self, agent: AgentSite, nursery: Nursery, *, beat_s: float, clock: Clock, chance: Chance
    ) -> None:
        self._nursery = nursery
        self._clock = clock
        self._chance = chance
        self._asked: set[str] = set()
        self._watches: dict[str, Watch] = {}
        self.runs: Counter[tuple[str, str, str]] = Counter()
        self.follow(agent, beat_s)

    @property
    def observed(self) -> tuple[Observed, ...]:
        """What is known, probe by probe, in the order of PROBES."""
        return tuple(watch.observed for watch in self._watches.values())

    @property
    def settled(self) -> bool:
        """All that were asked on the newest beat have answered, or were given up."""
        return not self._asked

    def follow(self, agent: AgentSite, beat_s: float) -> None:
        """Look as this configuration says from now on: with new children, which know nothing else."""
        before = self._watches
        self.stop()
        self._asked.clear()
        self._watches = {
            probe: Watch(
                probe,
                agent,
                self._nursery,
                beat_s=beat_s,
                clock=self._clock,
                chance=self._chance,
                before=before.get(probe),
            )
            for probe in PROBES
            if probe in agent.probes
        }

    def stop(self) -> None:
        """Kill all children."""
        for watch in self._watches.values():
            watch.stop()

    def beat(self, number: int) -> None:
        """Ask those that are due. Benchmarks work one at a time."""
        self._asked = {probe for probe, watch in self._watches.items() if watch.ask(number)}
        if not any(watch.measuring for watch in self._watches.values()):
            any(watch.measure() for watch in self._watches.values())

    def lines(self) -> list[Line]:
        """What to wait for."""
        lines = [runner.line for watch in self._watches.values() for runner in watch.runners]
        return [self._nursery, *(line for line in lines if line is not None)]

    def due_at(self) -> float:
        """When `advance` has to be called, whatever can be read (monotonic)."""
        due = [runner.due_at() for watch in self._watches.values() for runner in watch.runners]
        return min((at for at in due if at is not None), default=float("inf"))

    def advance(self, readable: Sequence[Line]) -> list[Outcome]:
        """Hear those that have something to say, kill those whose time is up. Raises ProbeError."""
        outcomes = [
            outcome
            for watch, runner in self._with_lines(readable)
            if (outcome := watch.hear(runner)) is not None
        ]
        for ended in self._nursery.take():
            for watch in self._watches.values():
                if outcome := watch.gone(ended):
                    outcomes.append(outcome)
        for watch in self._watches.values():
            outcomes += watch.overdue()
        for outcome in outcomes:
            self.runs[outcome.probe, outcome.task, outcome.run.sample.state.label] += 1
            if outcome.task == "sample":
                self._asked.discard(outcome.probe)
        return outcomes

    def _with_lines(self, readable: Sequence[Line]) -> list[tuple[Watch, Runner]]:
        return [
            (watch, runner)
            for watch in self._watches.values()
            for runner in watch.runners
            if runner.line is not None and any(runner.line is line for line in readable)
        ]

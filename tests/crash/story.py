"""Plays a scenario to its end, through a crash, and watches what must hold at every step."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import InstanceState
from hetslurm.cloudburst.provider.protocol import SeenState

from .actors import Actors
from .scenarios import Scenario
from .world import World

TICK_S = 5.0
ORPHAN_S = 90.0
# How long everything may take, in the world's time: two runs, their boots, and what crashes cost.
LONGEST_S = 7200.0


class Crash(BaseException):
    """A process dies; nothing catches this."""


class Story:
    """`crash_at` are the steps after which whoever did them dies. `reasons` are those that nodes had."""

    def __init__(self, scenario: Scenario, state_dir: Path, crash_at: Collection[int] = ()) -> None:
        self.scenario = scenario
        self.state_dir = state_dir
        self.crash_at = frozenset(crash_at)
        self.reasons: list[str] = []
        self.steps: list[str] = []
        self.world = World()
        scenario.begin(self.world)
        self.todo = list(scenario.events)
        self.strange_since: dict[str, float] = {}
        self.actors = Actors(self.world, state_dir, self._step)
        self._book: Book | None = None
        self.on_step: Callable[[Story], None] = lambda story: None

    @property
    def book(self) -> Book:
        """To look at, and nobody else's."""
        if self._book is None:
            self._book = Book(Book.path_in(self.state_dir), self.world.clock)
        return self._book

    def close(self) -> None:
        """Let go of all files."""
        self.actors.close()
        if self._book is not None:
            self._book.close()
            self._book = None

    def play(self) -> None:
        """To the end: jobs done, nothing runs, no money held."""
        self.play_until(self.is_over)
        self.check_end()

    def play_until(self, holds: Callable[[], bool]) -> None:
        """Until something holds."""
        begun = self.world.clock.now()
        while not holds():
            assert self.world.clock.now() - begun < LONGEST_S, f"it never ends\n{self.tale()}"
            self.beat()

    def beat(self) -> None:
        """One cycle of the controller, and all that happens until the next."""
        for act in (self.actors.cycle, self.actors.programs):
            try:
                act()
            except Crash:
                self.actors.close()
            for event in [event for event in self.todo if event[0](self.world)]:
                self.todo.remove(event)
                event[1](self.world)
            self.world.tick(TICK_S)
            self.check_now()

    def is_over(self) -> bool:
        """Everything is quiet, and stays so."""
        jobs_done = all(self.world.state(i) == state for i, state in self.scenario.ends.items())
        if not jobs_done or self.todo or self.world.cloud.alive() or self.world.programs:
            return False
        is_settled = all("POWERED_DOWN" in self.world.node(name).state for name in ("c1", "c2"))
        return is_settled and not self.book.open_reservations() and not self.book.instances()

    def check_now(self) -> None:
        """No cap is broken, no node has two instances, nothing runs that nobody knows of."""
        world, now = self.world, self.world.clock.now()
        alive = [one for one in world.cloud.alive() if one.state is not SeenState.ENDING]
        assert max(Counter(one.node for one in alive).values(), default=0) <= 1, self.tale()
        for name in ("c1", "c2"):
            reason = world.node(name).reason
            if reason and reason not in self.reasons:
                self.reasons.append(reason)
        known = {row.token for row in self.book.instances()}
        self.check_caps()
        strange = {one.token for one in alive if one.token not in known}
        strange |= {one.token for one in alive if "POWERED_DOWN" in world.node(one.node).state}
        self.strange_since = {token: self.strange_since.get(token, now) for token in strange}
        for token, since in self.strange_since.items():
            assert now - since <= ORPHAN_S, f"{token} is an orphan since {now - since:.0f} s\n{self.tale()}"

    def check_caps(self) -> None:
        """At every instant."""
        for usage in self.book.usage():
            assert usage.used_micro <= usage.cap.limit_micro, f"{usage}\n{self.tale()}"

    def check_end(self) -> None:
        """The ledger is sound, every instance was paid, once, and nothing was launched twice."""
        cloud = self.world.cloud
        rows = self.book.instances(live=False)
        assert self.book.verify() == (), self.tale()
        spent = sum(r.spent_micro for r in self.book.reservations())
        assert set(cloud.launches.values()) <= {1}, self.tale()
        paid = {row.token for row in rows if row.state is InstanceState.ENDED}
        assert set(cloud.launches) <= paid, f"not paid: {set(cloud.launches) - paid}\n{self.tale()}"
        assert spent >= cloud.spent_micro(60.0), self.tale()
        assert not self.book.runs(only_open=True), self.tale()
        done = {i for i, state in self.scenario.ends.items() if state == "COMPLETED"}
        ran = {(run.node, run.generation) for run in self.book.runs()}
        paid_for = {r.res_id: r.wanted.job_id for r in self.book.reservations()}
        seen = {paid_for[row.res_id] for row in rows if (row.node, row.generation) in ran}
        assert done <= seen, f"runs of jobs {done - seen} were not noted\n{self.tale()}"
        for usage_cap in self.world.policy.caps:
            assert spent <= usage_cap.limit_micro, self.tale()
        for name in ("c1", "c2"):
            node = self.world.node(name)
            is_fit = not node.state & {"DOWN", "DRAIN"} or node.reason == "mine"
            assert is_fit, f"{name} is {sorted(node.state)}\n{self.tale()}"

    def keep(self) -> bytes:
        """The world as it is, for a process that comes after this one."""
        return pickle.dumps((self.world, [self.scenario.events.index(event) for event in self.todo]))

    def go_on_from(self, kept: bytes) -> None:
        """Take the world over."""
        self.world, left = pickle.loads(kept)
        self.todo = [self.scenario.events[at] for at in left]
        self.actors = Actors(self.world, self.state_dir, self._step)

    def tale(self) -> str:
        """What happened, for whoever reads a failure."""
        at = [self.steps[k - 1] for k in sorted(self.crash_at) if k <= len(self.steps)]
        said = self.actors.log.getvalue()[-6000:]
        return f"crash after steps {sorted(self.crash_at)} ({at}) of {self.scenario}\n{said}"

    def _step(self, what: str) -> None:
        self.steps.append(what)
        self.on_step(self)
        self.check_caps()
        if len(self.steps) in self.crash_at:
            raise Crash

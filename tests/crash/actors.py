"""Our processes in that world: the controller's burst, and the three programs. Each effect is a step."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from hetslurm.burst.alerts import Alerts
from hetslurm.burst.budget_page import BudgetPage
from hetslurm.burst.funding import Funding
from hetslurm.burst.interrupt import Interruptions
from hetslurm.burst.power import Power
from hetslurm.burst.reconcile_acts import Acts
from hetslurm.burst.reconciler import Reconciler
from hetslurm.burst.resume import resume
from hetslurm.burst.resume_fail import resume_fail
from hetslurm.burst.spill import Spiller
from hetslurm.burst.suspend import suspend
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.controller.burst_room import Room
from hetslurm.controller.burst_spill import SpillStep
from hetslurm.controller.cycle import plan_cycle
from hetslurm.daemon.log import Log
from hetslurm.site import Site

from .world import World

EFFECTS = {
    "book": frozenset(
        {"reserve", "top_up", "release", "expire", "intend", "ordered", "launched", "terminating", "failed"}
        | {"ended", "note", "beat", "cool", "ran", "expected_wait"}
    ),
    "cloud": frozenset({"launch", "terminate", "extend"}),
    "slurm": frozenset(
        {"update_job", "hold", "release", "node_down", "power_down", "drain_node", "resume_node", "requeue"}
        | {"cancel", "signal", "notify", "set_node_address"}
    ),
}
Step = Callable[[str], None]


class Stepping:
    """A proxy whose every effect is followed by a step: there a crash may come."""

    def __init__(self, target: object, kind: str, step: Step) -> None:
        self._target = target
        self._kind = kind
        self._step = step

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in EFFECTS[self._kind]:
            return found

        def call(*arguments: Any, **more: Any) -> Any:
            try:
                return found(*arguments, **more)
            finally:
                self._step(f"{self._kind}.{name}")

        return call


class Quiet:
    """An audit that keeps nothing."""

    def note(self, action: str, **what: object) -> None:
        """See Auditor."""


class Actors:
    """Everything of ours that runs. The controller lives from cycle to cycle; programs run and end."""

    def __init__(self, world: World, state_dir: Path, step: Step = lambda what: None) -> None:
        self.world = world
        self.state_dir = state_dir
        self.step = step
        self.log = io.StringIO()
        self._room: Room | None = None

    def cycle(self) -> None:
        """The controller's burst, once, as `hetslurm.controller.burst` does it."""
        world = self.world
        if self._room is None:
            self._room = self._open()
        room, cluster = self._room, world.slurm.read_cluster()
        pools = plan_cycle(cluster, Site()).pools
        room.spill.step(room.policy, room.providers, Site(), cluster, pools)
        sight = room.reconciler.look(cluster).sight
        assert sight is not None
        room.interruptions.look(sight, room.providers)
        room.funding.look(sight, room.providers)

    def programs(self) -> None:
        """What Slurm starts."""
        while self.world.programs:
            name, nodes = self.world.programs.pop(0)
            with closing(Book(Book.path_in(self.state_dir), self.world.clock)) as book:
                power = self._power(book)
                if name == "resume":
                    resume(power, nodes, None)
                elif name == "suspend":
                    suspend(power, nodes, patience_s=5.0)
                else:
                    resume_fail(power, nodes, patience_s=5.0)

    def close(self) -> None:
        """The controller is gone."""
        if self._room is not None:
            self._room.book.close()
            self._room = None

    def _power(self, book: Book) -> Power:
        world, step = self.world, self.step
        log = Log("text", self.log, world.clock)
        return Power(
            self.state_dir,
            world.policy,
            Stepping(book, "book", step),  # type: ignore[arg-type]
            {"p": Stepping(world.cloud, "cloud", step)},  # type: ignore[dict-item]
            Stepping(world.slurm, "slurm", step),  # type: ignore[arg-type]
            world.clock,
            log,
            world.clock.advance,
        )

    def _open(self) -> Room:
        power = self._power(
            Book(Book.path_in(self.state_dir), self.world.clock, self.world.policy.caps, cluster="k")
        )
        audit, shared = Quiet(), {"log": power.log, "clock": power.clock}
        spiller = Spiller(power.slurm, power.book, audit, **shared)  # type: ignore[arg-type]
        acts = Acts(power, homeward=spiller.mover, audit=audit)
        return Room(
            power,
            acts,
            SpillStep(spiller, power.log, power.clock),
            Reconciler(acts),
            Interruptions(power.book, power.slurm, audit, **shared),  # type: ignore[arg-type]
            Funding(power.book, power.slurm, audit, log=power.log),
            Alerts(power.book, power.log, power.clock),
            BudgetPage(power.book, power.log, power.clock),
        )

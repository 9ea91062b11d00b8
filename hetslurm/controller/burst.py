"""Cloud burst in the controller: off without a policy, and never in the way of what works without it.

The cycle hands over what it saw and goes on; a thread of burst's own follows the policy file, spills,
reconciles, follows interruptions, funds raised limits and sends alerts. Whatever of that fails is said, and
tried again with the next cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from hetslurm.burst.hands import Auditor
from hetslurm.burst.no_policy import NoPolicy
from hetslurm.burst.reconciler import Look
from hetslurm.clock import Clock
from hetslurm.cloudburst.interruption import Interruption
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Usage
from hetslurm.cloudburst.policy_file import PolicyFile
from hetslurm.cluster import Cluster
from hetslurm.controller.burst_room import Room
from hetslurm.controller.burst_worker import Worker
from hetslurm.controller.cycle import Plan
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError
from hetslurm.health.notices import Notice
from hetslurm.native.kernel import View
from hetslurm.site import Site
from hetslurm.slurm.protocol import SlurmAdapter

T = TypeVar("T")
# Providers are not asked more often than this, seconds.
LOOK_EVERY_S = 3.0
_END_S = 20.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What a cycle saw. `cluster` None: Slurm did not answer, and there is no plan and no view.

    `told` are agents' notices: by node, when it is taken away.
    """

    site: Site
    cluster: Cluster | None = None
    plan: Plan | None = None
    view: View | None = None
    told: Mapping[str, Notice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BurstFacts:
    """How burst is, for status and metrics. `error` None: it works. Money in micro-units."""

    on: bool = False
    error: str | None = None
    policy_error: str | None = None
    looked_at: float | None = None
    instances: Mapping[str, int] = field(default_factory=dict)
    running: int = 0
    reservations: int = 0
    held_micro: int = 0
    usage: tuple[Usage, ...] = ()
    acts_total: Mapping[str, int] = field(default_factory=dict)
    failed_total: int = 0
    troubles: Mapping[str, str] = field(default_factory=dict)
    interruptions_total: int = 0
    interrupting: int = 0
    spills_total: Mapping[str, int] = field(default_factory=dict)


def _spill(room: Room, scene: Scene) -> None:
    if scene.cluster is None or scene.plan is None:
        return
    generation = scene.view.generation if scene.view is not None else 1
    room.spill.step(room.policy, room.providers, scene.site, scene.cluster, scene.plan.pools, generation)


class Burst:
    """One a controller."""

    def __init__(
        self,
        adapter: SlurmAdapter,
        audit: Auditor,
        state_dir: Path,
        *,
        log: Log,
        clock: Clock,
    ) -> None:
        self._adapter = adapter
        self._audit = audit
        self._state_dir = state_dir
        self._log = log
        self._clock = clock
        self._file: PolicyFile | None = None
        self._named = ""
        # The cycle's own look at the policy, beside the thread's.
        self._front: PolicyFile | None = None
        self._front_named = ""
        self._room: Room | None = None
        self._looked = float("-inf")
        self._said: dict[str, str] = {}
        self._no_policy = NoPolicy(adapter, log, clock)
        self._worker: Worker[Scene] = Worker(self._work, "burst")
        self._used = False
        self.facts = BurstFacts()

    def cycle(self, scene: Scene, wait_s: float) -> bool:
        """Hand over what was seen; wait up to `wait_s` seconds. True: all of it is done."""
        if not scene.site.burst.policy and not self._used:
            return True
        self._used = True
        return self._worker.give(scene, wait_s)

    def partitions(self, site: Site) -> frozenset[str]:
        """Partitions of cloud nodes by the policy in force; for the cycle, whose placements cost no money."""
        named = site.burst.policy
        if named != self._front_named:
            self._front_named = named
            self._front = PolicyFile(Path(named), site.currency) if named else None
        elif self._front is not None:
            self._front.follow()
        policy = self._front.policy if self._front is not None else None
        return policy.partitions if policy is not None else frozenset()

    def close(self) -> None:
        """Finish the act that is begun; the rest is the next controller's."""
        if self._worker.stop(_END_S) and self._room is not None:
            self._room.close()
            self._room = None

    def _work(self, scene: Scene) -> None:
        """Never raises: a thread that ends would end every instance's keeper."""
        try:
            self._do(scene)
        except Exception as error:
            self._trouble("burst", error)

    def _do(self, scene: Scene) -> None:
        room = self._follow(scene)
        if room is None:
            if scene.cluster is not None:
                self._no_policy.tell(scene.cluster)
            return
        self._try("spill", lambda: _spill(room, scene))
        now = self._clock.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        look = self._try("reconciler", lambda: room.reconciler.look(scene.cluster))
        under_way: tuple[Interruption, ...] | None = ()
        sight = look.sight if look is not None else None
        if sight is not None:
            told = scene.told
            under_way = self._try(
                "interruptions", lambda: room.interruptions.look(sight, room.providers, told)
            )
            self._try("funding", lambda: room.funding.look(sight, room.providers))
        room.alerts.look(room.policy)
        self._try("budget page", lambda: room.page.look(room.policy.currency))
        if look is not None:
            self._report(room, look, under_way or ())
        self._said.pop("burst", None)

    def _try(self, what: str, work: Callable[[], T]) -> T | None:
        """Each part fails alone: a spill that cannot be done keeps no instance running."""
        try:
            result = work()
        except Exception as error:
            self._trouble(what, error)
            return None
        self._said.pop(what, None)
        return result

    def _follow(self, scene: Scene) -> Room | None:
        """The room of the policy in force; None: there is none."""
        named = scene.site.burst.policy
        if named != self._named or self._file is None:
            self._named = named
            self._file = PolicyFile(Path(named) if named else None, scene.site.currency)
            self._said_policy()
        elif self._file.follow():
            self._said_policy()
        policy = self._file.policy
        if policy is None or not named:
            if self._room is not None:
                left = len(self._room.book.instances())
                self._log.warning("burst is off", instances=left)
                self._room.close()
                self._room = None
            self.facts = BurstFacts(policy_error=self._file.error)
            return None
        if self._room is None and scene.cluster is None and not Book.path_in(self._state_dir).exists():
            return None  # a new ledger learns the cluster's name first: launches carry it
        if self._room is None:
            cluster = scene.cluster.name if scene.cluster is not None else ""
            self._room = Room.open(
                self._state_dir,
                policy,
                cluster,
                self._adapter,
                self._audit,
                log=self._log,
                clock=self._clock,
            )
            self._log.info("burst is on", policy=named, partitions=sorted(policy.partitions))
        else:
            room = self._room
            self._try("policy", lambda: room.follow(policy))
        return self._room

    def _said_policy(self) -> None:
        if self._file is not None and self._file.error:
            self._log.error("burst policy refused, the old stays in force", error=self._file.error)
        elif self._file is not None and self._file.policy is not None:
            self._log.info("burst policy read", policy=self._named)

    def _report(self, room: Room, look: Look, under_way: tuple[Interruption, ...]) -> None:
        held = room.book.open_reservations()
        self.facts = BurstFacts(
            on=True,
            policy_error=self._file.error if self._file is not None else None,
            looked_at=look.at,
            instances=look.instances,
            running=len(look.seen),
            reservations=len(held),
            held_micro=sum(one.held_micro for one in held),
            usage=room.book.usage(),
            acts_total=Counter(self.facts.acts_total) + Counter(look.acts),
            failed_total=self.facts.failed_total + look.failed,
            troubles=look.troubles,
            interruptions_total=room.interruptions.total,
            interrupting=len(under_way),
            spills_total=dict(room.spill.counts),
            error=next(iter(self._said.values()), None),
        )

    def _trouble(self, what: str, error: Exception) -> None:
        """Said once, until it works again or is something else."""
        text = str(error) if isinstance(error, HetslurmError) else f"{type(error).__name__}: {error}"
        if self._said.get(what) != text:
            self._log.error("burst trouble", what=what, error=text)
        self._said[what] = text
        self.facts = replace(self.facts, error=text)

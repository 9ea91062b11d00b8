"""What the reconciler looks at, what it remembers between looks, and what it may decide. Values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hetslurm.cloudburst.ledger.values import Instance, Reservation
from hetslurm.cloudburst.policy import Policy, Purchase
from hetslurm.cloudburst.provider.protocol import Seen
from hetslurm.cluster import Node, QueuedJob

# What every reason begins with that hetslurm gives a node.
OURS = "hetslurm: "
# What Slurm itself writes on a node that it gave up.
SLURMS_OWN = ("Not responding", "ResumeTimeout reached", "node failed")
GOING_DOWN = frozenset({"POWERING_DOWN", "POWER_DOWN"})
COMING_UP = frozenset({"POWERING_UP", "POWER_UP"})


@dataclass(frozen=True, slots=True)
class SlurmView:
    """Cloud nodes by name, jobs by id, and the ids of which Slurm was asked and which are over for sure.

    `ended` are those of the latter that Slurm still tells about.
    """

    nodes: Mapping[str, Node]
    jobs: Mapping[int, QueuedJob]
    over: frozenset[int] = frozenset()
    ended: Mapping[int, QueuedJob] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything as it was seen at `now` (Unix seconds): Slurm first, then the providers, then the book.

    None instead of a view: it could not be had, and nothing follows from what is not in it. `instances` are
    the live ones, `reservations` the open ones. `busy` are nodes that a ResumeProgram works on just now.
    """

    now: float
    policy: Policy
    slurm: SlurmView | None
    seen: Mapping[str, tuple[Seen, ...] | None]
    instances: tuple[Instance, ...]
    reservations: tuple[Reservation, ...]
    busy: frozenset[str] = frozenset()

    @property
    def guard_s(self) -> float:
        """What is younger is left alone: somebody may be at work on it."""
        return self.policy.retry.guard_s

    def reservation_of_node(self, node: str) -> Reservation | None:
        """The open reservation that holds a node."""
        return next((r for r in self.reservations if node in r.wanted.node_names), None)

    def job_of(self, reservation: Reservation) -> QueuedJob | None:
        """The job that a reservation is for, while Slurm has it.

        A requeue gives a job a new submit time, never an older one; another user's is another job.
        """
        if self.slurm is None:
            return None
        wanted = reservation.wanted
        job = self.slurm.jobs.get(wanted.job_id)
        if job is None or job.user != wanted.payer.user or int(job.submit_at) < wanted.submit_at:
            return None
        return job

    def is_over(self, reservation: Reservation) -> bool:
        """Slurm was asked, and the job of this reservation will not run again."""
        if self.slurm is None or self.job_of(reservation) is not None:
            return False
        job_id = reservation.wanted.job_id
        return job_id in self.slurm.over or job_id in self.slurm.jobs


@dataclass(frozen=True, slots=True)
class Memory:
    """Since when a condition holds, Unix seconds by its name. Lost in a restart: then it begins anew."""

    since: Mapping[str, float] = field(default_factory=dict)


class Watch:
    """Conditions of this look: one that is not asked for again is forgotten."""

    def __init__(self, before: Memory, now: float) -> None:
        self._before = before.since
        self._now = now
        self._after: dict[str, float] = {}

    def lasted(self, condition: str) -> float:
        """For how long it has held, seconds; 0 when it is new."""
        self._after[condition] = self._before.get(condition, self._now)
        return self._now - self._after[condition]

    def held_before(self, condition: str) -> bool:
        """Whether it held at the last look; it is not noted."""
        return condition in self._before

    def is_due(self, act: str, every_s: float) -> bool:
        """Whether an act was last done `every_s` ago or never; it then counts as done now."""
        last = self._before.get(act)
        due = last is None or self._now - last >= every_s
        self._after[act] = self._now if due or last is None else last
        return due

    def memory(self) -> Memory:
        """For the next look."""
        return Memory(self._after)


@dataclass(frozen=True, slots=True)
class Terminate:
    """Tell the provider to end an instance. `row` None: the book has no live instance for it."""

    provider: str
    instance_id: str
    row: Instance | None
    why: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """The provider has what the book only intended: write it down as launched."""

    row: Instance
    seen: Seen
    why: str


@dataclass(frozen=True, slots=True)
class Settle:
    """It is gone: pay for it. `seen`, where there is one, knows its price and how it was launched."""

    row: Instance
    ended_at: float
    why: str
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """It never existed, and will not."""

    row: Instance
    why: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Start what somebody should have started for a node with money; the token makes it one."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Cool:
    """Leave an offering alone for a while, for a kind of trouble."""

    partition: str
    zone: str
    purchase: Purchase
    trouble: str
    why: str


@dataclass(frozen=True, slots=True)
class NodeDown:
    """Set a node DOWN with a reason, so that its job is requeued at once, and power it down."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class PowerDown:
    """Power a node down that is DOWN by a reason of ours: afterwards it can be used again."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Undrain:
    """Take back a drain of ours from a node that is powered down."""

    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give back what is left of a reservation."""

    reservation: Reservation
    why: str


@dataclass(frozen=True, slots=True)
class SendHome:
    """A waiting job goes back on-premises (or is held), and its reservation is over."""

    reservation: Reservation
    job: QueuedJob
    why: str


@dataclass(frozen=True, slots=True)
class Expire:
    """A reservation for which nothing was started ran out."""

    reservation: Reservation
    why: str


@dataclass(frozen=True, slots=True)
class Evict:
    """A job is on cloud nodes that nobody set money aside for: hold it, and say why."""

    job: QueuedJob
    why: str


@dataclass(frozen=True, slots=True)
class Start:
    """A requeued job that has money runs again now, not after the delay that Slurm puts before it.

    `surely`: it was requeued. Else it may wait for its author's --begin: Slurm knows how often it ran.
    """

    job: QueuedJob
    why: str
    surely: bool = True


Action = (
    Terminate
    | Adopt
    | Settle
    | Fail
    | Launch
    | Cool
    | NodeDown
    | PowerDown
    | Undrain
    | Release
    | SendHome
    | Expire
    | Evict
    | Start
)

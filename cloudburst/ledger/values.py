"""What the ledger holds: reservations, instances, entries. Values only; `store` keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hetslurm.cloudburst.policy import Cap, Level, Period, Purchase


class ReservationState(StrEnum):
    """RESERVED: money set aside, nothing started. COMMITTED: an instance was or may be started.

    The others are over.
    """

    RESERVED = "reserved"
    COMMITTED = "committed"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        """It still holds money."""
        return self in (ReservationState.RESERVED, ReservationState.COMMITTED)


class InstanceState(StrEnum):
    """INTENT: on disk, the provider may or may not have heard. LAUNCHED: it has an id.

    TERMINATING: told to end. ENDED: it is gone and paid. FAILED: it never existed, nothing is owed.
    """

    INTENT = "intent"
    LAUNCHED = "launched"
    TERMINATING = "terminating"
    ENDED = "ended"
    FAILED = "failed"

    @property
    def is_live(self) -> bool:
        """It may exist, and may cost."""
        return self in (InstanceState.INTENT, InstanceState.LAUNCHED, InstanceState.TERMINATING)


class EntryKind(StrEnum):
    """What an entry says happened."""

    RESERVE = "reserve"
    TOP_UP = "top-up"
    COMMIT = "commit"
    SPEND = "spend"
    RELEASE = "release"
    EXPIRE = "expire"
    OVERRUN = "overrun"
    CAP = "cap"


@dataclass(frozen=True, slots=True)
class Payer:
    """Whose money it is. `workload` "" where the author named no app."""

    account: str
    user: str
    workload: str = ""

    def scopes(self) -> tuple[tuple[Level, str], ...]:
        """Every (level, name) that a reservation of theirs counts in."""
        named = (
            (Level.ACCOUNT, self.account),
            (Level.USER, self.user),
            (Level.WORKLOAD, self.workload),
        )
        return ((Level.SITE, ""), *(scope for scope in named if scope[1]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to reserve. `node_names` are the CLOUD nodes given to this job alone until it is over.

    `amount_micro` is `WorstCase.total_micro`, `attempt_micro` and `attempt_s` those of one attempt over all
    its nodes; `limit_s` is the time limit that the money is for; `expires_at` (Unix seconds) ends a
    reservation for which nothing was started.
    """

    job_id: int
    submit_at: int
    payer: Payer
    partition: str
    node_names: tuple[str, ...]
    price_cap_micro: int
    attempts: int
    attempt_s: float
    attempt_micro: int
    amount_micro: int
    limit_s: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """A `Wanted` that was granted. `amount_micro` includes top-ups; `held_micro` is still set aside.

    Of `wanted`, `attempt_s` and `attempt_micro` are as the last top-up left them; the rest is as it was
    asked for. `attempts_begun` is the most that any of its nodes was started.
    """

    res_id: int
    wanted: Wanted
    state: ReservationState
    amount_micro: int
    spent_micro: int
    limit_s: float
    attempts_begun: int
    created_at: float
    changed_at: float
    why: str

    @property
    def held_micro(self) -> int:
        """Reserved and not spent; 0 once it is over."""
        return max(0, self.amount_micro - self.spent_micro) if self.state.is_open else 0


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of one boot generation of a node. Prices per hour; times Unix seconds, None: not yet.

    `token` is what makes its launch idempotent; `deadline_at` is when its money ends: it ends itself then.
    """

    node: str
    generation: int
    res_id: int
    partition: str
    provider: str
    token: str
    state: InstanceState
    price_cap_micro: int
    billed_least_s: float
    intended_at: float
    deadline_at: float
    instance_type: str = ""
    purchase: Purchase | None = None
    zone: str = ""
    instance_id: str = ""
    price_micro: int = 0
    on_demand_micro: int = 0
    launched_at: float | None = None
    ended_at: float | None = None
    cost_micro: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger, never changed.

    `kind`: reserve, top-up, commit, spend, release, expire, overrun, cap. `reserved_micro` and `spent_micro`
    are what it adds to the balances (negative: takes away). `hash` is SHA-256 over the one before it and its
    own fields.
    """

    seq: int
    at: float
    kind: str
    res_id: int
    payer: Payer
    reserved_micro: int
    spent_micro: int
    what: str
    by: str
    hash: str


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of a cap is used in its running period; `since` is its begin, Unix seconds (TOTAL: 0)."""

    cap: Cap
    name: str
    since: float
    reserved_micro: int
    spent_micro: int

    @property
    def used_micro(self) -> int:
        """What no other job can have."""
        return self.reserved_micro + self.spent_micro


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry: whoever keeps its hash elsewhere notices when the ledger was cut or rewritten."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class CapInForce:
    """A cap that counts, and where it comes from: "burst.toml" or "set". `at` Unix seconds.

    `hidden_micro` is what burst.toml says where an admin set another; None: nothing.
    """

    cap: Cap
    source: str
    at: float
    by: str
    hidden_micro: int | None = None


@dataclass(frozen=True, slots=True)
class AlertKey:
    """What makes an alert the same alert. `sink` stands for whom it is told to, and does not show it."""

    level: Level
    name: str
    period: Period
    since_us: int
    limit_micro: int
    share_ppm: int
    sink: str

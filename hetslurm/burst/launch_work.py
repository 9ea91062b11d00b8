"""What the launch loop works on, what becomes of it, and which offering is its turn. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hetslurm.burst.launch_prices import Prices
from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.ledger.values import Instance
from hetslurm.cloudburst.offerings import Offering, offerings
from hetslurm.cloudburst.pace import Pace
from hetslurm.cloudburst.policy import CloudPool
from hetslurm.cloudburst.provider.protocol import Provider, ProviderError, Quote, Seen, Trouble


@dataclass(frozen=True, slots=True)
class Started:
    """The node's instance exists."""

    seen: Seen


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Why there is no instance. `trouble` is a Trouble, or "interrupted".

    `final`: there is none and the book says so. Else the intent stays in the book: it may exist, or be had
    later, and the next run goes on with it.
    """

    trouble: str
    why: str
    final: bool


Outcome = Started | NotStarted


@dataclass(slots=True, eq=False)
class Work:
    """One intent. `tried` is what it was ordered as last; `unsure`: that may have happened.

    `recorded`: it did, and the book says so. `trouble` and `why` are the last that was heard of it.
    """

    instance: Instance
    pool: CloudPool
    tried: Offering | None = None
    unsure: bool = False
    recorded: bool = False
    trouble: str = ""
    why: str = ""

    @classmethod
    def of(cls, instance: Instance, pool: CloudPool) -> Work:
        """The book's intent; one that was ordered before may have happened."""
        if instance.purchase is None:
            return cls(instance, pool)
        tried = Offering(instance.purchase, instance.zone, instance.price_micro, instance.on_demand_micro)
        return cls(instance, pool, tried, unsure=True)

    @property
    def cap_micro(self) -> int:
        """The most an hour may cost: what was reserved with, or the policy's where that was lowered since."""
        return min(self.pool.max_price_micro, self.instance.price_cap_micro)

    def heard(self, error: ProviderError) -> None:
        """Remember the provider's word."""
        self.trouble, self.why = error.trouble, str(error)

    def not_started(self, trouble: str, why: str) -> NotStarted:
        """The end of it, for now or for good."""
        return NotStarted(trouble, why, final=not self.unsure)


@dataclass(slots=True)
class Lane:
    """What one provider is to launch, when it may be asked next, and why not before."""

    name: str
    provider: Provider
    pace: Pace
    prices: Prices
    queue: list[Work] = field(default_factory=list)
    ready_at: float = 0.0
    waits_for: str = Trouble.THROTTLE
    failures: int = 0


def choose(
    work: Work, quotes: Sequence[Quote], cooled: Sequence[Cooldown], now: float
) -> Offering | NotStarted:
    """The offering to try now, or why there is none.

    What may have happened is asked for again as it was, whatever rests meanwhile, and as nothing else.
    """
    if now + work.pool.boot_s >= work.instance.deadline_at:
        why = "its money would end before it has booted"
        return work.not_started(
            work.trouble or Trouble.UNAVAILABLE, f"{why}; {work.why}" if work.why else why
        )
    if not work.unsure or work.tried is None:
        choice = offerings(work.pool, quotes, cooled, cap_micro=work.cap_micro, now=now)
        return choice.offerings[0] if choice.offerings else work.not_started(choice.trouble, choice.why_none)
    choice = offerings(work.pool, quotes, (), cap_micro=work.cap_micro, now=now)
    for offering in choice.offerings:
        if (offering.purchase, offering.zone) == (work.tried.purchase, work.tried.zone):
            return offering
    why = f"{work.tried.purchase} was ordered and may exist, but may not be ordered again: {choice.why_none}"
    return work.not_started(Trouble.PRICE, why)

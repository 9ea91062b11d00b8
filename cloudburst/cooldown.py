"""What a provider's "no" means for the next try: wait, take another offering, or give the pool up. Pure.

capacity, price   this zone and purchase option of the pool rest; the next offering is tried
quota             the purchase option rests in every pool of the provider; the next one is tried
configuration     the whole pool rests, and an admin is told: no other offering of it would do
throttle          nothing is missing: the same again, later, and slower
unavailable       it may have happened: the same again, with the same token, later
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hetslurm.cloudburst.policy import EACH, CloudPool, Purchase, Retry
from hetslurm.cloudburst.provider.protocol import ProviderError, Trouble

# The reaction of the reconciler to an instance that was taken away; `Retry.cooldown_s` has its time, too.
INTERRUPTED = "interrupted"
# However short an admin makes it: or the same offering would be asked for again and again.
LEAST_S = 1.0
# Troubles that say nothing about an offering: it is tried again when the time is over, and never passed by.
PAUSES = frozenset({Trouble.THROTTLE, Trouble.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Cooldown:
    """An offering that rests until then (Unix seconds). `zone` and `purchase` may be "*": each.

    `trouble` is a Trouble or "interrupted".
    """

    partition: str
    zone: str
    purchase: str
    trouble: str
    until: float
    why: str

    def covers(self, partition: str, zone: str, purchase: Purchase, now: float) -> bool:
        """Whether it keeps this offering from being tried now."""
        return (
            self.partition == partition
            and self.zone in (EACH, zone)
            and self.purchase in (EACH, purchase)
            and self.until > now
        )

    @property
    def is_pause(self) -> bool:
        """The provider is to be left alone for a while; the offering itself may be there."""
        return self.trouble in PAUSES


class Step(StrEnum):
    """What the launch does next with the node."""

    NEXT = "next"
    AGAIN = "again"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Reaction:
    """What to do about a ProviderError, and what rests meanwhile."""

    step: Step
    cool: tuple[Cooldown, ...]


def react(
    error: ProviderError,
    *,
    pool: CloudPool,
    zone: str,
    purchase: Purchase,
    pools: Iterable[CloudPool],
    retry: Retry,
    now: float,
) -> Reaction:
    """The reaction to what became of one order; `pools` are all of the policy."""
    trouble = error.trouble
    if trouble in PAUSES:
        return Reaction(Step.AGAIN, ())
    until = now + max(LEAST_S, retry.cooldown_s.get(trouble, 0.0))
    why = str(error)
    if trouble is Trouble.QUOTA:
        siblings = sorted(other.partition for other in pools if other.provider == pool.provider)
        return Reaction(
            Step.NEXT,
            tuple(Cooldown(partition, EACH, purchase, trouble, until, why) for partition in siblings),
        )
    if trouble is Trouble.CONFIGURATION:
        return Reaction(Step.GIVE_UP, (Cooldown(pool.partition, EACH, EACH, trouble, until, why),))
    return Reaction(Step.NEXT, (Cooldown(pool.partition, zone, purchase, trouble, until, why),))


def paused_until(cooled: Sequence[Cooldown], partition: str) -> float:
    """When the provider of this partition may be asked again, Unix seconds; 0: now."""
    return max((one.until for one in cooled if one.partition == partition and one.is_pause), default=0.0)


def interrupted(
    partition: str, zone: str, purchase: Purchase, retry: Retry, now: float, why: str
) -> Cooldown:
    """An instance of this offering was taken away: others of it may be next."""
    until = now + retry.cooldown_s.get(INTERRUPTED, 0.0)
    return Cooldown(partition, zone, purchase, INTERRUPTED, until, why)

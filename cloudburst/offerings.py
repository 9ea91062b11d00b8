"""Which offerings of a pool may be launched now, in which order, and why the others may not. Pure.

Fail closed: what has no price, or only an old one, is not launched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.provider.protocol import Quote, Trouble
from hetslurm.units import MICRO

# An older quote is no price.
QUOTE_MAX_AGE_S = 300.0


@dataclass(frozen=True, slots=True)
class Offering:
    """A purchase option in a zone ("": the provider has none), with its price an hour."""

    purchase: Purchase
    zone: str
    price_micro: int
    on_demand_micro: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an offering may not be launched. `trouble` is a Trouble or "interrupted"."""

    purchase: Purchase
    zone: str
    trouble: str
    why: str

    def __str__(self) -> str:
        place = f"{self.purchase} in {self.zone}" if self.zone else str(self.purchase)
        return f"{place}: {self.why}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What may be tried, best first, and what may not."""

    offerings: tuple[Offering, ...]
    refusals: tuple[Refusal, ...]

    @property
    def why_none(self) -> str:
        """Every refusal in words."""
        return "; ".join(map(str, self.refusals)) or "the pool has no offering"

    @property
    def trouble(self) -> str:
        """The trouble that stands first in the admin's order; no offering at all is a mistake of his."""
        return self.refusals[0].trouble if self.refusals else Trouble.CONFIGURATION


def offerings(
    pool: CloudPool, quotes: Iterable[Quote], cooled: Sequence[Cooldown], *, cap_micro: int, now: float
) -> Choice:
    """Offerings of the pool: purchase options as the admin wrote them, in each the cheapest zone first.

    `cap_micro` per instance and hour: nothing dearer, whatever the pool says. Equal prices: zones as the
    admin wrote them.
    """
    cap = min(cap_micro, pool.max_price_micro)
    fresh = {
        (quote.purchase, quote.zone): quote
        for quote in quotes
        if quote.instance_type == pool.instance_type and abs(now - quote.seen_at) <= QUOTE_MAX_AGE_S
    }
    found: list[Offering] = []
    refused: list[Refusal] = []
    for purchase in pool.purchases:
        zones = pool.zones or tuple(sorted(zone for option, zone in fresh if option is purchase)) or ("",)
        here: list[Offering] = []
        for zone in zones:
            quote = fresh.get((purchase, zone))
            rests = next((one for one in cooled if one.covers(pool.partition, zone, purchase, now)), None)
            if rests is not None and not rests.is_pause:
                refused.append(Refusal(purchase, zone, rests.trouble, f"rests: {rests.why}"))
            elif quote is None or quote.price_micro < 0:
                refused.append(Refusal(purchase, zone, Trouble.PRICE, "no price to be had"))
            elif quote.price_micro > cap:
                why = f"{_money(quote.price_micro)} an hour is above the {_money(cap)} allowed"
                refused.append(Refusal(purchase, zone, Trouble.PRICE, why))
            else:
                here.append(Offering(purchase, zone, quote.price_micro, quote.on_demand_micro))
        found += sorted(here, key=lambda offering: offering.price_micro)
    return Choice(tuple(found), tuple(refused))


def _money(micro: int) -> str:
    return f"{micro / MICRO:.4f}"

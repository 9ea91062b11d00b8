"""Prices, asked for seldom: spot by zone for a minute, on-demand for hours."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.provider.ec2.errors import error_of
from hetslurm.cloudburst.provider.ec2.prices import (
    PRODUCT,
    micro_of_usd,
    newest_spot_usd,
    on_demand_usd,
    price_filters,
)
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.cloudburst.provider.protocol import Quote

SPOT_AGE_S = 60.0
LIST_AGE_S = 6 * 3600.0
# A price list that cannot be read is asked for again only then.
FAILED_AGE_S = 300.0


class Quotes:
    """By what AWS says first, by the admin's table where it says nothing. No price, no quote."""

    def __init__(self, settings: Ec2Settings, ec2: Any, pricing: Any, clock: Clock) -> None:
        self._settings = settings
        self._ec2 = ec2
        self._pricing = pricing
        self._clock = clock
        self._lock = threading.Lock()
        self._spot: dict[str, tuple[float, float, dict[str, int]]] = {}
        self._listed: dict[str, tuple[float, int | None]] = {}

    def of_pool(self, pool: CloudPool, zones: tuple[str, ...]) -> tuple[Quote, ...]:
        """Quotes of the pool's purchase options in these zones. ProviderError: spot prices cannot be read."""
        kind = pool.instance_type
        on_demand = self.on_demand_micro(kind)
        now = self._clock.now()
        found = []
        for purchase in pool.purchases:
            if purchase is Purchase.SPOT:
                seen_at, by_zone = self._spot_micro(kind)
                if by_zone:
                    # Where EC2 or the template chooses the zone, it may be the dearest.
                    by_zone = {**by_zone, "": max(by_zone.values())}
                found += [
                    Quote(kind, purchase, zone, by_zone[zone], on_demand or 0, seen_at)
                    for zone in zones
                    if zone in by_zone
                ]
                continue
            price = on_demand
            if purchase is Purchase.RESERVED:
                price = self._settings.reserved_prices.get(kind, on_demand)
            if price is not None:
                found += [Quote(kind, purchase, zone, price, on_demand or 0, now) for zone in zones]
        return tuple(found)

    def on_demand_micro(self, kind: str) -> int | None:
        """An hour's price, or None where nobody says."""
        declared = self._settings.prices.get(kind)
        if self._pricing is None:
            return declared
        now = self._clock.monotonic()
        with self._lock:
            until, listed = self._listed.get(kind, (0.0, None))
            if now >= until:
                usd = self._ask_list(kind)
                listed = None if usd is None else micro_of_usd(usd, self._settings.usd_rate)
                self._listed[kind] = (now + (FAILED_AGE_S if usd is None else LIST_AGE_S), listed)
        return declared if listed is None else listed

    def _ask_list(self, kind: str) -> Decimal | None:
        """A list that cannot be read is no price: what is left is the admin's table, or none."""
        try:
            answer: Mapping[str, Any] = self._pricing.get_products(
                ServiceCode="AmazonEC2", Filters=price_filters(kind, self._settings.region), MaxResults=100
            )
        except Exception:
            return None
        return on_demand_usd(answer.get("PriceList") or ())

    def _spot_micro(self, kind: str) -> tuple[float, dict[str, int]]:
        now = self._clock.monotonic()
        with self._lock:
            until, seen_at, by_zone = self._spot.get(kind, (0.0, 0.0, {}))
            if now >= until:
                seen_at = self._clock.now()
                usd = newest_spot_usd(self._ask_spot(kind, seen_at))
                by_zone = {zone: micro_of_usd(price, self._settings.usd_rate) for zone, price in usd.items()}
                self._spot[kind] = (now + SPOT_AGE_S, seen_at, by_zone)
        return seen_at, by_zone

    def _ask_spot(self, kind: str, now: float) -> list[Mapping[str, Any]]:
        pages = self._ec2.get_paginator("describe_spot_price_history").paginate(
            InstanceTypes=[kind],
            ProductDescriptions=[PRODUCT],
            # The prices of now: since when each holds is in its timestamp.
            StartTime=now,
            PaginationConfig={"PageSize": 1000},
        )
        try:
            return [entry for page in pages for entry in page.get("SpotPriceHistory") or ()]
        except Exception as error:
            raise error_of(error, f"spot prices of {kind}") from error

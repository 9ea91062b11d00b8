"""What EC2 asks: dollars as AWS writes them, and whole micro-units of the site's currency. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from hetslurm.units import MICRO

# The product of an instance as almost everybody rents it.
PRODUCT = "Linux/UNIX"
_STEP = Decimal("0.000001")


def price_filters(instance_type: str, region: str) -> list[dict[str, str]]:
    """Filters of pricing:GetProducts that leave the one product of a plain Linux instance."""
    wanted = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    return [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]


def on_demand_usd(price_list: Iterable[object]) -> Decimal | None:
    """The dearest on-demand price an hour among the products; None where none has any."""
    found: list[Decimal] = []
    for product in price_list:
        try:
            value = json.loads(product) if isinstance(product, str) else product
            terms = value["terms"]["OnDemand"]  # type: ignore[index]
            found += [
                Decimal(dimension["pricePerUnit"]["USD"])
                for term in terms.values()
                for dimension in term["priceDimensions"].values()
                if dimension.get("unit") == "Hrs"
            ]
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation):
            continue
    # A price of nothing is a product that is not sold so.
    positive = [price for price in found if price.is_finite() and price > 0]
    return max(positive, default=None)


def newest_spot_usd(history: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """By zone: the newest price an hour."""
    newest: dict[str, tuple[datetime, Decimal]] = {}
    for zone, at, price in _entries(history):
        if zone not in newest or at > newest[zone][0]:
            newest[zone] = (at, price)
    return {zone: price for zone, (_, price) in newest.items()}


def dearest_usd(history: Iterable[Mapping[str, Any]], since: float, until: float) -> Decimal | None:
    """The dearest price in force between two Unix times; None: nothing is known of that time.

    Each entry holds from its timestamp to the next one's.
    """
    changes = sorted((at.timestamp(), price) for _, at, price in _entries(history))
    in_force = [price for at, price in changes if at <= since][-1:]
    later = [price for at, price in changes if since < at <= until]
    return max([*in_force, *later], default=None)


def _entries(history: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, datetime, Decimal]]:
    for entry in history:
        at = entry.get("Timestamp")
        try:
            price = Decimal(str(entry.get("SpotPrice")))
        except InvalidOperation:
            continue
        if price.is_finite() and price > 0 and isinstance(at, datetime):
            yield str(entry.get("AvailabilityZone", "")), at, price


def micro_of_usd(usd: Decimal, usd_rate_micro: int) -> int:
    """Dollars as micro-units of the site's currency, rounded up; one dollar is `usd_rate_micro` of them."""
    return int((usd * usd_rate_micro).to_integral_value(ROUND_CEILING))


def usd_of_micro(micro: int, usd_rate_micro: int) -> str:
    """Micro-units as dollars for a request, rounded down, so that nothing dearer is bought."""
    usd = (Decimal(micro) / Decimal(usd_rate_micro)).quantize(_STEP, ROUND_FLOOR)
    return f"{usd:f}"


def micro_to_text(micro: int) -> str:
    """For messages."""
    return f"{Decimal(micro) / MICRO:.4f}"

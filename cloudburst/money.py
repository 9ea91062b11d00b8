"""Money as whole micro-units of the site's currency, rounded up wherever something must be rounded."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from math import ceil

from hetslurm.units import MICRO

HOUR_S = 3600


def micro_of(amount: Decimal) -> int:
    """An amount of the currency as micro-units, rounded up."""
    return int((amount * MICRO).to_integral_value(ROUND_CEILING))


def cost_micro(price_micro_per_hour: int, seconds: float, *, count: int = 1, least_s: float = 0.0) -> int:
    """What `count` instances cost for `seconds`, billed by the second begun and for `least_s` at least.

    Whole micro-units, rounded up; never less than what a provider that bills by the second asks.
    """
    if price_micro_per_hour < 0 or seconds < 0 or count < 0:
        raise ValueError("prices, times and counts are not negative")
    billed_s = ceil(max(seconds, least_s))
    return -(-price_micro_per_hour * billed_s * count // HOUR_S)


def text_of(micro: int) -> str:
    """Micro-units as `12.50`: exact, with two digits after the point or as many as it needs."""
    whole, part = divmod(abs(micro), MICRO)
    digits = f"{part:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{whole}.{digits}"

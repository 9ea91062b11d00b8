"""Text for times and money, in the forms Slurm's users know."""

from __future__ import annotations

MICRO = 1_000_000


def render_duration(seconds: float) -> str:
    """Seconds as `35s`, `12m`, `3h20m` or `2d4h`: two units at most, rounded to the smaller."""
    s = max(0, round(seconds))
    if s < 60:
        return f"{s}s"
    minutes = round(s / 60)
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    days, hours = divmod(round(s / 3600), 24)
    return f"{days}d{hours}h" if hours else f"{days}d"


def render_money(micro: float, currency: str) -> str:
    """Millionths of a currency as `1.20 EUR`; four digits where two would hide it."""
    value = micro / MICRO
    digits = 2 if value == 0 or abs(value) >= 0.1 else 4
    return f"{value:.{digits}f} {currency}".rstrip()

"""Times as people give them to a report: a date, an ISO time, or how long ago. Pure; all of it is UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_AGO = re.compile(r"(\d+)([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_when(text: str, now: float) -> float:
    """Unix seconds of `2026-11-01` (its begin), `2026-11-01T12:30[:15][Z|+01:00]`, or `7d`: so long ago.

    A time without a zone is UTC. ValueError says what can be written.
    """
    words = text.strip()
    ago = _AGO.fullmatch(words.lower())
    if ago:
        return max(0.0, now - int(ago[1]) * _UNIT_S[ago[2]])
    try:
        when = datetime.fromisoformat(words)
        return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is no time; write a date (2026-11-01), a time (2026-11-01T12:30Z) or how long ago "
            "(90m, 12h, 7d, 4w)"
        ) from None


def show_when(at: float) -> str:
    """`2026-11-01 12:30 UTC`."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def show_period(since: float, until: float | None, now: float) -> str:
    """From when to when."""
    return f"{show_when(since)} to {show_when(now if until is None else until)}"

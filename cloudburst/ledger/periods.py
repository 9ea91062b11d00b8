"""When a cap's running period began. Pure; periods are of UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from hetslurm.cloudburst.policy import Period

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US


def since_us(period: Period, at_us: int) -> int:
    """The begin of the period that holds `at_us`; both microseconds since 1970. TOTAL begins at 0."""
    match period:
        case Period.HOUR:
            return at_us - at_us % _HOUR_US
        case Period.DAY:
            return at_us - at_us % _DAY_US
        case Period.MONTH:
            day = datetime.fromtimestamp(at_us // 1_000_000, UTC)
            return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 1_000_000
        case Period.TOTAL:
            return 0


def starts_us(at_us: int) -> tuple[tuple[Period, int], ...]:
    """Every period and when the one that holds `at_us` began."""
    return tuple((period, since_us(period, at_us)) for period in Period)

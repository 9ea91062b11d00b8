"""Times as people write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.cloudburst.report_period import parse_when, show_period

NOW = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2023-11-14", 1_699_920_000),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-14 23:13:20+01:00", NOW),
        ("7d", NOW - 7 * 86400),
        ("12h", NOW - 43200),
        ("90m", NOW - 5400),
        ("30s", NOW - 30),
        ("2W", NOW - 14 * 86400),
        ("99999999w", 0),
        ("0001-01-01", 0),
    ],
)
def test_dates_times_and_durations_are_times_in_utc(text: str, at: float) -> None:
    assert parse_when(text, NOW) == at


@pytest.mark.parametrize("text", ["", "yesterday", "7", "d", "-3d", "2023-13-01", "1.5d", "٧d"])
def test_anything_else_is_refused_with_what_can_be_written(text: str) -> None:
    with pytest.raises(ValueError, match="write a date"):
        parse_when(text, NOW)


@given(st.text(max_size=20))
def test_no_text_does_anything_else(text: str) -> None:
    with suppress(ValueError):
        assert parse_when(text, NOW) >= 0


def test_a_period_without_an_end_ends_now() -> None:
    assert show_period(0, None, NOW) == "1970-01-01 00:00 UTC to 2023-11-14 22:13 UTC"

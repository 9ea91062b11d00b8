"""Deadlines: from submit, or a moment of some zone's clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from hetslurm.errors import DirectiveError
from hetslurm.job import Request
from hetslurm.native.parser import parse

ZONES = {
    "Greenwich": "UTC0",
    "Berlin": "CET-1CEST,M3.5.0,M10.5.0/3",
    "Sydney": "AEST-10AEDT,M10.1.0,M4.1.0/3",
    "St. John's": "NST3:30NDT,M3.2.0,M11.1.0",
    "Kathmandu": "NPT-5:45",
}

IN_ZONE = """
import sys, time
from hetslurm.native.parser import parse
for text in sys.argv[1:]:
    request = parse(None, f"target=cpu;deadline={text}".encode())
    print(request.deadline_at, int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))))
"""


def ask(deadline: str) -> Request:
    request = parse(f"#HET target=cpu deadline={deadline}\n".encode())
    assert request is not None
    return request


def read_in_zone(zone: str, texts: list[str]) -> list[tuple[int, int]]:
    """(what the parser, what libc says) of each local time, in a process whose clock is in zone."""
    command = [sys.executable, "-P", "-c", IN_ZONE, *texts]
    out = subprocess.run(
        command, env=os.environ | {"TZ": zone}, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return [(int(ours), int(libc)) for ours, libc in (line.split() for line in out.splitlines())]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+6h", 21_600),
        ("+90m", 5400),
        ("+2d", 172_800),
        ("+45s", 45),
        ("+1d12h", 129_600),
        ("+1d2h3m4s", 93_784),
        ("+1:30:00", 5400),
        ("+90", 5400),
        ("+1-12", 129_600),
    ],
)
def test_a_deadline_may_count_from_submit(text: str, seconds: int) -> None:
    request = ask(text)
    assert (request.deadline_in_s, request.deadline_at) == (seconds, None)


@pytest.mark.parametrize(
    "text",
    [
        "", "+", "6h", "+0h", "+6x", "+1h1h", "+1m1h", "+h", "++6h", "+1.5h", "+6H", "+49711d",
        "now+6hours", "tomorrow", "2030-12-01", "2030-12-01T12", "2030-12-01T12:", "2030-13-01T12:00",
        "2030-00-01T12:00", "2030-02-30T12:00", "2030-02-29T12:00", "2030-04-31T12:00",
        "2030-12-00T12:00", "2030-12-01T24:00", "2030-12-01T12:60", "2030-12-01T12:00:60",
        "2030-12-01 12:00", "2030-12-01T12:00z", "2030-12-01T12:00+24:00", "2030-12-01T12:00+01:60",
        "2030-12-01T12:00+0100", "1969-12-31T23:59Z", "1970-01-01T00:00Z", "30-12-01T12:00",
        "9999-12-31T23:59-01:00",
    ],
)  # fmt: skip
def test_anything_else_is_no_deadline(text: str) -> None:
    with pytest.raises(DirectiveError, match=r"is not a value of deadline; expected \+DURATION"):
        ask(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-12-01T12:00Z", "2030-12-01T12:00:00+00:00"),
        ("2030-12-01T12:00:59Z", "2030-12-01T12:00:59+00:00"),
        ("2030-12-01T12:00+05:45", "2030-12-01T12:00:00+05:45"),
        ("2030-12-01T12:00:01-03:30", "2030-12-01T12:00:01-03:30"),
        ("2028-02-29T23:59:59Z", "2028-02-29T23:59:59+00:00"),
        ("2000-02-29T00:00Z", "2000-02-29T00:00:00+00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_a_moment_may_say_its_zone(text: str, moment: str) -> None:
    request = ask(text)
    assert request.deadline_at == int(datetime.fromisoformat(moment).timestamp())
    assert request.deadline_in_s is None


def test_every_day_of_four_centuries_is_where_the_calendar_has_it() -> None:
    day = datetime(1970, 1, 2, tzinfo=UTC)
    while day.year < 2400:
        assert ask(day.strftime("%Y-%m-%dT00:00Z")).deadline_at == int(day.timestamp())
        day += timedelta(days=13)


@pytest.mark.parametrize("zone", ZONES.values(), ids=ZONES.keys())
def test_a_moment_without_a_zone_is_on_the_local_clock(zone: str) -> None:
    start = datetime.fromtimestamp(int(time.time()) // 86400 * 86400, tz=UTC)
    # Noon is never skipped nor read twice, so libc and we must agree.
    noons = [(start + timedelta(days=9 * n)).strftime("%Y-%m-%dT12:00:00") for n in range(-30, 400)]
    for text, (ours, libc) in zip(noons, read_in_zone(zone, noons), strict=True):
        assert ours == libc, text


def test_an_hour_read_twice_is_the_first_and_a_skipped_one_is_after_the_gap() -> None:
    year = datetime.now(tz=UTC).year + 1
    march = max(day for day in range(25, 32) if datetime(year, 3, day, tzinfo=UTC).weekday() == 6)
    october = max(day for day in range(25, 32) if datetime(year, 10, day, tzinfo=UTC).weekday() == 6)
    texts = [f"{year}-03-{march}T02:30:00", f"{year}-10-{october}T02:30:00"]
    skipped, twice = (ours for ours, _ in read_in_zone(ZONES["Berlin"], texts))
    assert skipped == int(datetime(year, 3, march, 1, 30, tzinfo=UTC).timestamp())
    assert twice == int(datetime(year, 10, october, 0, 30, tzinfo=UTC).timestamp())

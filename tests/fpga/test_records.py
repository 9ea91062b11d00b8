"""The driver's error records, and counting past the 32 that it keeps."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from hetslurm.fpga.records import CAPACITY, FILE_BYTES, ErrorRecord, Tally, parse_records

# Class hardware, module firewall, severity critical, driver xclmgmt, number 1 (xrt_error_code.h).
FIREWALL = 3 << 40 | 1 << 32 | 3 << 24 | 2 << 16 | 1


def _file(records: list[ErrorRecord]) -> bytes:
    body = b"".join(struct.pack("<QQI4x", record.code, record.time, record.pid) for record in records)
    return (struct.pack("<i4x", len(records)) + body).ljust(FILE_BYTES, b"\0")


def test_records_are_read_oldest_first() -> None:
    records = [ErrorRecord(FIREWALL, 1700000000, 0), ErrorRecord(FIREWALL + 13, 1700000009, 4711)]
    assert parse_records(_file(records)) == tuple(records)


def test_a_record_says_what_it_means() -> None:
    assert ErrorRecord(FIREWALL, 0, 0).text == "firewall trip (critical)"
    assert ErrorRecord(FIREWALL + 998, 0, 0).text == "error 999 (critical)"
    assert ErrorRecord(0, 0, 0).text == "error 0"


def test_a_count_that_cannot_be_makes_no_records() -> None:
    for count in (-1, CAPACITY + 1):
        assert parse_records(struct.pack("<i", count).ljust(FILE_BYTES, b"\0")) is None


@given(st.lists(st.integers(0, CAPACITY), max_size=20))
def test_errors_are_counted_past_what_the_driver_keeps(steps: list[int]) -> None:
    """Holds while no more than the driver keeps come between two looks."""
    tally, happened = Tally(), 0
    for step in steps:
        happened += step
        newest = range(max(0, happened - CAPACITY), happened)
        assert tally.add(tuple(ErrorRecord(FIREWALL, time, 0) for time in newest)) == happened


def test_a_driver_that_forgot_takes_no_error_back() -> None:
    tally = Tally()
    tally.add((ErrorRecord(FIREWALL, 1, 0), ErrorRecord(FIREWALL, 2, 0)))
    assert tally.add(()) == 2
    assert tally.add((ErrorRecord(FIREWALL, 3, 0),)) == 3

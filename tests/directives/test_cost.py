"""Reading costs what is read: the leading lines, never the whole script."""

from __future__ import annotations

import time

import pytest

from hetslurm.native.parser import parse

MIB = 1 << 20
HEADER = b"#!/bin/sh\n#SBATCH -n 1\n#HET target=cpu cpus=4\n#HET target=gpu cpus=4\n\n"


def best_s(script: bytes, repeats: int = 15) -> float:
    """The shortest of some readings, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        parse(script)
        times.append(time.perf_counter() - start)
    return min(times)


def test_a_long_script_costs_no_more_than_its_leading_lines() -> None:
    short, long = HEADER + b"true\n", HEADER + b"echo 1234567\n" * (4 * MIB // 13)
    assert best_s(long, 200) < 5 * best_s(short, 200) + 20e-6


@pytest.mark.parametrize(
    "unit",
    [b"\n", b" ", b"#\n", b"#HET \n", b"# " + b"x" * 60 + b"\n", b"#", b"\r\n", b" #\n", b"#SBATCH \n"],
)
def test_four_mebibytes_of_leading_lines_are_read_in_a_blink(unit: bytes) -> None:
    # 1 to 6 ms on two shared cores of 2023: 100 ms leaves room for a slow machine, none for a square.
    assert best_s(unit * (4 * MIB // len(unit))) < 0.1


def test_a_line_of_the_longest_kind_costs_in_proportion() -> None:
    short = b"#HET target=cpu data=/a:1\n"
    many = b"#HET target=cpu" + b" " * 4000 + b"cpus=4\n"
    assert best_s(many, 200) < 50 * best_s(short, 200) + 100e-6

"""Memory, pressure, processors, clock: numbers as the kernel writes them, and unknown where it does not."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.host.clock import STA_NANO, STA_UNSYNC, clock_values, read_clock, read_kernel_clock
from hetslurm.host.memory import parse_meminfo, parse_oom_kills, read_memory
from hetslurm.host.pressure import parse_pressure, read_pressure
from hetslurm.host.processors import parse_cpu_list, parse_first, read_processors

Golden = Callable[[str], str]


def test_memory_is_read_as_the_kernel_writes_it(golden: Golden) -> None:
    values = parse_meminfo(golden("meminfo"))
    assert values["mem_total_mb"] == 528216448 / 1024
    assert values["mem_available_mb"] == 498073600 / 1024
    assert values["swap_used_ratio"] == pytest.approx(0.25, abs=1e-6)


def test_a_machine_without_swap_uses_none() -> None:
    assert parse_meminfo("MemTotal: 8 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")["swap_used_ratio"] == 0.0


@pytest.mark.parametrize("text", ["", "MemTotal:\n", "MemTotal: many kB\nSwapTotal: x kB", "\0\xff"])
def test_memory_that_nobody_says_is_unknown(text: str) -> None:
    assert all(math.isnan(value) for value in parse_meminfo(text).values())


def test_a_name_inside_another_is_not_taken_for_it() -> None:
    values = parse_meminfo("NotMemTotal: 4 kB\nSwapTotals: 8 kB\n")
    assert all(math.isnan(value) for value in values.values())


def test_oom_kills_are_counted_since_boot(golden: Golden) -> None:
    assert parse_oom_kills(golden("vmstat")) == 17
    assert parse_oom_kills("oom_kill 3") == 3


def test_oom_kills_are_unknown_on_an_old_kernel() -> None:
    assert math.isnan(parse_oom_kills("pgfault 3\nswap_ra 0\n"))


def test_pressure_is_the_share_of_the_last_ten_seconds(golden: Golden) -> None:
    assert parse_pressure(golden("pressure_memory"), "full") == 7.25
    assert parse_pressure(golden("pressure_memory"), "some") == 12.51


def test_a_kernel_without_pressure_accounts_says_nothing_of_it(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree({"proc/pressure/cpu": "some avg60=1\n"})
    assert math.isnan(read_pressure(str(root))["psi_cpu_some"])
    assert "psi_io_full" not in read_pressure(str(root))


def test_cpus_online_are_counted_from_their_list(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(
        {
            "sys/devices/system/cpu/online": "0-62,64-127\n",
            "proc/loadavg": "63.20 61.00 58.11 64/1822 99120\n",
            "proc/uptime": "864000.12 1728000.50\n",
        }
    )
    assert read_processors(str(root)) == {"cpus": 127.0, "load1": 63.2, "uptime_s": 864000.12}


def test_nothing_is_known_of_a_node_without_proc(make_tree) -> None:  # type: ignore[no-untyped-def]
    base = str(make_tree({}))
    assert read_processors(base) == read_memory(base) == read_pressure(base) == {}


def test_the_offset_of_an_undisciplined_clock_is_unknown() -> None:
    assert clock_values(STA_UNSYNC, 1500) == {"clock_synced": 0.0}


def test_the_offset_has_the_unit_that_the_kernel_says() -> None:
    assert clock_values(0, 1500)["clock_offset_s"] == pytest.approx(0.0015)
    assert clock_values(STA_NANO, -1500)["clock_offset_s"] == pytest.approx(-1.5e-6)


def test_a_clock_that_does_not_answer_is_unknown() -> None:
    assert read_clock(lambda: None) == {}


def test_the_kernel_of_this_machine_answers_about_its_clock() -> None:
    assert read_kernel_clock() is not None
    assert read_clock()["clock_synced"] in (0.0, 1.0)


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    parse_meminfo(text)
    parse_oom_kills(text)
    parse_pressure(text, "full")
    parse_first(text)
    parse_cpu_list(text)


@given(st.sets(st.integers(0, 4095), min_size=1))
def test_a_list_of_single_cpus_comes_back(cpus: set[int]) -> None:
    ordered = tuple(sorted(cpus))
    assert parse_cpu_list(",".join(map(str, ordered)) + "\n") == ordered

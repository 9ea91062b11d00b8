"""The speed of a node: measured only while it is idle, and never larger than it can bear."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.errors import ProbeError
from hetslurm.host.idle import count_job_steps, why_not_idle
from hetslurm.host.node import HostProbe
from hetslurm.host.speed import SpeedPlan, choose_elements, choose_order, measure_speed, read_result
from hetslurm.native.stream import triad
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState

SMALL = SpeedPlan(threads=2, elements=1 << 18, repeats=3, order=128, dgemm_s=0.1)


def _node(load: str = "0.10", **processes: tuple[str, str]) -> dict[str, str]:
    tree = {
        "proc/loadavg": f"{load} 0.20 0.30 1/99 1234\n",
        "proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 8388608 kB\n",
        "sys/devices/system/cpu/online": "0-15\n",
        "proc/1/comm": "systemd\n",
        "proc/self": "-> 1",
    }
    for pid, (comm, cmdline) in processes.items():
        tree |= {f"proc/{pid[1:]}/comm": comm + "\n", f"proc/{pid[1:]}/cmdline": cmdline}
    return tree


def test_a_node_with_a_job_step_is_not_idle(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(_node(p4711=("slurmstepd", "slurmstepd: [17.batch]\0")))
    assert "1 job steps" in why_not_idle(str(root))
    assert measure_speed(str(root), SMALL)[0] == {}


def test_the_keeper_of_slurms_cgroups_is_no_job_step(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(_node(p900=("slurmstepd", "/usr/sbin/slurmstepd\0infinity\0")))
    assert count_job_steps(str(root)) == 0
    assert why_not_idle(str(root)) == ""


def test_a_step_that_does_not_show_its_arguments_is_a_step(make_tree) -> None:  # type: ignore[no-untyped-def]
    assert count_job_steps(str(make_tree(_node(p901=("slurmstepd", ""))))) == 1


def test_a_loaded_node_is_not_idle(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(_node(load="1.61"))
    assert "load 1.61" in why_not_idle(str(root))
    assert why_not_idle(str(root), idle_load_per_cpu=0.2) == ""


def test_a_node_of_unknown_load_is_not_idle(make_tree) -> None:  # type: ignore[no-untyped-def]
    root: Path = make_tree(_node())
    (root / "proc/loadavg").unlink()
    assert why_not_idle(str(root)) != ""


def test_arrays_are_four_times_the_caches_or_nothing_is_measured() -> None:
    assert choose_elements(64 << 20, 64e9) * 8 == 4 * (64 << 20)
    assert choose_elements(64 << 20, 3e9) == 0
    assert choose_elements(64 << 20, math.nan) == 0


@given(st.integers(0, 1 << 34), st.floats(0, 1e13), st.integers(1, 4096))
def test_no_measurement_takes_more_than_a_fifth_of_the_memory(
    cache: int, available: float, threads: int
) -> None:
    assert 3 * 8 * choose_elements(cache, available) <= 0.2 * available
    order = choose_order(threads, available)
    assert 3 * 8 * order**2 <= 0.2 * available or order == 256


def test_an_idle_node_is_measured(make_tree) -> None:  # type: ignore[no-untyped-def]
    # Its files say that it is idle, whatever this machine does; the work is real.
    probe = HostProbe(AgentSite(kernel_log="/nowhere"), make_tree(_node()), speed=SMALL)
    sample = probe.measure()
    probe.close()
    assert (sample.state, sample.message) == (ProbeState.OK, "")
    values = sample.rows[0].values
    assert set(values) == {"mem_gbs", "dgemm_gflops"}
    assert 0.1 < values["mem_gbs"] < 100_000
    assert 0.01 < values["dgemm_gflops"] < 1_000_000


def test_a_busy_node_gives_an_empty_row_and_says_why(make_tree) -> None:  # type: ignore[no-untyped-def]
    probe = HostProbe(AgentSite(kernel_log="/nowhere"), make_tree(_node(load="9")), speed=SMALL)
    sample = probe.measure()
    assert sample.state == ProbeState.OK
    assert [dict(row.values) for row in sample.rows] == [{}]
    assert sample.message.startswith("not idle")


def test_what_cannot_be_measured_is_missing_and_says_why(make_tree) -> None:  # type: ignore[no-untyped-def]
    plan = SpeedPlan(threads=2, elements=1 << 60, order=64, dgemm_s=0.01)
    values, message = measure_speed(str(make_tree(_node())), plan)
    assert set(values) == {"dgemm_gflops"}
    assert message.startswith("mem_gbs: triad over")


def test_a_measurement_that_takes_too_long_is_ended(make_tree) -> None:  # type: ignore[no-untyped-def]
    values, message = measure_speed(str(make_tree(_node())), SpeedPlan(threads=1, deadline_s=0.01))
    assert values == {}
    assert "more than" in message


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"values": {"a": "b"}, "message": ""}', "null"])
def test_an_answer_that_cannot_be_read_gives_no_values(text: str) -> None:
    assert read_result(text) == ({}, "the measurement answered what cannot be read")


@pytest.mark.parametrize(("elements", "threads"), [(1, 1), (7, 2), (1000, 3), (4096, 16)])
def test_the_triad_runs_in_any_number_of_threads(elements: int, threads: int) -> None:
    assert 0 < triad(elements, threads, 2) < 60


@pytest.mark.parametrize(
    ("elements", "threads", "repeats"), [(0, 1, 1), (4, 0, 1), (4, 8, 1), (4, 5000, 1), (4, 1, 0)]
)
def test_a_triad_that_cannot_be_is_refused(elements: int, threads: int, repeats: int) -> None:
    with pytest.raises(ProbeError, match="Invalid argument"):
        triad(elements, threads, repeats)


def test_a_triad_that_does_not_fit_in_memory_is_refused() -> None:
    with pytest.raises(ProbeError, match="triad over"):
        triad(1 << 57, 1, 1)


def _children(parent: int) -> list[int]:
    """Processes whose parent is `parent`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                # The name may hold spaces and parentheses: the parent is the second word after the last one.
                state = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(state[1]) == parent:
                    found.append(int(folder.name))
    return found


def _until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def _has_ended(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_measurement_dies_with_its_probe(make_tree) -> None:  # type: ignore[no-untyped-def]
    code = (
        "import sys; from hetslurm.host.speed import SpeedPlan, measure_speed\n"
        "measure_speed(sys.argv[1], SpeedPlan(threads=1, elements=1 << 20, repeats=1 << 30))"
    )
    probe = subprocess.Popen([sys.executable, "-P", "-c", code, str(make_tree(_node()))])
    try:
        _until(lambda: any(_is_nice(child) for child in _children(probe.pid)))
        (workload,) = _children(probe.pid)
    finally:
        probe.kill()
        probe.wait()
    _until(lambda: _has_ended(workload))


def _is_nice(pid: int) -> bool:
    """It has given way to all others, the last thing it does before it works."""
    return os.getpriority(os.PRIO_PROCESS, pid) == 19

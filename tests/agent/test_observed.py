"""What stays known of a probe when runs fail, and how benchmarks join samples."""

from __future__ import annotations

import pytest

from hetslurm.agent.observed import Benchmark, Observed, merge, remember
from hetslurm.agent.runner import Run
from hetslurm.backoff import backoff_s
from hetslurm.telemetry import UNKNOWN, ProbeState, Row, Sample

ROW = Row({"load1": 1.0}, {"id": "a"})


def _run(state: ProbeState, *rows: Row, at: float = 10.0, message: str = "", probe: str = "host") -> Run:
    return Run(Sample(probe, state, rows, message), at, 0.5)


def test_a_good_run_replaces_all() -> None:
    seen = Observed("host", 0.0).after(_run(ProbeState.OK, ROW), {})
    assert (seen.state, seen.rows, seen.sampled_at, seen.runs, seen.took_s) == (
        ProbeState.OK,
        (ROW,),
        10.0,
        1,
        0.5,
    )


@pytest.mark.parametrize("state", [ProbeState.FAILED, ProbeState.TIMED_OUT, ProbeState.CRASHED])
def test_a_failed_run_leaves_the_last_good_rows_and_their_age(state: ProbeState) -> None:
    seen = Observed("host", 0.0).after(_run(ProbeState.OK, ROW), {})
    seen = seen.after(_run(state, at=20.0, message="why"), {})
    assert (seen.state, seen.message, seen.runs) == (state, "why", 2)
    assert (seen.rows, seen.sampled_at) == ((ROW,), 10.0)


def test_a_device_that_is_gone_leaves_no_rows() -> None:
    seen = Observed("gpu", 0.0).after(_run(ProbeState.OK, ROW, probe="gpu"), {})
    seen = seen.after(_run(ProbeState.ABSENT, at=20.0, probe="gpu"), {})
    assert (seen.state, seen.rows, seen.sampled_at) == (ProbeState.ABSENT, (), 20.0)


def test_before_the_first_run_the_age_is_that_of_the_agent() -> None:
    seen = Observed("host", 5.0)
    assert (seen.state, seen.rows, seen.runs, seen.sampled_at) == (ProbeState.PENDING, (), 0, 5.0)


def test_rates_join_later_samples_of_the_same_device_with_their_age() -> None:
    rows = (Row({"power_w": 100.0}, {"id": "a"}), Row({"power_w": 200.0}, {"id": "b"}))
    measured = _run(ProbeState.OK, Row({"copy_gbs": 3000.0}), Row({}), probe="gpu", at=50.0)
    known = remember({}, measured, rows)
    merged = merge((rows[1], rows[0]), known, at=80.0)
    assert merged[1].values == {"power_w": 100.0, "copy_gbs": 3000.0, "measured_age_s": 30.0}
    assert merged[0] == rows[1]


def test_a_device_that_was_left_alone_keeps_its_older_rates() -> None:
    rows = (Row({}, {"id": "a"}),)
    known = {"a": Benchmark({"copy_gbs": 3000.0}, 50.0)}
    busy = _run(ProbeState.OK, Row({}), probe="gpu", at=90.0)
    unknown = _run(ProbeState.OK, Row({"copy_gbs": UNKNOWN}), probe="gpu", at=90.0)
    assert remember(known, busy, rows) == known
    assert remember(known, unknown, rows) == known


def test_only_rates_are_taken_from_a_benchmark() -> None:
    run = _run(ProbeState.OK, Row({"copy_gbs": 1.0, "power_w": 9.0}, {"id": "a"}), probe="gpu")
    assert remember({}, run, ())["a"].rates == {"copy_gbs": 1.0}


def test_devices_without_a_name_are_known_by_their_place() -> None:
    run = _run(ProbeState.OK, Row({"mem_gbs": 20.0}), at=1.0)
    merged = merge((Row({"load1": 1.0}),), remember({}, run, (Row(),)), at=2.0)
    assert merged[0].values == {"load1": 1.0, "mem_gbs": 20.0, "measured_age_s": 1.0}


def test_back_off_grows_to_its_bound_and_never_in_step() -> None:
    middle = [backoff_s(n, first_s=5, longest_s=300, chance=lambda: 0.5) for n in range(1, 10)]
    assert middle == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert backoff_s(1, first_s=4, longest_s=300, chance=lambda: 0.0) == 2
    assert backoff_s(10**6, first_s=4, longest_s=300, chance=lambda: 1.0) == 450

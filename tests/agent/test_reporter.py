"""Sequence, ages and facts of an agent's reports."""

from __future__ import annotations

from array import array

from hetslurm.agent.observed import Observed
from hetslurm.agent.reporter import FACTS_EVERY, Reporter
from hetslurm.bus.wire import MAX_BYTES, Report, decode
from hetslurm.telemetry import HOST, ProbeState, Row


def _host(at: float = 100.0, kernel: str = "6.1", load: float = 0.5) -> Observed:
    row = Row({"load1": load}, {"id": "me", "kernel": kernel})
    return Observed("host", at, ProbeState.OK, rows=(row,), runs=3, took_s=0.25)


def _next(reporter: Reporter, *observed: Observed, now: float = 1e9, mono: float = 107.0) -> Report:
    return decode(reporter.report(observed, now=now, mono=mono))


def test_a_report_says_who_when_and_how_old() -> None:
    report = _next(Reporter("n1", 77, 5.0), _host())
    assert (report.node, report.agent, report.seq, report.sent_at, report.beat_s) == ("n1", 77, 1, 1e9, 5.0)
    (probe,) = report.probes
    assert (probe.probe, probe.state, probe.runs, probe.age_s, probe.took_s) == ("host", 1, 3, 7.0, 0.25)
    assert probe.columns == len(HOST)
    assert array("d", probe.values)[0] == 0.5


def test_reports_are_numbered_from_one() -> None:
    reporter = Reporter("n1", 77, 5.0)
    assert [_next(reporter, _host()).seq for _ in range(3)] == [1, 2, 3]


def test_age_goes_on_without_samples_and_survives_a_wall_clock_that_jumps() -> None:
    reporter = Reporter("n1", 77, 5.0)
    first = _next(reporter, _host(), now=1e9, mono=101.0)
    later = _next(reporter, _host(), now=1e9 - 7200, mono=161.0)
    assert [report.probes[0].age_s for report in (first, later)] == [1.0, 61.0]
    assert later.sent_at == 1e9 - 7200


def test_facts_come_first_on_change_and_every_twelfth_beat() -> None:
    reporter = Reporter("n1", 77, 5.0)
    told = {}
    for seq in range(1, 2 * FACTS_EVERY + 2):
        facts = _next(reporter, _host(kernel="6.1" if seq < 5 else "6.2")).facts
        if facts:
            told[seq] = facts["host"][0]["kernel"]
    assert told == {1: "6.1", 5: "6.2", FACTS_EVERY + 1: "6.2", 2 * FACTS_EVERY + 1: "6.2"}


def test_values_alone_bring_no_facts() -> None:
    reporter = Reporter("n1", 77, 5.0)
    _next(reporter, _host())
    assert _next(reporter, _host(load=9.0)).facts is None


def test_facts_that_do_not_fit_come_with_the_next_report() -> None:
    wide = Row({}, {f"f{i}": "x" * 1000 for i in range(40)})
    reporter = Reporter("n1", 77, 5.0)
    observed = [Observed(probe, 100.0, ProbeState.OK, rows=(wide,)) for probe in ("host", "link", "mount")]
    told = []
    for _ in range(3):
        data = reporter.report(observed, now=1e9, mono=101.0)
        assert len(data) <= MAX_BYTES
        told.append(sorted(decode(data).facts or {}))
    assert told == [["host"], ["link"], ["mount"]]


def test_facts_that_fit_no_report_are_given_up() -> None:
    wide = Row({}, {f"f{i}": "x" * 1000 for i in range(80)})
    reporter = Reporter("n1", 77, 5.0)
    observed = [Observed("host", 100.0, ProbeState.OK, rows=(wide,))]
    reports = [reporter.report(observed, now=1e9, mono=101.0) for _ in range(2)]
    assert all(len(data) < 1000 for data in reports)


def test_a_node_with_far_too_many_devices_still_reports() -> None:
    rows = tuple(Row({"up": 1.0}, {"id": str(i)}) for i in range(256))
    observed = [
        Observed(probe, 100.0, ProbeState.OK, rows=rows) for probe in ("host", "link", "mount", "gpu", "fpga")
    ]
    data = Reporter("n1", 77, 5.0).report(observed, now=1e9, mono=101.0)
    assert len(data) <= MAX_BYTES
    probes = {probe.probe: probe for probe in decode(data).probes}
    assert probes["gpu"].message == "too many devices for a report"
    assert len(probes["link"].values) == 256 * 8 * probes["link"].columns

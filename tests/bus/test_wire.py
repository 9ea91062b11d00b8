"""The wire form: what was written is read, and any other bytes are refused by kind."""

from __future__ import annotations

import math
import struct

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hetslurm.bus.wire import MAX_BYTES, PREFIX, ProbeReport, Report, WireError, decode, encode, probe_report
from hetslurm.telemetry import SCHEMAS, ProbeState, Row, Sample

KINDS = {"garbage", "oversized", "version"}
_seconds = st.floats(0, 1e9)


@st.composite
def probes(draw: st.DrawFn) -> ProbeReport:
    columns = draw(st.integers(1, 64))
    numbers = draw(st.lists(st.floats(), max_size=4)) * columns
    return ProbeReport(
        probe=draw(st.sampled_from([*SCHEMAS, "unheard of"])),
        state=draw(st.integers(0, max(ProbeState))),
        runs=draw(st.integers(0, 2**40)),
        age_s=draw(_seconds),
        took_s=draw(_seconds),
        columns=columns,
        values=struct.pack(f"<{len(numbers)}d", *numbers),
        message=draw(st.text(max_size=40)),
    )


reports = st.builds(
    Report,
    node=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
    agent=st.integers(0, 2**63 - 1),
    seq=st.integers(1, 2**63 - 1),
    sent_at=st.floats(-1e12, 1e12),
    beat_s=st.floats(0.001, 3600),
    probes=st.lists(probes(), max_size=3),
    facts=st.none() | st.just({"gpu": [{"id": "GPU-1"}]}),
)


@given(reports)
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    assert decode(encode(report)) == report
    assert decode(memoryview(encode(report))) == report


@given(st.binary(max_size=600), st.sampled_from([b"", PREFIX]))
@example(b"\xc1" * 8, PREFIX)
@example(b"\x91" * 5000, PREFIX)
@example(b"\xdd\xff\xff\xff\xff", PREFIX)
@settings(max_examples=500)
def test_any_bytes_are_a_report_or_are_refused_by_kind(data: bytes, prefix: bytes) -> None:
    _refused_or_right(prefix + data)


@given(reports, st.data())
@settings(max_examples=500)
def test_a_report_that_was_tampered_with_is_a_report_or_is_refused_by_kind(
    report: Report, data: st.DataObject
) -> None:
    changed = bytearray(encode(report))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        what = data.draw(st.sampled_from(["set", "cut", "insert", "drop"]))
        if what == "set":
            changed[at] = data.draw(st.integers(0, 255))
        elif what == "cut":
            del changed[max(1, at) :]
        elif what == "insert":
            changed[at:at] = data.draw(st.binary(max_size=9))
        elif len(changed) > 1:
            del changed[at]
    _refused_or_right(bytes(changed))


def _refused_or_right(data: bytes) -> None:
    try:
        report = decode(data)
    except WireError as error:
        assert error.kind in KINDS  # noqa: PT017  the other outcome is as good
        return
    assert report.node
    assert report.seq > 0
    assert math.isfinite(report.sent_at)
    for probe in report.probes:
        assert len(probe.values) % (8 * probe.columns) == 0


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"node": ""}, "garbage"),
        ({"node": "x" * 256}, "garbage"),
        ({"seq": 0}, "garbage"),
        ({"sent_at": math.nan}, "garbage"),
        ({"beat_s": 0.0}, "garbage"),
        ({"beat_s": math.nan}, "garbage"),
        ({"probes": [ProbeReport("gpu", 9, 1, 0.0, 0.0, 1, b"")]}, "garbage"),
        ({"probes": [ProbeReport("gpu", 1, 1, -1.0, 0.0, 1, b"")]}, "garbage"),
        ({"probes": [ProbeReport("gpu", 1, 1, math.nan, 0.0, 1, b"")]}, "garbage"),
        ({"probes": [ProbeReport("gpu", 1, 1, 0.0, 0.0, 0, b"")]}, "garbage"),
        ({"probes": [ProbeReport("gpu", 1, 1, 0.0, 0.0, 3, b"x" * 8)]}, "garbage"),
        ({"probes": [ProbeReport("gpu", 1, 1, 0.0, 0.0, 1, b"x" * 8 * 257)]}, "garbage"),
        ({"probes": [ProbeReport("gpu", 1, 1, 0.0, 0.0, 1, b"", "x" * MAX_BYTES)]}, "oversized"),
    ],
)
def test_a_report_that_cannot_be_is_refused(change: dict[str, object], kind: str) -> None:
    values = {"node": "n", "agent": 1, "seq": 1, "sent_at": 1.0, "beat_s": 5.0, "probes": [], **change}
    with pytest.raises(WireError) as refused:
        decode(encode(Report(**values)))  # type: ignore[arg-type]
    assert refused.value.kind == kind


def test_an_unknown_number_is_nan_on_the_wire() -> None:
    sample = Sample("mount", ProbeState.OK, (Row({"mounted": 1.0}, {"id": "/home"}),))
    probe = probe_report(sample, runs=1, age_s=0.0, took_s=0.0)
    values = struct.unpack(f"<{probe.columns}d", probe.values)
    assert values[0] == 1.0
    assert all(math.isnan(value) for value in values[1:])


def test_fields_that_a_later_agent_appends_are_ignored() -> None:
    probe = probe_report(Sample("mount", ProbeState.OK, (Row({}),)), runs=1, age_s=0.0, took_s=0.0)
    report = Report("n", 1, 1, 1.0, 5.0, [probe])
    fields = msgspec.msgpack.decode(encode(report)[2:])
    fields[5][0].append("later")
    fields.append({"later": 1})
    assert decode(PREFIX + msgspec.msgpack.encode(fields)) == report

"""What agents send: one report a beat, msgpack behind two bytes. docs/wire.md is this file for other readers.

    0x48 ("H")   version   msgpack array of the report's fields, in the order below

Numbers of a probe are rows of little-endian float64 in the order of its metrics (`hetslurm.telemetry`), NaN
for unknown. A reader takes the columns it knows: metrics are only ever appended within a version.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from hetslurm.telemetry import SCHEMAS, UNKNOWN, ProbeState, Row, Sample

MAGIC = 0x48
VERSION = 1
PREFIX = bytes((MAGIC, VERSION))
# A node with 16 GPUs, its facts included, needs under 16 KiB.
MAX_BYTES = 65536
MAX_NAME = 255
MAX_ROWS = 256
MAX_FACT_BYTES = 1024

Facts: TypeAlias = dict[str, list[dict[str, str]]]
# What can be; msgspec holds decoded values to it, and NaN is in none.
_Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
_Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_State: TypeAlias = Annotated[int, Meta(ge=0, le=int(max(ProbeState)))]
_Number: TypeAlias = Annotated[int, Meta(gt=0)]
_Beat: TypeAlias = Annotated[float, Meta(gt=0, le=3600)]
_Time: TypeAlias = Annotated[float, Meta(ge=-1e12, le=1e12)]


class WireError(ValueError):
    """Bytes that are no report; `kind` is "garbage", "oversized" or "version"."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class ProbeReport(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One probe's newest sample. `age_s` and `took_s` are durations on the node's own monotonic clock.

    `rows` times `columns` float64 are in `values`. `runs` counts the probe's runs since the agent started:
    the same number again is the same sample again.
    """

    probe: str
    state: _State
    runs: int
    age_s: _Seconds
    took_s: _Seconds
    columns: _Number
    values: bytes
    message: str = ""


class Report(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One beat of one node.

    `agent` tells two lives of an agent apart (random at its start); `seq` counts its reports from 1;
    `sent_at` is the node's Unix time; `facts` maps a probe to one dict a row, there on some beats only.
    """

    node: _Name
    agent: int
    seq: _Number
    sent_at: _Time
    beat_s: _Beat
    probes: list[ProbeReport]
    facts: Facts | None = None


# By probe: the names of a row's numbers, in order, and what packs them.
_ROWS = {
    probe: (tuple(metric.name for metric in metrics), struct.Struct(f"<{len(metrics)}d").pack)
    for probe, metrics in SCHEMAS.items()
}
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Report)


def encode(report: Report) -> bytes:
    """The bytes of a report."""
    return PREFIX + _encoder.encode(report)


def decode(data: bytes | memoryview) -> Report:
    """A report from untrusted bytes. WireError says what is wrong; nothing else is raised."""
    if len(data) > MAX_BYTES:
        raise WireError("oversized", f"{len(data)} bytes, at most {MAX_BYTES}")
    if len(data) < 3 or data[0] != MAGIC:
        raise WireError("garbage", "no report of hetslurm's")
    if data[1] != VERSION:
        raise WireError("version", f"wire version {data[1]}, this reader knows {VERSION}")
    try:
        report = _decoder.decode(data[2:])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise WireError("garbage", f"not a report: {error}") from error
    for probe in report.probes:
        row, size = 8 * probe.columns, len(probe.values)
        if size % row or size > row * MAX_ROWS:
            raise WireError("garbage", f"{probe.probe}: {size} bytes are no rows of {probe.columns} numbers")
    return report


def probe_report(sample: Sample, *, runs: int, age_s: float, took_s: float) -> ProbeReport:
    """A sample as it is sent."""
    return pack_probe(sample.probe, sample.state, sample.rows, sample.message, runs, age_s, took_s)


def pack_probe(
    probe: str, state: int, rows: Sequence[Row], message: str, runs: int, age_s: float, took_s: float
) -> ProbeReport:
    """What a run found, as it is sent."""
    names, pack = _ROWS[probe]
    values = b"".join([pack(*map(row.values.get, names, repeat(UNKNOWN))) for row in rows])
    return ProbeReport(probe, int(state), runs, age_s, took_s, len(names), values, message[:MAX_FACT_BYTES])


def facts_of(samples: Sequence[Sample]) -> Facts:
    """The facts of all samples, cut to what the wire bears."""
    return {s.probe: cut_facts([row.facts for row in s.rows]) for s in samples if s.rows}


def cut_facts(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """One probe's facts, cut to what the wire bears."""
    return [{name: text[:MAX_FACT_BYTES] for name, text in facts.items()} for facts in rows]

"""What is known of a probe's devices: the newest good rows, their age, and how the newest run ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from typing import TypeAlias

from hetslurm.agent.runner import Run
from hetslurm.bus.wire import MAX_ROWS
from hetslurm.telemetry import SCHEMAS, Meaning, ProbeState, Row, Sample

MEASURED_AGE = "measured_age_s"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What work has shown of one device, and when (monotonic)."""

    rates: Mapping[str, float]
    at: float


# By device: its "id", or its place.
Benchmarks: TypeAlias = Mapping[str, Benchmark]


@dataclass(frozen=True, slots=True)
class Observed:
    """State and message are of the newest run; rows are of the newest good one, `sampled_at` (monotonic).

    Before the first, `sampled_at` is when the agent began to look.
    """

    probe: str
    sampled_at: float
    state: ProbeState = ProbeState.PENDING
    message: str = ""
    rows: tuple[Row, ...] = ()
    runs: int = 0
    took_s: float = 0.0

    def after(self, run: Run, benchmarks: Benchmarks) -> Observed:
        """What is known after one more run. A run that found nothing out leaves the rows, and their age."""
        sample = run.sample
        seen = replace(
            self, state=sample.state, message=sample.message, runs=self.runs + 1, took_s=run.took_s
        )
        if not sample.rows and sample.state is not ProbeState.OK and sample.state is not ProbeState.ABSENT:
            return seen
        rows = merge(sample.rows[:MAX_ROWS], benchmarks, run.asked_at)
        return replace(seen, rows=rows, sampled_at=run.asked_at)

    def sample(self) -> Sample:
        """As a sample again."""
        return Sample(self.probe, self.state, self.rows, self.message)


def device_key(row: Row, place: int) -> str:
    """What a row's device is known by from run to run."""
    return row.facts.get("id") or f"#{place}"


def remember(known: Benchmarks, run: Run, rows: tuple[Row, ...]) -> dict[str, Benchmark]:
    """`known` with what a `measure` run brought. A device that was left alone keeps what it had.

    Rows of a measurement come in the order of `rows`, the newest sample's.
    """
    after = dict(known)
    names = {metric.name for metric in SCHEMAS[run.sample.probe] if metric.meaning is Meaning.RATE}
    for place, row in enumerate(run.sample.rows):
        rates = {name: value for name, value in row.values.items() if name in names and not isnan(value)}
        if rates:
            named = rows[place] if "id" not in row.facts and place < len(rows) else row
            after[device_key(named, place)] = Benchmark(rates, run.asked_at)
    return after


def merge(rows: tuple[Row, ...], benchmarks: Benchmarks, at: float) -> tuple[Row, ...]:
    """Rows sampled at `at` with what work has shown of the same devices, and how long ago that was."""
    if not benchmarks:
        return rows
    return tuple(_merged(row, benchmarks.get(device_key(row, place)), at) for place, row in enumerate(rows))


def _merged(row: Row, benchmark: Benchmark | None, at: float) -> Row:
    if benchmark is None:
        return row
    age = {MEASURED_AGE: max(0.0, at - benchmark.at)}
    return Row({**row.values, **benchmark.rates, **age}, row.facts)

"""`hetslurm probe`: what an agent would see here and now."""

from __future__ import annotations

from math import isfinite, isnan
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, print_table, say
from hetslurm.telemetry import PROBES, SCHEMAS, UNKNOWN, Meaning, Metric, ProbeState, Row

if TYPE_CHECKING:
    from hetslurm.agent.runner import Run

app = typer.Typer()
_FINE = (ProbeState.OK, ProbeState.ABSENT)


@app.command()
def probe(
    name: Annotated[str, typer.Argument(metavar="|".join(PROBES), help="What to look at.")],
    measure: Annotated[
        bool, typer.Option("--measure", help="Benchmark what is idle, too: it works the devices.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Run one probe in a child with its deadline. Code 1 unless its state is ok or absent."""
    from hetslurm.agent.once import run_probe  # noqa: PLC0415  imported here, so that --help is quick
    from hetslurm.cli.site import site_to_look_at  # noqa: PLC0415
    from hetslurm.clock import SystemClock  # noqa: PLC0415

    if name not in PROBES:
        raise typer.BadParameter(f"expected {', '.join(PROBES)}, found {name}")
    run = run_probe(name, site_to_look_at(config).agent, clock=SystemClock(), measure=measure)
    if as_json:
        print_json(as_document(run))
    else:
        _show(run)
    if run.sample.state not in _FINE:
        raise typer.Exit(1)


def as_document(run: Run) -> dict[str, Any]:
    """The JSON contract: every metric of the probe in every row, null where nobody knows."""
    sample = run.sample
    return {
        "probe": sample.probe,
        "state": sample.state.label,
        "message": sample.message,
        "took_s": round(run.took_s, 6),
        "rows": [
            {
                "facts": dict(row.facts),
                "values": {
                    metric.name: value if isfinite(value := _value(row, metric)) else None
                    for metric in SCHEMAS[sample.probe]
                },
            }
            for row in sample.rows
        ],
    }


def in_words(metric: Metric, value: float) -> str:
    """A number for people."""
    if isnan(value):
        return "unknown"
    if metric.meaning is Meaning.FLAG:
        return "yes" if value else "no"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.4g}"


def _value(row: Row, metric: Metric) -> float:
    return row.values.get(metric.name, UNKNOWN)


def _show(run: Run) -> None:
    sample = run.sample
    message = f": {sample.message}" if sample.message else ""
    say(f"{sample.probe} is {sample.state.label}{message} ({run.took_s * 1000:.1f} ms)")
    for place, row in enumerate(sample.rows):
        facts = [[name, text, ""] for name, text in sorted(row.facts.items()) if name != "id"]
        values = [
            [metric.name, in_words(metric, _value(row, metric)), metric.unit]
            for metric in SCHEMAS[sample.probe]
        ]
        say(f"\n{row.facts.get('id') or f'{sample.probe} {place}'}")
        print_table("", (("metric", "left"), ("value", "right"), ("unit", "left")), facts + values)

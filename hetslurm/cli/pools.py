"""`hetslurm pools`: what the plugin scores against right now, and how it is doing."""

from __future__ import annotations

import time
from math import exp
from pathlib import Path
from typing import Annotated, Any

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, print_table, say
from hetslurm.cli.site import NO_SNAPSHOT, site_to_look_at
from hetslurm.errors import SlurmUnavailable, SnapshotError
from hetslurm.site import Site
from hetslurm.units import render_duration

app = typer.Typer()
NEVER_S = 1e14
COLUMNS = (
    ("pool", "left"),
    ("partition", "left"),
    ("device", "left"),
    ("nodes", "right"),
    ("free/units", "right"),
    ("wait small", "right"),
    ("half", "right"),
    ("full", "right"),
    ("price/h", "right"),
    ("watts", "right"),
    ("scarce", "right"),
    ("health", "right"),
    ("why not", "left"),
)


@app.command()
def pools(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    stats: Annotated[
        Path | None, typer.Option(help="The plugin's statistics page; else `stats` beside the snapshot.")
    ] = None,
) -> None:
    """Show the pools of the newest snapshot, its age, and the plugin's counters."""
    site = site_to_look_at(config)
    report = gather(site, stats or Path(site.snapshot_path).with_name("stats"), time.time())
    if as_json:
        print_json(report)
    else:
        render(report)
    if report["snapshot"]["error"]:
        raise typer.Exit(1)


def gather(site: Site, stats: Path, now: float) -> dict[str, Any]:
    """Everything that `pools --json` prints."""
    from hetslurm.cli.pool_rows import read_slot  # noqa: PLC0415  only this command pays for NumPy
    from hetslurm.controller.status import read_status  # noqa: PLC0415
    from hetslurm.snapshot import read_view  # noqa: PLC0415

    snapshot: dict[str, Any] = {"path": site.snapshot_path, "error": None}
    rows: tuple[dict[str, Any], ...] = ()
    try:
        slot = read_slot(read_view(site.snapshot_path))
    except SnapshotError as error:
        snapshot["error"] = str(error)
    else:
        age = slot.age_s(now)
        snapshot |= {
            "generation": slot.generation,
            "age_s": round(age, 3),
            "max_age_s": slot.max_age_s,
            "stale": age > slot.max_age_s,
            "currency": slot.currency,
            "cluster": slot.cluster,
        }
        rows = slot.pools
    controller = read_status(Path(site.state_dir))
    return {"snapshot": snapshot, "controller": controller, "plugin": _plugin(stats), "pools": list(rows)}


def _plugin(stats: Path) -> dict[str, Any] | None:
    from hetslurm.slurm.stats import read_stats  # noqa: PLC0415

    try:
        page = read_stats(stats)
    except SlurmUnavailable:
        return None
    latency = {}
    for phase, histogram in page.histograms.items():
        p50, p99 = (histogram.percentile_ns(percent) for percent in (50, 99))
        micro = [None if value is None else round(value / 1000, 3) for value in (p50, p99)]
        latency[phase] = {"count": histogram.total, "p50_us": micro[0], "p99_us": micro[1]}
    return {
        "pid": page.pid,
        "slurm_version": page.slurm_version,
        "since": page.started_at_ns / 1e9,
        "counters": dict(page.counters),
        "snapshot": dict(page.snapshot),
        "latency": latency,
    }


def render(report: dict[str, Any]) -> None:
    """The report for people."""
    for line in (
        _snapshot_line(report["snapshot"]),
        *_controller_lines(report["controller"]),
        *_order_lines(report["controller"]),
    ):
        say(line)
    for line in _plugin_lines(report["plugin"]):
        say(line)
    if report["pools"]:
        print_table("", COLUMNS, [_cells(row) for row in report["pools"]])
        say(f"prices in {report['snapshot']['currency']} per hour  ? default, nobody knows")
        for line in _shadow_lines(report["controller"], report["snapshot"], time.time()):
            say(line)
        for line in wait_lines(report["controller"]):
            say(line)


def _snapshot_line(snapshot: dict[str, Any]) -> str:
    if snapshot["error"]:
        return f"no snapshot: {snapshot['error']}; {NO_SNAPSHOT}"
    stale = " STALE: jobs are placed by their authors' order" if snapshot["stale"] else ""
    age = render_duration(snapshot["age_s"])
    return f"snapshot: generation {snapshot['generation']}, {age} old{stale} ({snapshot['path']})"


def _controller_lines(status: dict[str, Any] | None) -> list[str]:
    if status is None:
        return ["controller: no status to read (controller.state_dir)"]
    lines = [
        f"controller: pid {status.get('pid')}, cycle {status.get('cycle_duration_s', 0):.3f} s, "
        f"{status.get('held', 0)} held, {status.get('placed_total', 0)} placed since its start"
        + (", stopped" if status.get("stopping") else "")
    ]
    if status.get("config_error"):
        lines.append("configuration refused, the old stays in force:")
        lines.extend(f"  {line}" for line in str(status["config_error"]).splitlines())
    failed_at, done_at = status.get("last_error_at"), status.get("snapshot_at")
    if failed_at is not None and (done_at is None or failed_at > done_at):
        lines.append(f"controller fails: {status.get('last_error')}")
    return lines


def _order_lines(status: dict[str, Any] | None) -> list[str]:
    order = (status or {}).get("order") or {}
    if order.get("mode", "off") == "off":
        return []
    lines = [f"order: {order['mode']}, up to {order['points']} points, {order['set_total']} jobs set"]
    return [*lines, f"order: {order['problem']}"] if order.get("problem") else lines


def _shadow_lines(status: dict[str, Any] | None, snapshot: dict[str, Any], now: float) -> list[str]:
    shadow = (status or {}).get("shadow") or {}
    if snapshot["error"] or shadow.get("mode") != "on":
        return []
    if shadow.get("solved_at") is None:
        return ["scarce: no shadow prices yet" + (f": {shadow['error']}" if shadow.get("error") else "")]
    age = render_duration(max(0.0, now - shadow["solved_at"]))
    lines = [
        f"scarce: seconds of others' time per second of a unit, {age} old, from {shadow['jobs']:g} jobs "
        f"in {render_duration(shadow['window_s'])}"
    ]
    if shadow["stretch_s"]:
        lines.append(f"scarce: that work takes {render_duration(shadow['stretch_s'])} longer than its window")
    if shadow["error"]:
        lines.append(f"scarce: the newest solve gave none: {shadow['error']}")
    return lines


def wait_lines(status: dict[str, Any] | None) -> list[str]:
    """How far estimated waits came true, for people; nothing before the first did."""
    waits = (status or {}).get("waits") or {}
    if not waits.get("n"):
        return []
    line = (
        f"waits: off by a factor of {exp(waits['error']):.2f} in the median of the last {waits['n']}, "
        f"{waits['within_2']:.0%} within 2"
    )
    if waits["both_n"]:
        ours, theirs = exp(waits["both_error"]), exp(waits["slurm_error"])
        line += f"; of the {waits['both_n']} that Slurm foresaw too: {ours:.2f}, squeue --start {theirs:.2f}"
    return [line]


def _plugin_lines(plugin: dict[str, Any] | None) -> list[str]:
    if plugin is None:
        return [
            "plugin: no statistics to read (root and SlurmUser may, while slurmctld runs with the plugin)"
        ]
    counters = ", ".join(f"{name} {value}" for name, value in plugin["counters"].items() if value)
    lines = [f"plugin: {counters or 'no job yet'}"]
    decision = plugin["latency"].get("decision")
    if decision and decision["count"]:
        lines.append(
            f"decisions: {decision['count']}, "
            f"p50 {decision['p50_us']:.1f} µs, p99 {decision['p99_us']:.1f} µs"
        )
    return lines


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    device = f"{row['kind']}:{row['type']}" if row["type"] else row["kind"]
    guess = "" if row["wait_source"] != "default" else "?"
    waits = [_wait(row["wait_s"][size]) + guess for size in ("small", "half", "full")]
    return (
        row["pool"],
        row["partition"],
        device,
        f"{row['nodes_up']}/{row['nodes']}",
        f"{row['units_free']:g}/{row['units']:g}",
        *waits,
        _rates(row["price_per_hour"], row["price_source"]),
        _rates(row["watts"], row["watts_source"]),
        f"{row['shadow']:.3g}" if row["shadow_source"] != "default" else "-",
        f"{row['health']:.0%}",
        "; ".join(row["reasons"]),
    )


def _wait(seconds: float) -> str:
    return "never" if seconds >= NEVER_S else render_duration(seconds)


def _rates(rates: dict[str, float], source: str) -> str:
    """`2.1/device + 0.04/cpu`; `-` where nobody said anything."""
    parts = [f"{rates[what]:g}/{what}" for what in ("device", "cpu", "node") if rates[what]]
    return " + ".join(parts) or ("0" if source != "default" else "-")

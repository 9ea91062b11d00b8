"""`hetslurm drains`: which nodes hetslurm keeps out, why, and what it would do if it might."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, print_table, say
from hetslurm.cli.site import site_to_look_at
from hetslurm.units import render_duration

if TYPE_CHECKING:
    from hetslurm.controller.drain_ledger import LedgerView
    from hetslurm.health.drain_entry import Entry

app = typer.Typer(help="Drains of hetslurm: which nodes, why, and what holds others back.")
COLUMNS = (
    ("node", "left"),
    ("state", "left"),
    ("since", "right"),
    ("reason in Slurm", "left"),
    ("why", "left"),
)
OTHERS = (("node", "left"), ("", "left"), ("why", "left"))


@app.callback(invoke_without_command=True)
def drains(context: typer.Context, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the ledger of drains, the circuit breaker, and what was withheld in the last cycle."""
    if context.invoked_subcommand is not None:
        return
    from hetslurm.controller.drain_ledger import read_ledger  # noqa: PLC0415  only this command pays for NumPy

    site, now = site_to_look_at(config), time.time()
    facts = gather(read_ledger(Path(site.state_dir)), site.health.drain.mode)
    if as_json:
        print_json(facts)
    else:
        render(facts, now)


@app.command("close-breaker")
def close_breaker(config: ConfigOption = None) -> None:
    """You have looked: what fails now opens the breaker no more, and may be drained."""
    from hetslurm.controller.drain_ledger import close_breaker as close  # noqa: PLC0415

    close(Path(site_to_look_at(config).state_dir), time.time())
    say("the controller closes the breaker in its next cycle; nodes that fail from now on can open it again")


def gather(view: LedgerView, mode: str) -> dict[str, Any]:
    """Everything that `drains --json` prints. `mode` is the configuration's, where no cycle has run yet."""
    report = view.report or {}
    return {
        "mode": report.get("mode", mode),
        "reported_at": report.get("at"),
        "error": report.get("error", ""),
        "breaker": {
            "open": view.breaker.is_open,
            "open_since": view.breaker.open_since,
            "nodes": sorted(view.breaker.nodes),
            "looked_at": view.breaker.looked_at or None,
        },
        "drains": [_entry(entry) for entry in view.entries if entry.is_live],
        "withheld": [{"node": node, "why": why} for node, why in report.get("withheld", ())],
        "would": [{"node": node, "what": what} for node, what in report.get("would", ())],
        "history": [
            {"node": s.node, "at": s.at, "state": s.state, "why": s.why, "reason": s.reason}
            for s in view.steps
        ],
    }


def render(facts: dict[str, Any], now: float) -> None:
    """The same for people."""
    say(f"mode: {facts['mode']}")
    breaker = facts["breaker"]
    if breaker["open"]:
        say(
            f"BREAKER OPEN for {render_duration(now - breaker['open_since'])}: {len(breaker['nodes'])} nodes "
            "fail together and none is drained; look, then `hetslurm drains close-breaker`"
        )
    if facts["error"]:
        say(f"slurmctld does not answer: {facts['error']}")
    rows = [
        (d["node"], d["state"], render_duration(max(0.0, now - d["changed_at"])), d["reason"], d["why"])
        for d in facts["drains"]
    ]
    if rows:
        print_table("", COLUMNS, rows)
    else:
        say("no node is drained by hetslurm")
    others = [(one["node"], "would", one["what"]) for one in facts["would"]]
    others += [(one["node"], "withheld", one["why"]) for one in facts["withheld"]]
    if others:
        print_table("", OTHERS, others)


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "node": entry.node,
        "state": entry.state,
        "why": entry.why,
        "reason": entry.reason,
        "reason_by": entry.reason_by,
        "reason_at": entry.reason_at,
        "created_at": entry.created_at,
        "changed_at": entry.changed_at,
        "findings": sorted(entry.findings),
        "pardoned": sorted(entry.pardoned),
        "pardon_until": entry.pardon_until,
    }

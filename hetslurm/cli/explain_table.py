"""An explanation for people: the choice in a line, then every candidate with its terms."""

from __future__ import annotations

from typing import Any

from hetslurm.cli.event_rows import path_lines
from hetslurm.cli.explain_order import order_lines
from hetslurm.cli.output import print_table, say
from hetslurm.units import MICRO, render_duration, render_money

MARKS = {"measured": "", "predicted": "~", "declared": "=", "default": "?"}
RUNS = (
    "runs: how many the run time rests on: the app's, the user's alike in size and limit, all of the user's"
)
COLUMNS = (
    ("target", "left"),
    ("pool", "left"),
    ("score", "right"),
    ("wait", "right"),
    ("startup", "right"),
    ("transfer", "right"),
    ("run", "right"),
    ("runs", "right"),
    ("scarce", "right"),
    ("money", "right"),
    ("energy", "right"),
    ("health", "right"),
    ("why not", "left"),
)


def render(report: dict[str, Any]) -> None:
    """Print the headline, the table and what the marks mean."""
    for line in headlines(report):
        say(line)
    candidates = [c for c in report["candidates"] if c["terms"]]
    if candidates:
        chosen = report["chosen"] or {}
        currency = report.get("currency") or ""
        print_table("", COLUMNS, [_cells(candidate, chosen, currency) for candidate in candidates])
        say("~ predicted  = declared  ? default, nobody knows  (no mark: measured)  * chosen")
        if any(candidate["terms"]["run_s"].get("n") for candidate in candidates):
            say(RUNS)
    if report.get("path"):
        say("its path (UTC):")
        for line in path_lines(report["path"]):
            say(line)
    hidden = len(report["candidates"]) - len(candidates)
    if hidden:
        say(f"{hidden} more pairs are of another kind or type")


def headlines(report: dict[str, Any]) -> list[str]:
    """What was decided, by whom, and how fresh the numbers are."""
    chosen = report["chosen"]
    job = f"job {report['job_id']}: " if report.get("job_id") else ""
    lines = []
    if chosen is None:
        lines.append(f"{job}{_why_none(report)}")
    else:
        score = "" if chosen["score"] is None else f", score {chosen['score']:.3g}"
        where = f"{chosen['target']} on {chosen['pool']} (partition {chosen['partition']})"
        objective = f", objective {report['objective']}" if report["objective"] else ""
        lines.append(f"{job}{where}{score}{objective}")
    recorded, generation = report.get("recorded"), report.get("recomputed_from_generation")
    if recorded:
        by = f" by the {report['decided_by']}" if report.get("decided_by") else ""
        lines.append(f"recorded: {recorded.get('state')}{by}, generation {recorded.get('gen')}")
    if generation is not None:
        lines.append(f"candidates: recomputed from generation {generation}")
    elif not recorded:
        lines.append(
            f"generation {report['generation']}, {render_duration(report.get('snapshot_age_s', 0))} old"
        )
    lines += order_lines(report.get("order"))
    if report.get("note"):
        lines.append(f"note: {report['note']}")
    return lines


def _why_none(report: dict[str, Any]) -> str:
    recorded = report.get("recorded") or {}
    if recorded.get("state") == "held":
        return f"held: {recorded.get('why', 'waits for the controller')}"
    if report.get("path") and not report["candidates"]:
        return f"it is over: {report['path'][-1]['what']}"
    return ": ".join(["nothing here can run it", *filter(None, ["; ".join(report.get("reasons", ()))])])


def _cells(candidate: dict[str, Any], chosen: dict[str, Any], currency: str) -> tuple[str, ...]:
    terms = candidate["terms"]
    is_chosen = all(candidate[key] == chosen.get(key) for key in ("target", "pool"))
    times = [
        render_duration(terms[name]["value"]) + _mark(terms[name])
        for name in ("wait_s", "startup_s", "transfer_s", "run_s", "scarce_s")
    ]
    return (
        candidate["target"] + ("*" if is_chosen else ""),
        candidate["pool"],
        "" if candidate["score"] is None else f"{candidate['score']:.3g}",
        *times[:4],
        _runs(terms["run_s"]),
        *times[4:],
        render_money(terms["money"]["value"] * MICRO, currency) + _mark(terms["money"]),
        f"{terms['energy_j']['value'] / 3.6e6:.3g} kWh{_mark(terms['energy_j'])}",
        f"{terms['health']['value']:.0%}{_mark(terms['health'])}",
        candidate["reason"] or "",
    )


def _runs(term: dict[str, Any]) -> str:
    """What a run time rests on; "" for what was declared, and in decisions noted by an older controller."""
    return f"{term['n']} {term['class']}" if term.get("n") else ""


def _mark(term: dict[str, Any]) -> str:
    return MARKS.get(term["source"], "?")

"""The demo's closing table, and the same as JSON."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from hetslurm.demo.scenario import Outcome, Step
from hetslurm.units import MICRO


def row(step: Step, outcome: Outcome, broken: str | None) -> dict[str, Any]:
    """One job as a JSON object: what it shows, where it went, estimates beside what happened (seconds).

    `money` (micro-units) is for those that burst.
    """
    record = outcome.record
    return {
        "job_id": outcome.job_id,
        "script": step.script,
        "shows": step.shows,
        "accepted": outcome.accepted,
        "target": record.target if record else None,
        "pool": record.pool if record else None,
        "partition": outcome.partition or None,
        "state": outcome.state or None,
        "wait_s": {"estimated": record.wait_s if record else None, "actual": outcome.wait_s},
        "run_s": {"estimated": record.run_s if record else None, "actual": outcome.run_s},
        "message": outcome.message,
        "money": None,
        "broken_promise": broken,
    }


def event_row(shows: str, took_s: float | None, *, within_s: float) -> dict[str, Any]:
    """Something that is no job, with the same keys: it happened after `took_s` (None: never) seconds."""
    broken = None if took_s is not None and took_s <= within_s else f"did not happen within {within_s:g} s"
    return {**fact_row(shows, broken), "wait_s": {"estimated": within_s, "actual": took_s}}


def fact_row(shows: str, broken: str | None) -> dict[str, Any]:
    """Something that must be so, with the same keys."""
    return {
        "job_id": None,
        "script": None,
        "shows": shows,
        "accepted": None,
        "target": None,
        "pool": None,
        "partition": None,
        "state": None,
        "wait_s": {"estimated": None, "actual": None},
        "run_s": {"estimated": None, "actual": None},
        "message": "",
        "money": None,
        "broken_promise": broken,
    }


def render(rows: list[dict[str, Any]]) -> Table:
    """The rows for people."""
    table = Table(
        title="What went where (seconds: estimated/actual)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("job", "script", "shows", "placement", "wait", "run", "kept"):
        # What is long and made of words gives way where the terminal is narrow.
        table.add_column(heading, overflow="fold", no_wrap=heading not in ("shows", "placement", "kept"))
    for item in rows:
        if item["accepted"] is None:
            placement = ""
        elif not item["accepted"]:
            placement = "refused"
        elif item["target"]:
            placement = (
                item["target"] if item["target"] == item["pool"] else f"{item['target']} in {item['pool']}"
            )
        else:
            placement = f"{item['partition']}, untouched"
        table.add_row(
            *(
                Text(cell)
                for cell in (str(item["job_id"] or "-"), item["script"] or "", item["shows"], placement)
            ),
            _pair(item["wait_s"]),
            _pair(item["run_s"]),
            Text(f"NO: {item['broken_promise']}", "red") if item["broken_promise"] else Text("yes", "green"),
        )
    return table


def render_money(rows: list[dict[str, Any]], currency: str) -> Table:
    """What the jobs that burst had set aside, paid and gave back."""
    table = Table(title=f"Money ({currency})", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("job", "script", "reserved", "spent", "released"):
        table.add_column(heading, justify="left" if heading in ("job", "script") else "right")
    for item in rows:
        if money := item["money"]:
            amounts = (money[f"{key}_micro"] / MICRO for key in ("reserved", "spent", "released"))
            table.add_row(str(item["job_id"]), item["script"], *(f"{amount:.4f}" for amount in amounts))
    return table


def _pair(value: dict[str, float | None]) -> str:
    return "/".join("-" if part is None else f"{part:.0f}" for part in (value["estimated"], value["actual"]))

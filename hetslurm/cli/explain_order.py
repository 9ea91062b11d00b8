"""What short-first does for a job: its points, and what they are worth beside Slurm's own age."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hetslurm.cluster import PriorityRules
from hetslurm.controller.order_rules import order_in_force
from hetslurm.controller.status import read_status
from hetslurm.site import Site
from hetslurm.units import render_duration


def order_report(
    site: Site, run_s: float | None, rules: PriorityRules | None = None, site_factor: int | None = None
) -> dict[str, Any] | None:
    """The `order` of `explain --json`; None where the site has none. `halving_age_s` in seconds.

    `rules` None: as the controller saw them. `site_factor` is what Slurm has for the job, None: it waits
    for nothing, or nobody asked.
    """
    if site.order.mode == "off":
        return None
    rules = rules or _rules_seen(site)
    if rules is None:
        return {"mode": site.order.mode, "problem": "nobody here knows how Slurm makes priorities"}
    order = order_in_force(site.order, rules)
    return {
        "mode": order.mode,
        "run_s": run_s,
        "points": order.points_of(run_s),
        "of_points": order.points,
        "site_factor": site_factor,
        "halving_points": round(order.halving_points, 3),
        "halving_age_s": order.halving_age_s,
        "problem": order.problem,
    }


def order_lines(order: dict[str, Any] | None) -> list[str]:
    """The same for people."""
    if order is None:
        return []
    lines = []
    if order.get("of_points") and order["run_s"] is not None:
        run = render_duration(order["run_s"])
        seen = order["site_factor"]
        differs = f" (Slurm has {seen} yet)" if seen is not None and seen != order["points"] else ""
        points = f"{order['points']} of {order['of_points']} points for a run of {run}{differs}"
        worth = f"{order['halving_points']:.3g} points, or {_hours(order['halving_age_s'])} of age"
        lines.append(f"order: {order['mode']}, {points}; half the run is worth {worth}")
    if order.get("problem"):
        lines.append(f"order: {order['problem']}")
    return lines


def _hours(seconds: float | None) -> str:
    if seconds is None:
        return "any time"
    return f"{seconds / 3600:.3g} h" if seconds >= 360 else f"{seconds:.3g} s"


def _rules_seen(site: Site) -> PriorityRules | None:
    seen = (read_status(Path(site.state_dir)) or {}).get("order")
    if not seen or seen.get("mode") == "off":
        return None
    return PriorityRules(
        seen["priority_type"], int(seen["weight_age"]), float(seen["max_age_s"]), seen["has_database"]
    )

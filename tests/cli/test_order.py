"""What `hetslurm explain` and `hetslurm pools` say of the order and of prices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hetslurm.cli.explain_order import order_lines, order_report
from hetslurm.cli.pools import _order_lines, _shadow_lines
from hetslurm.cluster import PriorityRules
from hetslurm.controller.order import OrderFacts, order_status
from hetslurm.controller.order_rules import order_in_force
from hetslurm.controller.shadow import ShadowFacts, shadow_status
from hetslurm.site import OrderSite, Site

WEEK = PriorityRules("priority/multifactor", 1000, 7 * 86400)
ORDER = OrderSite("short-first", 1000, 60, 61440)
SITE = Site(order=ORDER)


def test_explain_says_what_half_the_run_is_worth_in_hours_of_age() -> None:
    report = order_report(SITE, 120, WEEK, 900)
    assert report is not None
    assert (report["points"], report["halving_points"], report["halving_age_s"]) == (
        900,
        100,
        pytest.approx(60480),
    )
    assert order_lines(report) == [
        "order: short-first, 900 of 1000 points for a run of 2m; "
        "half the run is worth 100 points, or 16.8 h of age"
    ]


def test_explain_says_where_slurm_has_something_else_yet() -> None:
    assert "(Slurm has 0 yet)" in order_lines(order_report(SITE, 120, WEEK, 0))[0]


def test_explain_says_what_keeps_the_order_from_working() -> None:
    lines = order_lines(order_report(SITE, 120, PriorityRules("priority/basic")))
    assert lines == [f"order: {order_in_force(ORDER, PriorityRules('priority/basic')).problem}"]


def test_without_an_order_explain_says_nothing() -> None:
    assert order_report(Site(), 120, WEEK) is None
    assert order_lines(None) == []


def test_explain_of_a_script_goes_by_what_the_controller_saw(tmp_path: Path) -> None:
    facts = OrderFacts(order_in_force(ORDER, WEEK))
    (tmp_path / "controller.json").write_text(json.dumps({"order": order_status(facts)}))
    report = order_report(Site(state_dir=str(tmp_path), order=ORDER), 60)
    assert report is not None
    assert report["points"] == 1000


def test_pools_says_how_old_prices_are_and_what_the_order_gives() -> None:
    facts = ShadowFacts(
        "on", {"gpu": 1.5}, solved_at=1000.0, jobs=40, window_s=600, error="not solved within 1 s"
    )
    status = {
        "shadow": shadow_status(facts),
        "order": order_status(OrderFacts(order_in_force(ORDER, WEEK), 7)),
    }
    lines = _shadow_lines(status, {"error": None}, 1060.0)
    assert lines[0].endswith("1m old, from 40 jobs in 10m")
    assert "not solved within 1 s" in lines[1]
    assert _order_lines(status) == ["order: short-first, up to 1000 points, 7 jobs set"]

"""Short jobs first: the points of pending jobs follow the switch, and nobody starves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.cluster import PriorityRules, QueuedJob
from hetslurm.controller.order_rules import as_published, order_in_force
from hetslurm.controller.status import read_status
from hetslurm.native.kernel import View
from hetslurm.site import OrderSite
from hetslurm.snapshot import read_view

Make = Callable[..., Any]
Jobs = Callable[..., QueuedJob]
ON = '[order]\nmode = "short-first"\npoints = 1000\nshortest_s = 10\nlongest_s = 10240\n'
WANTED = OrderSite("short-first", 1000, 10, 10240)
AGE = PriorityRules("priority/multifactor", 2000, 86400)


def pending(held_job: Jobs, job_id: int, run_s: float | None, **fields: object) -> QueuedJob:
    """A job that the plugin placed, and that waits for its turn."""
    record = {"hetslurm": 1, "state": "placed", "gen": 1, "pool": "cpu", "partition": "cpu"}
    record |= {"het": "target=cpu,cpus=1,time=1:00:00"} | ({} if run_s is None else {"run_s": run_s})
    wanted: dict[str, object] = {"priority": 1, "reason": "Priority", "admin_comment": json.dumps(record)}
    return held_job(job_id, "", **(wanted | fields))


def turn(bench: Any, toml: str) -> None:
    """Change the configuration; the next cycle reads it."""
    path = bench.root / "hetslurm.toml"
    state = path.read_text().partition("[controller]")
    path.write_text(f"{toml}\n[controller]{state[2]}")


def test_each_halving_of_the_run_is_worth_the_same() -> None:
    order = order_in_force(WANTED, AGE)
    assert [order.points_of(10 * 2.0**n) for n in (0, 1, 5, 10, 20)] == [1000, 900, 500, 0, 0]
    assert order.halving_points == pytest.approx(100)
    assert order.halving_age_s == pytest.approx(86400 * 100 / 2000)
    assert order.points_of(None) == 0


def test_points_never_exceed_what_age_can_make_up_for() -> None:
    order = order_in_force(WANTED, replace(AGE, weight_age=400))
    assert order.points == 400
    assert "PriorityWeightAge=400" in str(order.problem)
    # The longest, having waited in full, is not behind the shortest that comes now.
    assert order.points_of(1) <= 400
    assert as_published(order, WANTED).points == 400


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (PriorityRules("priority/basic"), "PriorityType=priority/basic"),
        (replace(AGE, weight_age=0), "PriorityWeightAge is 0"),
        (replace(AGE, has_database=False), "without slurmdbd no job ages"),
    ],
)
def test_where_slurm_would_not_heed_it_nothing_is_given_and_that_is_said(
    rules: PriorityRules, words: str
) -> None:
    order = order_in_force(WANTED, rules)
    assert order.points == 0
    assert words in str(order.problem)
    assert as_published(order, WANTED).mode == "off"


def test_pending_jobs_get_points_when_it_is_turned_on_and_lose_them_when_off(
    make_bench: Make, held_job: Jobs
) -> None:
    bench = make_bench(*(pending(held_job, i, 10 * 2.0**i) for i in range(1, 5)))
    bench.cycle()
    assert bench.slurm.site_factors == {}
    turn(bench, ON)
    bench.cycle()
    assert bench.slurm.site_factors == {1: 900, 2: 800, 3: 700, 4: 600}
    turn(bench, "")
    bench.cycle()
    assert set(bench.slurm.site_factors.values()) == {0}
    calls = len(bench.slurm.calls)
    bench.cycle()
    assert len(bench.slurm.calls) == calls


def test_jobs_of_others_running_ones_and_those_without_a_prediction_are_left_alone(
    make_bench: Make, held_job: Jobs
) -> None:
    other = pending(held_job, 1, 10, admin_comment="")
    runs = pending(held_job, 2, 10, state="RUNNING")
    unknown = pending(held_job, 3, None)
    bench = make_bench(other, runs, unknown, toml=ON)
    bench.cycle()
    assert bench.slurm.calls == []


def test_a_job_that_the_controller_places_gets_its_points_at_once(make_bench: Make, held_job: Jobs) -> None:
    bench = make_bench(held_job(5, "target=cpu,cpus=1,time=0:40"), toml=ON)
    bench.cycle()
    update = next(update for verb, _, update in bench.slurm.calls if verb == "update")
    assert update.site_factor == round(1000 * math.log(10240 / 40) / math.log(1024))


def test_a_long_queue_is_brought_in_line_a_part_each_cycle(make_bench: Make, held_job: Jobs) -> None:
    bench = make_bench(*(pending(held_job, i, 20) for i in range(1, 121)), toml=ON)
    bench.cycle()
    assert len(bench.slurm.site_factors) == 50
    status = read_status(bench.root / "state")
    assert status is not None
    assert status["order"]["out_of_line"] == 70
    bench.cycle()
    bench.cycle()
    assert len(bench.slurm.site_factors) == 120


def test_with_basic_priority_no_job_is_changed_and_the_log_says_why(make_bench: Make, held_job: Jobs) -> None:
    bench = make_bench(pending(held_job, 1, 20), toml=ON)
    bench.slurm.priority = PriorityRules("priority/basic")
    bench.cycle()
    assert bench.slurm.calls == []
    assert "PriorityType=priority/multifactor" in bench.logged("order")[0]["why"]
    assert View(read_view(bench.root / "snapshot")).order[0] == 0


def test_the_snapshot_tells_the_plugin_what_to_give(make_bench: Make) -> None:
    bench = make_bench(toml=ON)
    bench.slurm.priority = replace(AGE, weight_age=700)
    bench.cycle()
    assert View(read_view(bench.root / "snapshot")).order == (700, 10.0, 10240.0)

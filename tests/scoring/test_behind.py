"""`explain` says how many runs a run time rests on, by the very row that the kernel took."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.cluster import Cluster, Node, Partition
from hetslurm.controller.cycle import Known, plan_cycle, slot_of
from hetslurm.estimate import RunEstimate, Source
from hetslurm.job import Request
from hetslurm.native import kernel
from hetslurm.placement import Asked, decision_json
from hetslurm.scoring import explain, twin
from hetslurm.scoring.tables import tables_of
from hetslurm.site import Site
from hetslurm.target import Target

from . import random_views


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.booleans())
def test_the_row_is_the_twins_and_its_source_the_terms(seed: int, n_pools: int, easy: bool) -> None:
    view = kernel.View(random_views.slot_of(random_views.random_tables(seed, n_pools, easy)))
    tables = tables_of(view.slot)
    rows = kernel.admit(view, *random_views.random_authors(seed, 3, easy))
    jobs, alts = random_views.random_jobs(seed, 8, len(rows), easy)
    pool, est = tables.columns["pool"], tables.columns["est"]
    for job in jobs:
        behind = kernel.runs_behind(view, job, alts)
        terms, _ = kernel.explain(view, job, alts, rows[job["row"]])
        assert behind.shape == terms.shape
        for i, alt in enumerate(alts[job["first_alt"] : job["first_alt"] + job["n_alts"]]):
            for p in range(n_pools):
                offered = pool["kind"][p] == alt["kind"] and alt["type"] in (0, pool["type"][p])
                row = twin.estimate_row(tables, job, alt, int(pool["type"][p])) if offered else None
                found = behind[i, p]
                assert found["row"] == (-1 if row is None else row)
                if row is not None:
                    assert (found["n"], found["log_sd"]) == (est["n"][row], est["log_sd"][row])
                    assert terms[i, p]["run_source"] == est["source"][row]


def test_jobs_that_point_outside_are_refused() -> None:
    view = kernel.View(random_views.slot_of(random_views.random_tables(1, 5, True)))
    jobs, alts = random_views.random_jobs(1, 1, 1, True)
    with pytest.raises(ValueError, match="outside"):
        kernel.runs_behind(view, jobs[0], alts[:0])


def _run(estimates: tuple[RunEstimate, ...], request: Request, asked: Asked) -> dict[str, object]:
    """The term run_s of the only pair, without its value."""
    nodes = tuple(Node(f"c{i}", 16, 64000, frozenset({"IDLE"})) for i in range(2))
    empty = Cluster("t", (22, 5, 8), time.time(), nodes, (Partition("p", ("c0", "c1")),), ())
    cluster = replace(empty, uids={"ann": 1000})
    plan = plan_cycle(cluster, Site(), known=Known(estimates=estimates))
    view = kernel.View(slot_of(plan, cluster, Site(), 1, time.time()))
    (candidate,) = decision_json(explain(view, request, asked, time.time()))["candidates"]
    run, high = candidate["terms"]["run_s"], candidate["terms"]["run_high_s"]
    assert run.pop("value") <= high.pop("value")
    assert run == high
    return dict(run)


APP = RunEstimate("bwa", "cpu", "", 300.0, log_sd=0.2, n=12, source=Source.MEASURED)
ALIKE = RunEstimate("", "cpu", "", 200.0, log_sd=0.5, n=5, user="ann", units=4, limit_min=60)
USER = RunEstimate("", "cpu", "", 100.0, log_sd=0.9, n=40, user="ann")


@pytest.mark.parametrize(
    ("estimates", "app", "limit_min", "expected"),
    [
        ((APP, USER), "bwa", 0, {"source": "measured", "n": 12, "log_sd": 0.2, "class": "app"}),
        ((ALIKE, USER), None, 60, {"source": "predicted", "n": 5, "log_sd": 0.5, "class": "alike"}),
        ((ALIKE, USER), None, 30, {"source": "predicted", "n": 40, "log_sd": 0.9, "class": "user"}),
        ((USER,), "bwa", 0, {"source": "default", "n": 0, "log_sd": None, "class": None}),
    ],
)
def test_a_run_time_says_whose_runs_it_rests_on_and_how_many(
    estimates: tuple[RunEstimate, ...], app: str | None, limit_min: int, expected: dict[str, object]
) -> None:
    request = Request((Target("cpu", cpus=4),), app=app)
    assert _run(estimates, request, Asked(uid=1000, limit_min=limit_min)) == expected

"""Jobs that were placed before anything was known are expected to run as long as is known by now."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.cluster import Cluster, Node, Partition, QueuedJob
from hetslurm.controller.cycle import Known, Plan, plan_cycle, slot_of
from hetslurm.controller.outlook import MOST_NEW, Outlook
from hetslurm.estimate import RunEstimate, Source
from hetslurm.native import kernel, parser
from hetslurm.native.kernel import View
from hetslurm.site import Site

NOW = 1_800_000_000.0
HOUR = 3600.0
RECORD = {
    "hetslurm": 1,
    "state": "placed",
    "target": "cpu",
    "kind": "cpu",
    "pool": "p",
    "partition": "p",
    "run_s": HOUR,
    "het": "app=bwa;target=cpu,cpus=16,time=1:00:00",
}
LEARNT = (RunEstimate("bwa", "cpu", "", 300.0, n=12, source=Source.MEASURED),)


def job(job_id: int, **of: Any) -> QueuedJob:
    """A job of one node, placed for an hour; of its record, what `of` says."""
    comment = json.dumps({**RECORD, **of})
    waits = QueuedJob(job_id, "PENDING", "p", "ann", 1, 16, 0, 60, 100, NOW - 600, None, None)
    return replace(waits, admin_comment=comment, predicted_run_s=HOUR)


def started(one: QueuedJob, seconds: float) -> QueuedJob:
    """The same job, running on the one node for so long."""
    run = replace(one, state="RUNNING", node_names=("c0",), start_at=NOW - seconds)
    return replace(run, end_at=NOW - seconds + HOUR)


def cluster(*jobs: QueuedJob) -> Cluster:
    node = Node("c0", 16, 64000, frozenset({"ALLOCATED"}), cpus_allocated=16)
    return Cluster("t", (22, 5, 8), NOW, (node,), (Partition("p", ("c0",), is_default=True),), jobs)


def cycle(outlook: Outlook, seen: Cluster, estimates: tuple[RunEstimate, ...] = LEARNT) -> Plan:
    """One cycle of the controller, as far as it matters here."""
    plan = plan_cycle(seen, Site(), known=Known(estimates=estimates, runs=outlook.run_s))
    outlook.follow(plan, seen, View(slot_of(plan, seen, Site(), 1, NOW)))
    return plan


def test_a_job_placed_before_anything_was_learnt_ends_sooner_once_its_app_is_known() -> None:
    outlook = Outlook()
    seen = cluster(started(job(1), 60.0), job(2), job(3))
    before = cycle(outlook, seen, ())
    assert before.starts == {2: HOUR - 60.0, 3: 2 * HOUR - 60.0}
    assert outlook.run_s == {}
    cycle(outlook, seen)
    assert outlook.run_s == {1: 300.0, 2: 300.0, 3: 300.0}
    after = cycle(outlook, seen)
    assert after.starts == {2: 240.0, 3: 540.0}
    assert after.pools[0].wait_s[-1] < before.pools[0].wait_s[-1]


def test_what_is_forgotten_again_leaves_the_record_in_force() -> None:
    outlook = Outlook()
    seen = cluster(job(1))
    cycle(outlook, seen)
    cycle(outlook, seen, (replace(LEARNT[0], app="other"),))
    assert outlook.run_s == {}
    cycle(outlook, seen)
    cycle(outlook, seen, ())
    assert outlook.run_s == {}


def test_only_jobs_that_an_estimate_speaks_of_are_in_it() -> None:
    outlook = Outlook()
    jobs = (
        job(1),
        job(2, het="app=unknown;target=cpu,cpus=16,time=1:00:00"),
        job(3, het="no request"),
        job(4, pool="gone"),
        job(5, state="held"),
        job(6, alt=7),
        replace(job(7), admin_comment="somebody else's"),
    )
    cycle(outlook, cluster(*jobs))
    assert outlook.run_s == {1: 300.0}


def test_a_job_that_changes_and_a_table_that_changes_are_seen() -> None:
    outlook = Outlook()
    cycle(outlook, cluster(job(1), job(2)))
    by_work = "app=bwa;work=2;target=cpu,cpus=16,time=1:00:00"
    cycle(outlook, cluster(job(1, het=by_work)), (replace(LEARNT[0], per_work=True, mean_s=100.0),))
    assert outlook.run_s == {1: 200.0}
    cycle(outlook, cluster(job(1, het=by_work)), (replace(LEARNT[0], mean_s=70.0),))
    assert outlook.run_s == {1: 70.0}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """How often a request is parsed and the kernel is called."""
    counts = {"parse": 0, "run_times": 0}
    parse, run_times = parser.parse, kernel.run_times

    def parsed(script: bytes | None, het: bytes | None) -> Any:
        counts["parse"] += 1
        return parse(script, het)

    def timed(*args: Any) -> Any:
        counts["run_times"] += 1
        return run_times(*args)

    monkeypatch.setattr(parser, "parse", parsed)
    monkeypatch.setattr(kernel, "run_times", timed)
    return counts


def test_while_nothing_changes_nothing_is_done_and_a_new_table_reads_no_request_again(
    calls: dict[str, int],
) -> None:
    outlook = Outlook()
    seen = cluster(job(1), job(2))
    for _ in range(3):
        cycle(outlook, seen)
    assert calls == {"parse": 2, "run_times": 1}
    cycle(outlook, seen, (*LEARNT, replace(LEARNT[0], app="other")))
    assert calls == {"parse": 2, "run_times": 2}


def test_a_queue_that_was_never_seen_is_read_over_several_cycles() -> None:
    outlook = Outlook()
    seen = cluster(*(job(n) for n in range(1, MOST_NEW + 3)))
    cycle(outlook, seen)
    assert len(outlook.run_s) == MOST_NEW
    cycle(outlook, seen)
    assert len(outlook.run_s) == MOST_NEW + 2

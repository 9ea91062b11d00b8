"""Waits follow from limits: counted by hand, and never against common sense."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.cluster import UNLIMITED, Cluster, Gres, Partition
from hetslurm.estimate import Source
from hetslurm.estimates import estimate_waits, expected_starts, plan_waits
from hetslurm.estimates.wait import UNKNOWN_WAIT_S
from hetslurm.inventory import derive_pools
from hetslurm.pool import WAIT_LENGTHS, WAIT_SIZES, Pool
from hetslurm.site import Site

from .scenes import HOUR, NOW, cluster_of, cpu_nodes, gpu_nodes, pending, running


def _waits(cluster: Cluster, length_s: float = HOUR) -> dict[str, Pool]:
    pools = derive_pools(cluster, Site())
    waits = estimate_waits(pools, cluster, lengths_s=[length_s] * WAIT_LENGTHS)
    # All length classes alike: what is left is one wait for each size.
    return {pool.name: replace(pool, wait_s=pool.wait_s[::WAIT_LENGTHS]) for pool in waits}


def _by_length(cluster: Cluster, size: int = -1) -> tuple[float, ...]:
    """The waits of the one pool's length classes, for one size class."""
    (pool,) = estimate_waits(derive_pools(cluster, Site()), cluster)
    return tuple(pool.wait_s[n::WAIT_LENGTHS][size] for n in range(WAIT_LENGTHS))


def _starts(cluster: Cluster) -> dict[int, float]:
    return expected_starts(derive_pools(cluster, Site()), cluster)


def test_an_empty_pool_has_no_wait() -> None:
    pool = _waits(cluster_of(cpu_nodes(), []))["p"]
    assert pool.wait_s == (0.0,) * 8
    assert pool.wait_source == Source.PREDICTED


def test_a_running_job_delays_only_what_does_not_fit_beside_it() -> None:
    # 4 nodes of 16: one is taken for half an hour. Half of the pool (class 6) fits, all of it does not.
    pool = _waits(cluster_of(cpu_nodes(), [running(1, ("c0",), 16, 1800)]))["p"]
    assert pool.wait_s == (0.0,) * 7 + (1800.0,)


def test_pending_jobs_go_first() -> None:
    # Both nodes are busy for 100 s; then a one-hour job takes one, and a new one gets the other.
    jobs = [running(1, ("c0", "c1"), 32, 100), pending(2, 16)]
    pool = _waits(cluster_of(cpu_nodes(2), jobs))["p"]
    assert pool.wait_s[6] == 100.0
    assert pool.wait_s[7] == 100.0 + HOUR


def test_a_short_job_fills_the_gap_before_a_large_one_and_a_long_one_does_not() -> None:
    # One node is free, the other in two hours; a job of both waits, and before it is a gap of two hours.
    jobs = [running(1, ("c0",), 16, 2 * HOUR), pending(2, 32, nodes=2)]
    cluster = cluster_of(cpu_nodes(2), jobs)
    assert _waits(cluster, 2 * HOUR)["p"].wait_s[6] == 0.0
    assert _waits(cluster, 2 * HOUR + 1)["p"].wait_s[6] == 3 * HOUR


def test_a_short_job_fits_before_a_big_one_that_waits_and_the_longer_classes_go_behind_it() -> None:
    # Half of the pool is free for two hours; then a job of all of it runs for an hour.
    jobs = [running(1, ("c0",), 16, 2 * HOUR), pending(2, 32, nodes=2)]
    assert _by_length(cluster_of(cpu_nodes(2), jobs), size=6) == (0.0, 3 * HOUR, 3 * HOUR, 3 * HOUR)


def test_a_length_class_is_as_long_as_the_pool_s_jobs_of_it_are() -> None:
    # A gap of ten minutes: too short for "up to an hour", long enough where such jobs ask for five minutes.
    jobs = [running(1, ("c0",), 16, 600), pending(2, 32, nodes=2)]
    assert _by_length(cluster_of(cpu_nodes(2), jobs), size=6)[0] == 600.0 + HOUR
    small = [running(9 + n, ("c2",), 1, 300, time_limit_min=5) for n in range(5)]
    cluster = cluster_of(cpu_nodes(3), [*jobs, *small], Partition("p", ("c0", "c1")), Partition("q", ("c2",)))
    pools = {pool.name: pool for pool in estimate_waits(derive_pools(cluster, Site()), cluster)}
    assert pools["p"].wait_s[6 * WAIT_LENGTHS] == 600.0 + HOUR  # another pool's jobs say nothing of ours
    here = [replace(job, node_names=("c0",), partition="p") for job in small]
    half = [replace(jobs[0], cpus=8), *here, jobs[1]]
    assert _by_length(cluster_of(cpu_nodes(2), half), size=6)[0] == 0.0


def test_a_pending_job_s_own_start_is_where_its_place_in_the_queue_lets_it_start() -> None:
    # One node, busy for 100 s: by priority 4, 2, 3; a held one and one that fits nowhere have no start.
    jobs = [
        running(1, ("c0",), 16, 100),
        pending(2, 16, priority=50),
        pending(3, 16, 30, priority=40),
        pending(4, 16, 10, priority=60),
        pending(5, 16, priority=0),
        pending(6, 32, nodes=2),
    ]
    assert _starts(cluster_of(cpu_nodes(1), jobs)) == {4: 100.0, 2: 700.0, 3: 700.0 + HOUR}


def test_an_array_s_start_is_its_first_task_s() -> None:
    jobs = [running(1, ("c0",), 16, 100), pending(2, 16, tasks=3), pending(3, 16, priority=1)]
    assert _starts(cluster_of(cpu_nodes(1), jobs)) == {2: 100.0, 3: 100.0 + 3 * HOUR}


def test_a_start_counts_from_the_instant_that_is_asked_for() -> None:
    cluster = cluster_of(cpu_nodes(1), [running(1, ("c0",), 16, 500), pending(2, 16)])
    assert expected_starts(derive_pools(cluster, Site()), cluster, NOW + 100) == {2: 400.0}


def test_a_job_inside_one_node_waits_for_one_node_not_for_the_sum() -> None:
    # Each of two nodes has 2 of 4 GPUs free: 4 in all, but a job of 4 on one node waits for one of them.
    two = (Gres("gpu", "a100", 2),)
    jobs = [running(1, ("g0",), 2, 1000, gres=two), running(2, ("g1",), 2, 500, gres=two)]
    pool = _waits(cluster_of(gpu_nodes(), jobs))["p"]
    assert pool.units == 8
    assert pool.wait_s[5] == 0.0  # 2 of 8
    assert pool.wait_s[6] == 500.0  # 4 of 8: one whole node
    assert pool.wait_s[7] == 1000.0


def test_a_device_without_a_free_cpu_is_not_free() -> None:
    pool = _waits(cluster_of(gpu_nodes(1), [running(1, ("g0",), 32, 700)]))["p"]
    assert pool.wait_s == (700.0,) * 8


def test_memory_that_is_all_taken_keeps_the_node_until_it_is_back() -> None:
    jobs = [
        running(1, ("c0",), 1, 300, mem_mb_per_node=60_000),
        running(2, ("c0",), 1, 900, mem_mb_per_node=4_000),
    ]
    assert _waits(cluster_of(cpu_nodes(1), jobs))["p"].wait_s[0] == 300.0


@pytest.mark.parametrize(
    "change",
    [
        {"priority": 0},
        {"reason": "Dependency"},
        {"reason": "JobHeldUser"},
        {"reason": "QOSMaxJobsPerUserLimit"},
    ],
)
def test_jobs_that_cannot_start_anyway_hold_nobody_up(change: dict[str, object]) -> None:
    jobs = [pending(1, 16, **change)]
    assert _waits(cluster_of(cpu_nodes(1), jobs))["p"].wait_s == (0.0,) * 8


def test_each_task_of_an_array_counts() -> None:
    pool = _waits(cluster_of(cpu_nodes(1), [pending(1, 16, tasks=3)]))["p"]
    assert pool.wait_s[7] == 3 * HOUR


def test_a_queue_deeper_than_is_planned_still_counts_its_work() -> None:
    pool = _waits(cluster_of(cpu_nodes(1), [pending(1, 16, tasks=10_000, limit_min=1)]))["p"]
    assert pool.wait_s[7] == pytest.approx(10_000 * 60.0, rel=0.01)


def test_a_partition_that_shares_nodes_sees_the_other_s_queue() -> None:
    parts = (Partition("p", ("c0", "c1")), Partition("q", ("c1",)))
    waits = _waits(cluster_of(cpu_nodes(2), [pending(1, 32, nodes=2)], *parts))
    assert waits["q"].wait_s[7] == HOUR


def test_a_partition_of_a_higher_tier_does_not_wait_for_a_lower_one() -> None:
    parts = (Partition("p", ("c0",)), Partition("q", ("c0",), priority_tier=5))
    waits = _waits(cluster_of(cpu_nodes(1), [pending(1, 16)], *parts))
    assert (waits["p"].wait_s[7], waits["q"].wait_s[7]) == (HOUR, 0.0)


def test_a_job_of_two_partitions_counts_where_it_starts_first() -> None:
    parts = (Partition("p", ("c0",)), Partition("q", ("c1",)))
    jobs = [running(1, ("c0",), 16, 500), pending(2, 16, partition="p,q")]
    waits = _waits(cluster_of(cpu_nodes(2), jobs, *parts))
    assert (waits["p"].wait_s[7], waits["q"].wait_s[7]) == (500.0, HOUR)


def test_a_pool_that_cannot_start_jobs_has_a_default_not_a_prediction() -> None:
    drained = [replace(node, state=frozenset({"IDLE", "DRAIN"})) for node in cpu_nodes(1)]
    down = Partition("p", ("c0",), state="DOWN")
    for cluster in (cluster_of(drained, []), cluster_of(cpu_nodes(1), [], down)):
        pool = _waits(cluster)["p"]
        assert (pool.wait_s[0], pool.wait_source) == (UNKNOWN_WAIT_S, Source.DEFAULT)


def test_a_job_without_an_end_never_makes_a_wait_infinite() -> None:
    endless = replace(running(1, ("c0",), 16, 0.0), end_at=None, time_limit_min=UNLIMITED)
    assert _waits(cluster_of(cpu_nodes(1), [endless]))["p"].wait_s[7] == 30 * 86400.0


def test_a_job_past_its_limit_is_expected_to_end_soon_not_in_the_past() -> None:
    pool = _waits(cluster_of(cpu_nodes(1), [running(1, ("c0",), 16, -5000.0)]))["p"]
    assert pool.wait_s[7] == 60.0


RUNNING = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([1, 4, 8]), st.integers(1, 100_000)), max_size=8
)
PENDING = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([1, 8, 16]), st.integers(1, 3000), st.integers(0, 200)),
    max_size=12,
)


def _build(runs: list[tuple[int, int, int]], queue: list[tuple[int, int, int, int]]) -> Cluster:
    used = [0, 0, 0, 0]
    jobs = []
    for n, (node, cpus, left) in enumerate(runs):
        if used[node] + cpus <= 16:
            used[node] += cpus
            jobs.append(running(n, (f"c{node}",), cpus, left))
    jobs += [
        pending(100 + n, nodes * cpus, limit, nodes=nodes, priority=priority)
        for n, (nodes, cpus, limit, priority) in enumerate(queue)
    ]
    return cluster_of(cpu_nodes(), jobs)


@given(RUNNING, PENDING)
@settings(deadline=None)
def test_waits_are_never_negative_and_rise_with_size(
    runs: list[tuple[int, int, int]], queue: list[tuple[int, int, int, int]]
) -> None:
    waits = _waits(_build(runs, queue))["p"].wait_s
    assert min(waits) >= 0.0
    assert list(waits) == sorted(waits)


@given(RUNNING, PENDING)
@settings(deadline=None)
def test_waits_rise_with_size_and_with_length_whatever_the_pool_s_jobs_are_like(
    runs: list[tuple[int, int, int]], queue: list[tuple[int, int, int, int]]
) -> None:
    cluster = _build(runs, queue)
    rows = [_by_length(cluster, size) for size in range(WAIT_SIZES)]
    assert all(list(row) == sorted(row) for row in rows)
    assert all(list(column) == sorted(column) for column in zip(*rows, strict=True))


@given(RUNNING, PENDING)
@settings(deadline=None)
def test_every_pending_job_starts_by_when_a_new_one_like_it_would(
    runs: list[tuple[int, int, int]], queue: list[tuple[int, int, int, int]]
) -> None:
    cluster = _build(runs, queue)
    starts = _starts(cluster)
    for job in (job for job in cluster.jobs if job.state == "PENDING" and job.priority > 0):
        last = replace(job, job_id=999, priority=1, submit_at=NOW + 1e6)
        assert starts[job.job_id] <= _starts(replace(cluster, jobs=(*cluster.jobs, last)))[999]


@given(RUNNING, PENDING, st.integers(1, 4), st.sampled_from([1, 8, 16]), st.integers(1, 3000))
@settings(deadline=None)
def test_a_job_that_joins_the_queue_never_shortens_a_wait(
    runs: list[tuple[int, int, int]],
    queue: list[tuple[int, int, int, int]],
    nodes: int,
    cpus: int,
    limit: int,
) -> None:
    before = _build(runs, queue)
    last = pending(999, nodes * cpus, limit, nodes=nodes, priority=1, submit_at=NOW + 1e6)
    after = replace(before, jobs=(*before.jobs, last))
    pairs = zip(_waits(before)["p"].wait_s, _waits(after)["p"].wait_s, strict=True)
    assert all(old <= new for old, new in pairs)


@given(RUNNING, st.integers(0, 3), st.sampled_from([1, 4, 8]), st.integers(60, 100_000))
@settings(deadline=None)
def test_a_job_that_starts_never_shortens_a_wait(
    runs: list[tuple[int, int, int]], node: int, cpus: int, left: int
) -> None:
    before = [len(_build(r, []).jobs) for r in (runs, [*runs, (node, cpus, left)])]
    old = _waits(_build(runs, []))["p"].wait_s
    new = _waits(_build([*runs, (node, cpus, left)], []))["p"].wait_s
    assert before[1] >= before[0]
    assert all(a <= b for a, b in zip(old, new, strict=True))


def test_a_job_that_hetslurm_placed_frees_its_units_at_its_predicted_end() -> None:
    nodes = cpu_nodes(1)
    job = running(1, (nodes[0].name,), 16, 2 * HOUR, start_at=NOW - 60.0)
    by_limit = _waits(cluster_of(nodes, [job]))["p"].wait_s[-1]
    predicted = _waits(cluster_of(nodes, [replace(job, predicted_run_s=360.0)]))["p"].wait_s[-1]
    assert (by_limit, predicted) == (2 * HOUR, 300.0)


def test_a_job_that_overran_its_prediction_has_until_its_limit() -> None:
    nodes = cpu_nodes(1)
    job = running(1, (nodes[0].name,), 16, 2 * HOUR, start_at=NOW - 600.0, predicted_run_s=360.0)
    assert _waits(cluster_of(nodes, [job]))["p"].wait_s[-1] == 2 * HOUR


def test_what_is_expected_by_now_goes_before_what_was_predicted_at_the_placement() -> None:
    nodes = cpu_nodes(1)
    first = running(1, (nodes[0].name,), 16, 2 * HOUR, start_at=NOW - 60.0, predicted_run_s=HOUR)
    cluster = cluster_of(nodes, [first, pending(2, 16, 600, predicted_run_s=900.0), pending(3, 16)])
    starts = plan_waits(derive_pools(cluster, Site()), cluster, runs={1: 360.0, 2: 200.0}).starts
    assert starts == {2: 300.0, 3: 500.0}


def test_a_job_that_outran_the_newest_estimate_has_until_the_end_that_its_record_says() -> None:
    nodes = cpu_nodes(1)
    first = running(1, (nodes[0].name,), 16, 2 * HOUR, start_at=NOW - 600.0, predicted_run_s=900.0)
    cluster = cluster_of(nodes, [first, pending(2, 16)])
    assert plan_waits(derive_pools(cluster, Site()), cluster, runs={1: 360.0}).starts == {2: 300.0}


def test_pending_jobs_ahead_hold_what_they_get_for_their_predicted_run() -> None:
    nodes = cpu_nodes(1)
    jobs = [running(1, (nodes[0].name,), 16, HOUR), pending(2, 16, 600, predicted_run_s=900.0)]
    assert _waits(cluster_of(nodes, jobs))["p"].wait_s[-1] == HOUR + 900.0

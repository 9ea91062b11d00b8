"""Reservations keep nodes: what would run into one goes behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.cluster import Cluster, Partition, QueuedJob, Reservation
from hetslurm.estimates import estimate_waits, expected_starts
from hetslurm.estimates.reserved import Window, keep_free
from hetslurm.estimates.supply import HORIZON_S, first_gap
from hetslurm.inventory import derive_pools
from hetslurm.pool import WAIT_LENGTHS, WAIT_SIZES
from hetslurm.site import Site

from .scenes import HOUR, NOW, cluster_of, cpu_nodes, pending, running

MAINT = frozenset({"MAINT", "SPEC_NODES"})


def _kept(
    start_s: float, end_s: float, nodes: tuple[str, ...], flags: frozenset[str] = MAINT, cpus: int = 0
) -> Reservation:
    return Reservation("keep", NOW + start_s, NOW + end_s, nodes, flags, cpus)


def _wait(cluster: Cluster, limit_s: float, size: int = -1) -> float:
    (pool,) = estimate_waits(derive_pools(cluster, Site()), cluster, lengths_s=[limit_s] * WAIT_LENGTHS)
    return pool.wait_s[::WAIT_LENGTHS][size]


def _scene(jobs: list[QueuedJob], *reservations: Reservation, nodes: int = 1) -> Cluster:
    return replace(cluster_of(cpu_nodes(nodes), jobs), reservations=reservations)


def test_a_job_too_long_to_end_before_maintenance_waits_until_it_is_over() -> None:
    cluster = _scene([], _kept(HOUR, 3 * HOUR, ("c0",)))
    assert _wait(cluster, HOUR) == 0.0
    assert _wait(cluster, 1.2 * HOUR) == 3 * HOUR


def test_the_length_classes_part_at_a_reservation() -> None:
    cluster = _scene([], _kept(7 * HOUR, 9 * HOUR, ("c0",)))
    (pool,) = estimate_waits(derive_pools(cluster, Site()), cluster)
    assert pool.wait_s[-WAIT_LENGTHS:] == (0.0, 0.0, 9 * HOUR, 9 * HOUR)


def test_a_limit_that_runs_into_a_reservation_counts_though_the_run_should_be_short() -> None:
    """Slurm goes by the limit: what hetslurm expects of the job helps it past other jobs, not past this."""
    reservation = _kept(HOUR, 3 * HOUR, ("c0",))
    job = pending(2, 16, 120, predicted_run_s=60.0)
    cluster = _scene([job], reservation)
    assert expected_starts(derive_pools(cluster, Site()), cluster) == {2: 3 * HOUR}
    short = replace(job, time_limit_min=50)
    cluster = _scene([short], reservation)
    assert expected_starts(derive_pools(cluster, Site()), cluster) == {2: 0.0}


def test_other_nodes_of_the_pool_go_on() -> None:
    cluster = _scene([], _kept(HOUR, 3 * HOUR, ("c0",)), nodes=2)
    assert _wait(cluster, 2 * HOUR, size=6) == 0.0
    assert _wait(cluster, 2 * HOUR, size=7) == 3 * HOUR


def test_the_node_that_is_free_for_long_enough_counts_not_the_one_that_is_free_first() -> None:
    # c0 is idle and kept from one o'clock on; c1 has 8 of 16 cpus until half past twelve.
    cluster = _scene([running(1, ("c1",), 8, 1800)], _kept(HOUR, 3 * HOUR, ("c0",)), nodes=2)
    assert _wait(cluster, 0.9 * HOUR, size=6) == 0.0
    assert _wait(cluster, 2 * HOUR, size=6) == 1800.0


def test_a_running_job_that_ends_in_the_window_frees_nothing_before_its_end() -> None:
    cluster = _scene([running(1, ("c0",), 16, 2 * HOUR)], _kept(HOUR, 3 * HOUR, ("c0",)))
    assert _wait(cluster, 60.0) == 3 * HOUR


@pytest.mark.parametrize("flag", ["MAINT", "RESERVED"])
def test_a_node_in_a_reservation_now_is_back_at_its_end(flag: str) -> None:
    cluster = _scene([pending(2, 32, nodes=2)], _kept(-HOUR, HOUR, ("c1",)), nodes=2)
    kept = replace(cluster.nodes[1], state=frozenset({"IDLE", flag}))
    cluster = replace(cluster, nodes=(cluster.nodes[0], kept))
    assert expected_starts(derive_pools(cluster, Site()), cluster) == {2: HOUR}
    gone = replace(kept, state=kept.state | {"DRAIN"})
    cluster = replace(cluster, nodes=(cluster.nodes[0], gone))
    assert expected_starts(derive_pools(cluster, Site()), cluster) == {}


def test_a_user_s_reservation_keeps_others_out_too_also_with_flex_and_overlap() -> None:
    for flags in (frozenset({"SPEC_NODES"}), frozenset({"FLEX"}), frozenset({"OVERLAP", "IGNORE_JOBS"})):
        assert _wait(_scene([], _kept(HOUR, 3 * HOUR, ("c0",), flags)), 2 * HOUR) == 3 * HOUR


def test_a_reservation_of_some_cpus_leaves_the_others() -> None:
    cluster = _scene([], _kept(0.0, HOUR, ("c0",), frozenset(), cpus=4))
    assert _wait(cluster, 60.0, size=6) == 0.0
    assert _wait(cluster, 60.0, size=7) == HOUR


def test_a_daily_reservation_comes_again() -> None:
    cluster = _scene([], _kept(HOUR, 2 * HOUR, ("c0",), frozenset({"DAILY"})))
    assert _wait(cluster, 20 * HOUR) == 2 * HOUR
    assert _wait(cluster, 25 * HOUR) > 10 * 24 * HOUR  # as far ahead as is looked


def test_reservations_that_are_over_or_keep_no_node_change_nothing() -> None:
    for one in (
        _kept(-2 * HOUR, -HOUR, ("c0",)),
        _kept(HOUR, 2 * HOUR, ("c0",), frozenset({"LICENSE_ONLY"})),
        _kept(HOUR, 2 * HOUR, ("elsewhere",)),
    ):
        assert _wait(_scene([], one), 24 * HOUR) == 0.0


def test_two_partitions_on_the_same_nodes_both_see_the_reservation() -> None:
    parts = (Partition("p", ("c0",)), Partition("q", ("c0",)))
    cluster = replace(cluster_of(cpu_nodes(1), [], *parts), reservations=(_kept(60, HOUR, ("c0",)),))
    pools = estimate_waits(derive_pools(cluster, Site()), cluster)
    assert [pool.wait_s[0] for pool in pools] == [HOUR, HOUR]


WINDOWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 9), st.sampled_from([0.25, 0.5, 1.0])), max_size=4
)


@given(st.lists(st.integers(1, 12), max_size=4, unique=True), WINDOWS, st.integers(1, 16), st.integers(1, 9))
def test_a_gap_is_the_first_instant_from_which_the_node_has_it_all_the_time(
    ends: list[int], spans: list[tuple[int, int, float]], units: int, length: int
) -> None:
    """Against the plainest way to say it: look at every instant in turn."""
    ends = sorted(ends)
    steps = tuple((float(at), 16.0 - 4.0 * (len(ends) - n)) for n, at in enumerate([0, *ends]))
    windows = [Window(float(a), float(a + b), share) for a, b, share in spans]
    kept = keep_free(steps, windows)

    def free(at: float) -> float:
        base = max(units_ for since, units_ in steps if since <= at)
        taken = 16.0 * min(1.0, sum(w.share for w in windows if w.start_s <= at < w.end_s))
        return min(base, 16.0 - taken)

    found = first_gap(kept, units, length)
    plain = next((float(t) for t in range(40) if all(free(t + d) >= units for d in range(length))), HORIZON_S)
    assert found == plain


@given(st.integers(0, 5), st.integers(1, 5), st.integers(1, 3), st.integers(60, 30_000))
def test_a_reservation_never_shortens_a_wait(start: int, length: int, nodes: int, limit_s: int) -> None:
    """As long as nobody waits: one that has to go behind it may leave a gap where it would have run."""
    jobs = [running(1, ("c0",), 8, 5000), running(2, ("c1", "c2"), 32, 9000)]
    before = _scene(jobs, nodes=4)
    names = tuple(f"c{n}" for n in range(nodes))
    after = replace(before, reservations=(_kept(start * HOUR, (start + length) * HOUR, names),))
    for size in range(WAIT_SIZES):
        assert _wait(before, limit_s, size) <= _wait(after, limit_s, size)

"""What jobs use of their limits says when those end that hetslurm knows nothing else of."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.estimates import expected_starts
from hetslurm.estimates.usage import Usage
from hetslurm.inventory import derive_pools
from hetslurm.site import Site

from .scenes import HOUR, NOW, cluster_of, cpu_nodes, pending, running


def _taught(share: float, user: str = "ann", n: int = 40) -> Usage:
    usage = Usage()
    for _ in range(n):
        usage.learn(user, share * HOUR, HOUR)
    return usage


def test_nothing_is_said_while_few_jobs_have_ended() -> None:
    assert _taught(0.3, n=9).run_s("ann", HOUR) is None


def test_a_user_s_jobs_are_expected_to_use_what_they_usually_do() -> None:
    assert _taught(0.3).run_s("ann", 2 * HOUR) == pytest.approx(0.6 * HOUR, rel=0.2)


def test_a_user_never_seen_is_like_everybody() -> None:
    assert _taught(0.3).run_s("bob", HOUR) == pytest.approx(0.3 * HOUR, rel=0.2)


def test_a_user_s_own_jobs_soon_outweigh_everybody_s() -> None:
    usage = _taught(0.9, "everybody")
    for _ in range(6):
        usage.learn("ann", 0.05 * HOUR, HOUR)
    assert usage.run_s("ann", HOUR) == pytest.approx(0.05 * HOUR, rel=0.3)


def test_a_job_that_has_run_for_long_ends_as_those_did_that_got_as_far() -> None:
    usage = Usage()
    for n in range(60):
        usage.learn("ann", (0.9 if n % 3 == 0 else 0.1) * HOUR, HOUR)
    assert usage.run_s("ann", HOUR) == pytest.approx(0.1 * HOUR, rel=0.3)
    assert usage.run_s("ann", HOUR, 0.5 * HOUR) == pytest.approx(0.9 * HOUR, rel=0.2)


def test_habits_that_change_are_followed() -> None:
    usage = _taught(0.9)
    for _ in range(40):
        usage.learn("ann", 0.1 * HOUR, HOUR)
    assert usage.run_s("ann", HOUR) == pytest.approx(0.1 * HOUR, rel=0.3)


@given(
    st.lists(st.tuples(st.floats(0.0, 2.0), st.sampled_from("ab")), min_size=10, max_size=60),
    st.floats(0.0, 3.0),
    st.floats(0.0, 3.0),
)
def test_an_expected_run_is_within_what_is_possible_and_never_shrinks_as_the_job_runs(
    ended: list[tuple[float, str]], one: float, other: float
) -> None:
    usage = Usage()
    for share, user in ended:
        usage.learn(user, share * HOUR, HOUR)
    sooner, later = sorted((one, other))
    first = usage.run_s("a", HOUR, sooner * HOUR)
    second = usage.run_s("a", HOUR, later * HOUR)
    if first is not None and second is not None:
        assert min(sooner, 1.0) * HOUR - 1e-6 <= first <= HOUR + 1e-6
        assert first <= second + 1e-6


def test_a_queue_of_other_people_s_jobs_moves_as_fast_as_they_usually_end() -> None:
    usage = _taught(0.25)
    jobs = [running(1, ("c0",), 16, HOUR, time_limit_min=60, start_at=NOW), pending(2, 16), pending(3, 16)]
    cluster = cluster_of(cpu_nodes(1), jobs)
    pools = derive_pools(cluster, Site())
    assert expected_starts(pools, cluster) == {2: HOUR, 3: 2 * HOUR}
    run_s = usage.run_s("ann", HOUR)
    assert run_s is not None
    assert expected_starts(pools, cluster, usage=usage) == pytest.approx({2: run_s, 3: 2 * run_s})


def test_what_hetslurm_expects_of_its_own_job_comes_before_habits() -> None:
    jobs = [running(1, ("c0",), 16, HOUR, start_at=NOW, predicted_run_s=50.0), pending(2, 16)]
    cluster = cluster_of(cpu_nodes(1), jobs)
    assert expected_starts(derive_pools(cluster, Site()), cluster, usage=_taught(0.5)) == {2: 50.0}


def test_memory_is_bounded() -> None:
    usage = Usage()
    rng = random.Random(0)
    for n in range(10_050):
        usage.learn(f"u{n}", rng.random() * HOUR, HOUR)
    assert len(usage.users) == 10_000
    assert "u0" not in usage.users

"""When the circuit breaker opens: a burst in one pool is one, however many nodes the site has."""

from __future__ import annotations

from dataclasses import replace

from hetslurm.health.drain_breaker import Breaker, judge_breaker
from hetslurm.health.drain_rules import plan_breaker
from hetslurm.health.drain_scene import Scene
from hetslurm.site import DrainSite

from .scenes import NOW, finding, judgement, node, pool

SITE = DrainSite(mode="on", burst_share=0.1, burst_window_s=300)
GPUS = tuple(f"gpu{i}" for i in range(20))
CPUS = tuple(f"cpu{i}" for i in range(980))
ALL = frozenset(GPUS + CPUS)
GROUPS = (ALL, frozenset(GPUS), frozenset(CPUS))


def test_a_burst_in_a_small_pool_of_a_large_site_opens_it() -> None:
    opened = judge_breaker(Breaker(), dict.fromkeys(GPUS[:3], NOW - 1), GROUPS, SITE, NOW)
    assert opened == Breaker(NOW, frozenset(GPUS[:3]))


def test_as_many_failures_that_are_scattered_over_pools_open_it_not() -> None:
    scattered = dict.fromkeys((*GPUS[:2], *CPUS[:98]), NOW - 1)
    assert not judge_breaker(Breaker(), scattered, GROUPS, SITE, NOW).is_open
    one_more = scattered | {CPUS[98]: NOW - 1}
    assert judge_breaker(Breaker(), one_more, GROUPS, SITE, NOW).is_open


def test_it_closes_when_that_pool_has_recovered_though_others_fail() -> None:
    opened = judge_breaker(Breaker(), dict.fromkeys(GPUS[:3], NOW - 1), GROUPS, SITE, NOW)
    later = {GPUS[0]: NOW - 1, GPUS[1]: NOW - 1, CPUS[0]: NOW + 400}
    assert not judge_breaker(opened, later, GROUPS, SITE, NOW + 401).is_open
    still = later | {GPUS[2]: NOW - 1}
    assert judge_breaker(opened, still, GROUPS, SITE, NOW + 401) == opened


def test_many_small_pools_that_fail_together_are_a_burst_of_the_whole() -> None:
    pairs = [frozenset({f"n{i}", f"n{i + 1}"}) for i in range(0, 20, 2)]
    everything = frozenset().union(*pairs)
    failing = dict.fromkeys(sorted(everything)[:3], NOW - 1)
    assert judge_breaker(Breaker(), failing, (everything, *pairs), SITE, NOW).nodes == failing.keys()


def test_the_rules_look_at_every_pool_that_the_site_has() -> None:
    names = GPUS[:4] + CPUS[:36]
    hard = {name: [finding(since=NOW - 1)] for name in GPUS[:3]}
    nodes = {name: node(name) for name in names}
    scene = Scene(nodes, judgement(names, hard), (), (), SITE, NOW)
    assert not plan_breaker(Breaker(), scene).is_open
    pools = (pool(*GPUS[:4], name="gpu"), pool(*CPUS[:36], name="cpu"))
    assert plan_breaker(Breaker(), replace(scene, pools=pools)).is_open

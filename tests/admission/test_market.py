"""What the cloud offers now: prices that are fresh, nodes that nobody has, caps with room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.cloudburst.admission import why_unmovable
from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.ledger.values import Payer, Usage
from hetslurm.cloudburst.market import Market, open_market
from hetslurm.cloudburst.policy import Cap, CloudPool, Level, Period, Policy, Purchase
from hetslurm.cloudburst.provider.protocol import Quote
from hetslurm.cloudburst.purse import Purse
from hetslurm.cluster import Cluster, Gres, Node, Partition
from hetslurm.pool import Rates
from hetslurm.site import DataSite, PoolFacts, Site

Make = Callable[..., Any]
NOW = 1_800_000_000.0
POOL = CloudPool("cloud", "here", "small", (Purchase.SPOT,), 1_000_000)
OFF = {"IDLE", "CLOUD", "POWERED_DOWN"}
ALLOW = "target=cpu,cpus=16,time=1:00:00;preemptible=yes;burst=allow"
A100 = (Gres("gpu", "a100", 1),)
U250 = (Gres("fpga", "u250", 1),)


def market(*states: set[str], price: int = 1, seen_at: float = NOW, state: str = "UP", **more: Any) -> Market:
    """Of one pool with nodes c1, c2, … in these states."""
    nodes = tuple(Node(f"c{i}", 4, 1000, frozenset(flags)) for i, flags in enumerate(states, start=1))
    partition = Partition("cloud", tuple(node.name for node in nodes), state=state)
    cluster = Cluster("test", (22, 5, 8), NOW, nodes, (partition,), ())
    quotes = {"cloud": [Quote("small", Purchase.SPOT, "", price, 2, seen_at)]}
    given: dict[str, Any] = {"cooled": (), "taken": frozenset(), **more}
    return open_market(Policy(pools=(POOL,)), cluster, quotes, given["cooled"], given["taken"], NOW)


@pytest.mark.parametrize(
    "flags",
    [
        {"IDLE", "CLOUD"},
        {"ALLOCATED", "CLOUD"},
        OFF | {"DRAIN"},
        OFF | {"POWERING_DOWN"},
        OFF | {"POWERING_UP"},
        {"DOWN", "CLOUD", "POWERED_DOWN"},
        {"IDLE", "CLOUD", "POWERING_UP"},
    ],
)
def test_only_a_node_that_is_powered_down_and_well_is_free(flags: set[str]) -> None:
    assert market(OFF, flags).offers["cloud"].free == ("c1",)
    assert market(flags).closed["cloud"] == "none of its 1 nodes is free"


def test_a_node_with_a_reservation_or_an_instance_is_taken() -> None:
    assert market(OFF, OFF, taken=frozenset({"c1"})).offers["cloud"].free == ("c2",)


def test_a_pool_whose_offerings_rest_is_closed_and_its_jobs_may_go_home() -> None:
    rest = Cooldown("cloud", "", Purchase.SPOT, "capacity", NOW + 60, "none left")
    found = market(OFF, cooled=(rest,))
    assert found.closed["cloud"] == "spot: rests: none left"
    assert found.no_offering == {"cloud"}


def test_a_pause_of_the_provider_closes_nothing() -> None:
    rest = Cooldown("cloud", "*", "*", "throttle", NOW + 60, "too fast")
    assert "cloud" in market(OFF, cooled=(rest,)).offers


@pytest.mark.parametrize("quote", [{"price": 1_000_001}, {"seen_at": NOW - 3600}])
def test_a_price_that_is_too_high_or_too_old_closes_the_pool(quote: dict[str, Any]) -> None:
    assert market(OFF, **quote).offers == {}


def test_a_partition_that_is_down_or_unknown_closes_the_pool() -> None:
    assert market(OFF, state="DOWN").closed["cloud"] == "its partition is DOWN"
    cluster = Cluster("test", (22, 5, 8), NOW, (), (), ())
    found = open_market(Policy(pools=(POOL,)), cluster, {}, (), frozenset(), NOW)
    assert found.closed["cloud"] == "Slurm has no such partition"


@pytest.mark.parametrize(
    ("version", "have", "want", "can"),
    [
        ((22, 5, 8), (), A100, True),
        ((22, 5, 8), A100, A100, True),
        ((22, 5, 8), A100, (Gres("gpu", "a100", 4),), True),
        ((22, 5, 8), A100, U250, False),
        ((22, 5, 8), A100, (), False),
        ((24, 11, 5), A100, U250, True),
        ((24, 11, 5), A100, (), False),
        ((26, 5, 5), A100, (), True),
        ((23, 11, 0), A100, U250, False),
    ],
)
def test_moves_are_those_that_each_release_was_seen_to_make(
    version: tuple[int, int, int], have: tuple[Gres, ...], want: tuple[Gres, ...], can: bool
) -> None:
    assert (why_unmovable(version, have, want) == "") == can


def test_the_tightest_cap_is_named_and_promises_count() -> None:
    ann, bob = Payer("phys", "ann"), Payer("phys", "bob")
    site, each = Cap(Level.SITE, "", Period.DAY, 100), Cap(Level.USER, "*", Period.HOUR, 60)
    purse = Purse((site, each), (Usage(site, "", 0.0, 10, 20),), "EUR")
    assert purse.why_not(ann, 60) == ""
    purse.promise(ann, 50)
    assert "cap of user ann, per hour" in purse.why_not(ann, 15)
    assert purse.why_not(bob, 20) == ""
    assert "cap of the site, per day" in purse.why_not(bob, 21)


def test_where_no_cap_binds_nothing_is_spent() -> None:
    assert "no cap binds" in Purse((), (), "EUR").why_not(Payer("phys", "ann"), 1)


def test_a_cheap_and_risky_offering_loses_against_a_wait_that_is_shorter_than_its_lost_runs(
    make_desk: Make, make_job: Make
) -> None:
    desk = make_desk(make_job(1, ALLOW))
    wait_s = 7 * 86400.0
    spot = replace(desk.policy.pools[0], purchases=(Purchase.SPOT,))
    desk.policy = replace(desk.policy, pools=(replace(spot, interruptions_per_hour=0.1),))
    risky = replace(desk.policy, pools=(replace(spot, interruptions_per_hour=wait_s / 3600 + 10),))
    calm = desk.policy
    desk.policy = risky
    assert desk.step().spilled == 0
    desk.policy = calm
    assert desk.step().spilled == 1


def test_egress_counts_for_a_job_that_looks_at_money(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, f"{ALLOW};objective=cost;data=/scratch/x:500G"))
    at_home = (PoolFacts(kind="cpu", price_per_hour=Rates(cpu=40_000.0)),)
    dear = DataSite("/scratch/", {"*": 1.0}, {"cloud": 90_000_000.0})
    desk.site = Site(pools=at_home, data=(dear,))
    assert desk.step().spilled == 0
    desk.site = Site(pools=at_home, data=(replace(dear, egress_per_gb={}),))
    assert desk.step().spilled == 1


def test_data_that_is_longer_on_the_way_than_the_job_waits_keeps_it_at_home(
    make_desk: Make, make_job: Make
) -> None:
    desk = make_desk(make_job(1, f"{ALLOW};data=/scratch/x:500G"))
    slow = DataSite("/scratch/", {"cloud": 0.0001, "*": 1.0})
    desk.site = Site(data=(slow,))
    assert desk.step().spilled == 0
    desk.site = Site(data=(replace(slow, gb_per_s={"*": 1.0}),))
    assert desk.step().spilled == 1

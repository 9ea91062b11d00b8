"""Which moves a pending job can make, by release and by what the nodes offer."""

from __future__ import annotations

from itertools import product

import pytest

from hetslurm.cluster import Cluster, Gres, Node, Partition, QueuedJob
from hetslurm.controller.node_watch import dummies_of
from hetslurm.inventory import derive_pools
from hetslurm.rebinding.capability import Holding, Moves, Route, Way, measured_as, read_moves
from hetslurm.site import PoolFacts, Site
from hetslurm.slurm.binding import differences
from hetslurm.slurm.protocol import JobUpdate
from hetslurm.slurm.routes import steps
from hetslurm.slurm.update import render_update

A100, TWO_A100, U250 = (Gres("gpu", "a100", 1),), (Gres("gpu", "a100", 2),), (Gres("fpga", "u250", 1),)
SLOT = Gres("slot", "", 64)
V22, V24, V26 = (22, 5, 8), (24, 11, 5), (26, 5, 5)


def node(name: str, *gres: Gres) -> Node:
    return Node(name, 16, 64_000, frozenset({"IDLE"}), gres)


def cluster(version: tuple[int, int, int], **nodes: tuple[Gres, ...]) -> Cluster:
    partitions = tuple(Partition(name, (f"{name}1",)) for name in nodes)
    return Cluster(
        "c", version, 0.0, tuple(node(f"{p}1", *gres) for p, gres in nodes.items()), partitions, ()
    )


def moves(version: tuple[int, int, int], *, filler: bool = False, dummies: bool = False) -> Moves:
    more = (SLOT,) if filler else ()
    everything = (*A100, *U250) if dummies else ()
    there = cluster(
        version, cpu=(*more, *everything), gpu=everything or A100, fpga=everything or U250, bare=more
    )
    return read_moves(there, DUMMY_SITE if dummies else Site())


DUMMY_SITE = Site(
    pools=(
        PoolFacts("cpu", "gpu", "a100", dummy=True),
        PoolFacts("cpu", "fpga", dummy=True),
        PoolFacts("gpu", "fpga", dummy=True),
        PoolFacts("fpga", "gpu", dummy=True),
    )
)
PLACES = {"cpu": (), "gpu": A100, "fpga": U250}


@pytest.mark.parametrize("version", [V22, V24, V26])
def test_every_release_moves_a_job_without_gres_anywhere_and_any_job_between_partitions(
    version: tuple[int, int, int],
) -> None:
    here = moves(version)
    assert here.way(Holding(), A100, "gpu") == Way(Route.SET_GRES, A100)
    assert here.way(Holding(A100), A100, "gpu-2") == Way(Route.PLAIN)
    assert here.way(Holding(), (), "bare") == Way(Route.PLAIN)
    assert here.way(Holding(A100), TWO_A100, "gpu") == Way(Route.SET_GRES, TWO_A100)


@pytest.mark.parametrize(
    ("version", "filler", "closed"),
    [
        (V22, False, {"gpu>cpu", "fpga>cpu", "gpu>fpga", "fpga>gpu"}),
        (V22, True, {"gpu>cpu", "fpga>cpu", "gpu>fpga", "fpga>gpu"}),
        (V24, False, {"gpu>cpu", "fpga>cpu"}),
        (V24, True, set()),
        (V26, False, set()),
        ((23, 11, 3), True, {"gpu>cpu", "fpga>cpu", "gpu>fpga", "fpga>gpu"}),
        ((25, 5, 0), False, {"gpu>cpu", "fpga>cpu"}),
        ((27, 0, 0), False, set()),
    ],
)
def test_what_a_release_was_not_seen_to_do_is_not_tried(
    version: tuple[int, int, int], filler: bool, closed: set[str]
) -> None:
    here = moves(version, filler=filler)
    found = {
        f"{a}>{b}"
        for a, b in product(PLACES, PLACES)
        if not here.way(Holding(PLACES[a]), PLACES[b], b).is_open
    }
    assert found == closed


def test_between_measured_releases_the_one_before_counts() -> None:
    assert [measured_as(v) for v in [(22, 5, 2), (23, 11, 0), (24, 5, 1), (25, 11, 0), (26, 5, 9)]] == [
        V22,
        V22,
        V22,
        V24,
        V26,
    ]
    assert measured_as((21, 8, 0)) is None


def test_with_dummies_22_05_moves_everything_and_nothing_becomes_a_pool_that_is_none() -> None:
    here = moves(V22, dummies=True)
    assert here.way(Holding(A100), U250, "fpga") == Way(Route.DUMMY, U250)
    assert here.way(Holding(A100), (), "cpu") == Way(Route.DUMMY, ())
    assert here.way(Holding(A100, per_job=True), (), "cpu").route is Route.DUMMY
    assert "lack dummies" in here.way(Holding(A100), (), "bare").why
    pools = derive_pools(cluster(V22, cpu=(*A100, *U250), gpu=(*A100, *U250)), DUMMY_SITE)
    assert [(pool.partition, pool.kind, pool.type) for pool in pools] == [
        ("cpu", "cpu", ""),
        ("gpu", "gpu", "a100"),
    ]


def test_dummies_of_one_kind_only_do_not_count_since_22_05_remembers_all_that_a_job_ever_had() -> None:
    there = cluster(V22, cpu=A100, gpu=A100, fpga=U250)
    here = read_moves(there, Site(pools=(PoolFacts("cpu", "gpu", dummy=True),)))
    assert not here.way(Holding(A100), (), "cpu").is_open


def test_per_job_gpus_move_where_others_do_and_are_taken_away_by_their_own_word() -> None:
    gpus = Holding(A100, per_job=True)
    assert not moves(V22).way(gpus, TWO_A100, "gpu").is_open
    assert moves(V22).way(gpus, A100, "gpu").route is Route.PLAIN
    assert moves(V26).way(gpus, (), "cpu").is_open
    way = moves(V24, filler=True).way(gpus, (), "cpu")
    words = [render_update(one) for one in steps(JobUpdate("cpu"), way)]
    assert words == [["Partition=cpu", "TresPerJob=", "Gres=slot:1"]]


def test_a_job_on_a_filler_goes_on_from_there() -> None:
    here = moves(V24, filler=True)
    slot = Holding((Gres("slot", "", 1),))
    assert here.way(Holding(A100), (), "cpu") == Way(Route.FILLER, slot.gres)
    assert here.way(slot, (), "bare") == Way(Route.PLAIN)
    assert here.way(slot, U250, "fpga") == Way(Route.SET_GRES, U250)
    assert not here.way(slot, (), "elsewhere").is_open


def test_a_filler_that_some_nodes_lack_is_none() -> None:
    nodes = (node("a", SLOT), node("b"))
    there = Cluster("c", V24, 0.0, nodes, (Partition("cpu", ("a", "b")),), ())
    assert not read_moves(there, Site()).way(Holding(A100), (), "cpu").is_open


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (Way(Route.PLAIN), [["Partition=p"]]),
        (Way(Route.SET_GRES, U250), [["Partition=p", "Gres=fpga:u250:1"]]),
        (Way(Route.FILLER, (Gres("slot", "", 1),)), [["Partition=p", "Gres=slot:1"]]),
        (Way(Route.EMPTY_GRES, ()), [["Partition=p", "TresPerNode=", "TresPerJob="]]),
        (Way(Route.DUMMY, ()), [["Partition=p", "TresPerNode=", "TresPerJob="]]),
        (Way(Route.DUMMY, U250), [["TresPerNode=", "TresPerJob="], ["Partition=p", "Gres=fpga:u250:1"]]),
    ],
)
def test_a_route_is_written_as_it_was_seen_to_work(way: Way, words: list[list[str]]) -> None:
    assert [render_update(one) for one in steps(JobUpdate("p", A100), way)] == words
    assert way.needs_hold == (len(words) > 1)


def test_a_closed_way_has_no_steps() -> None:
    with pytest.raises(ValueError, match="because"):
        steps(JobUpdate("p"), Way(None, why="because"))


def test_gres_that_should_be_gone_is_a_difference() -> None:
    job = QueuedJob(1, "PENDING", "p", "u", 1, 1, 1, 1, 1, 0.0, None, None, gres=A100)
    assert differences(JobUpdate("p", (), clear_gres=True), job) == [f"gres is {A100}, still with gpu"]
    assert any("still with gpu" in line for line in differences(JobUpdate("p", U250), job))
    assert differences(JobUpdate("p", A100), job) == []
    assert differences(JobUpdate("p"), job) == []


def test_no_probe_is_expected_to_find_a_dummy() -> None:
    there = cluster(V22, cpu=(*A100, *U250), gpu=(*A100, *U250))
    assert dummies_of(there, DUMMY_SITE) == {
        ("cpu1", "gpu", "a100"),
        ("cpu1", "fpga", "u250"),
        ("gpu1", "fpga", "u250"),
    }
    assert dummies_of(there, Site()) == frozenset()

"""Pools are what partitions offer, named shortly and told apart."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hetslurm.cluster import Cluster, Gres, Node, Partition
from hetslurm.estimate import Source
from hetslurm.inventory import derive_pools
from hetslurm.native.layout import REASON_BITS
from hetslurm.pool import Pool, Rates
from hetslurm.site import PoolFacts, Site

IDLE = frozenset({"IDLE"})
A100 = (Gres("gpu", "a100", 4),)


def _cpu(name: str, **more: object) -> Node:
    return replace(Node(name, 64, 256_000, IDLE), **more)  # type: ignore[arg-type]


def _gpu(name: str, **more: object) -> Node:
    return replace(Node(name, 32, 512_000, IDLE, gres=A100), **more)  # type: ignore[arg-type]


def _pools(nodes: list[Node], *partitions: Partition, site: Site | None = None) -> dict[str, Pool]:
    everything = Partition("all", tuple(node.name for node in nodes))
    cluster = Cluster("c", (22, 5, 8), 0.0, tuple(nodes), partitions or (everything,), ())
    return {pool.name: pool for pool in derive_pools(cluster, site or Site())}


def test_a_partition_of_alike_nodes_is_one_pool_of_its_name() -> None:
    pools = _pools(
        [_cpu("c1"), _cpu("c2"), _gpu("g1")], Partition("cpu", ("c1", "c2")), Partition("gpu", ("g1",))
    )
    assert list(pools) == ["cpu", "gpu"]
    gpu = pools["gpu"]
    assert (gpu.kind, gpu.type, gpu.devices_per_node, gpu.units, gpu.units_free) == (
        "gpu",
        "a100",
        4,
        4.0,
        4.0,
    )
    assert (pools["cpu"].kind, pools["cpu"].devices_per_node, pools["cpu"].units) == ("cpu", 0, 128.0)


def test_a_mixed_partition_names_its_pools_by_what_they_offer() -> None:
    pools = _pools([_cpu("c1"), _gpu("g1"), _gpu("h1", gres=(Gres("gpu", "h100", 4),))])
    assert set(pools) == {"all/cpu", "all/gpu-a100", "all/gpu-h100"}


def test_names_grow_only_while_two_pools_are_alike() -> None:
    pools = _pools(
        [
            _cpu("c1"),
            _cpu("c2", cpus=128),
            _gpu("g1"),
            _cpu("c3", features=frozenset({"ib"})),
            _cpu("c4", features=frozenset({"opa"})),
        ]
    )
    assert set(pools) == {
        "all/cpu-c64-m250G",
        "all/cpu-c128-m250G",
        "all/gpu-a100",
        "all/cpu-c64-m250G-ib",
        "all/cpu-c64-m250G-opa",
    }


def test_pools_that_no_word_tells_apart_are_numbered() -> None:
    pools = _pools([_cpu("c1", mem_mb=256_000), _cpu("c2", mem_mb=256_001)])
    assert {name: pool.node_names for name, pool in pools.items()} == {
        "all/cpu-c64-m250G-1": ("c1",),
        "all/cpu-c64-m250G-2": ("c2",),
    }


def test_cpus_of_device_nodes_are_a_pool_only_where_the_site_says_so() -> None:
    assert set(_pools([_gpu("g1")])) == {"all"}
    open_site = Site(accelerator_nodes_take_cpu_jobs=True)
    pools = _pools([_gpu("g1")], site=open_site)
    assert {name: pool.units for name, pool in pools.items()} == {"all/gpu-a100": 4.0, "all/cpu": 32.0}


def test_gres_that_is_no_device_makes_no_pool() -> None:
    scratch = Gres("lscratch", "", 900)
    pools = _pools([_cpu("c1", gres=(scratch,)), _gpu("g1", gres=(Gres("gpu", "a100", 4), scratch))])
    assert {pool.kind for pool in pools.values()} == {"cpu", "gpu"}
    every = Site(resource_gres=frozenset())
    assert {pool.kind for pool in _pools([_cpu("c1", gres=(scratch,))], site=every).values()} == {"lscratch"}


def test_nodes_of_two_device_types_are_in_two_pools() -> None:
    both = (Gres("gpu", "a100", 2), Gres("fpga", "u250", 1))
    assert set(_pools([_gpu("x1", gres=both)])) == {"all/gpu-a100", "all/fpga-u250"}


def test_units_count_usable_nodes_and_free_ones_what_is_free() -> None:
    pools = _pools(
        [
            _gpu("g1", gres_used=(Gres("gpu", "a100", 1),), cpus_allocated=4),
            _gpu("g2", state=frozenset({"IDLE", "DRAIN"})),
            _gpu("g3", state=frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})),
            _gpu("g4", cpus_allocated=32),
            _gpu("g5", mem_mb_allocated=512_000, cpus_allocated=1),
        ]
    )
    assert (pools["all"].units, pools["all"].units_free) == (16.0, 3.0 + 4.0)
    assert pools["all"].node_names == ("g1", "g2", "g3", "g4", "g5")


def test_an_untyped_use_takes_from_a_typed_pool() -> None:
    assert _pools([_gpu("g1", gres_used=(Gres("gpu", "", 3),))])["all"].units_free == 1.0


def test_a_pool_says_why_nothing_can_start() -> None:
    down = _pools([_cpu("c1")], Partition("p", ("c1",), state="DOWN"))["p"]
    assert down.reasons == REASON_BITS["PARTITION_DOWN"]
    dead = _pools([_cpu("c1", state=frozenset({"DOWN"}))], Partition("p", ("c1",)))["p"]
    assert dead.reasons == REASON_BITS["NO_NODE_UP"]
    assert dead.units == 0.0


def test_limits_are_the_partition_s() -> None:
    part = Partition(
        "p", ("c1",), max_time_min=60, min_nodes=2, max_nodes=8, max_cpus_per_node=32, max_mem_mb_per_cpu=1000
    )
    pool = _pools([_cpu("c1")], part)["p"]
    assert (pool.max_time_min, pool.min_nodes, pool.max_nodes, pool.max_cpus_per_node) == (60, 2, 8, 32)
    assert pool.max_mem_mb_per_node == 32_000


def test_the_most_exact_fact_wins_field_by_field() -> None:
    site = Site(
        pools=(
            PoolFacts(kind="gpu", price_per_hour=Rates(device=1.0), watts=Rates(device=300.0), speed=1.5),
            PoolFacts(kind="gpu", type="a100", speed=2.0),
            PoolFacts(partition="all", kind="gpu", type="a100", price_per_hour=Rates(device=9.0)),
            PoolFacts(kind="cpu", startup_s=5.0),
        )
    )
    pool = _pools([_gpu("g1")], site=site)["all"]
    assert (pool.price.device, pool.watts.device, pool.speed.value) == (9.0, 300.0, 2.0)
    assert (pool.price_source, pool.speed.source) == (Source.DECLARED, Source.DECLARED)
    assert pool.startup_s.source == Source.DEFAULT


def test_an_ignored_pool_is_gone_and_an_exact_entry_brings_it_back() -> None:
    hidden = PoolFacts(kind="gpu", ignore=True)
    shown = PoolFacts(partition="all", kind="gpu", ignore=False)
    assert _pools([_gpu("g1")], site=Site(pools=(hidden,))) == {}
    assert set(_pools([_gpu("g1")], site=Site(pools=(hidden, shown)))) == {"all"}


SHAPES = st.builds(
    Node,
    st.sampled_from([f"n{i}" for i in range(12)]),
    st.sampled_from([16, 64]),
    st.sampled_from([1000, 64_000]),
    st.just(IDLE),
    gres=st.sampled_from([(), A100, (Gres("gpu", "", 1),), (Gres("fpga", "u250", 1),)]),
    features=st.sampled_from([frozenset[str](), frozenset({"ib"})]),
)


@given(st.lists(SHAPES, unique_by=lambda node: node.name, max_size=12), st.randoms())
def test_every_node_is_offered_once_under_one_name_in_any_order(nodes: list[Node], random: object) -> None:
    names = tuple(node.name for node in nodes)
    partition = Partition("p", names)
    pools = derive_pools(Cluster("c", (22, 5, 8), 0.0, tuple(nodes), (partition,), ()), Site())
    assert sorted(n for pool in pools for n in pool.node_names) == sorted(names)
    assert len({pool.name for pool in pools}) == len(pools)
    random.shuffle(nodes)  # type: ignore[attr-defined]
    again = derive_pools(Cluster("c", (22, 5, 8), 0.0, tuple(nodes), (partition,), ()), Site())
    assert sorted(again, key=lambda p: p.name) == sorted(pools, key=lambda p: p.name)

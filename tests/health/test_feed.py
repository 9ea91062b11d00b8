"""What health does to pools: capacity, speed and risk, through the functions that the controller uses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.cluster import Cluster, Gres, Node, Partition
from hetslurm.estimate import Estimate, Source
from hetslurm.estimates import estimate_waits
from hetslurm.health.feed import MOST_RISK, asleep, risk_of, unfit, with_health
from hetslurm.health.judgement import Judgement
from hetslurm.inventory import derive_pools
from hetslurm.native.layout import REASON_BITS
from hetslurm.pool import Pool
from hetslurm.site import HealthSite, PoolFacts, Site

from .rig import Rig

IDLE = frozenset({"IDLE"})
GPUS = (Gres("gpu", "a100", 4),)
FPGAS = (Gres("fpga", "u250", 1),)
SITE = HealthSite()


def _node(name: str, gres: tuple[Gres, ...] = GPUS, **more: object) -> Node:
    return replace(Node(name, 32, 512_000, IDLE, gres=gres), **more)  # type: ignore[arg-type]


def _cluster(*nodes: Node) -> Cluster:
    everything = Partition("all", tuple(node.name for node in nodes))
    return Cluster("c", (22, 5, 8), 0.0, nodes, (everything,), ())


def _fed(cluster: Cluster, judgement: Judgement, site: Site | None = None) -> Pool:
    """The only pool, as the controller makes it."""
    seen = unfit(cluster, judgement, SITE)
    (pool,) = estimate_waits(with_health(derive_pools(seen, site or Site()), seen, judgement), seen)
    return pool


TWO = _cluster(_node("n1"), _node("n2"))
WELL = [{}, {}, {}, {}]


def test_a_site_without_agents_is_as_it_was() -> None:
    judged = Rig().judge()
    assert unfit(TWO, judged, SITE) is TWO
    pools = derive_pools(TWO, Site())
    assert with_health(pools, TWO, judged) == pools


def test_nodes_that_were_heard_make_health_a_measurement() -> None:
    rig = Rig()
    rig.beat({"gpu": WELL}, node="n1")
    pool = _fed(TWO, rig.judge())
    assert pool.health == Estimate(1.0, Source.MEASURED)
    assert (pool.risk, pool.units) == (1.0, 8.0)
    assert pool.speed == Estimate(1.0, Source.DEFAULT)


def test_a_pool_of_nodes_that_nobody_heard_keeps_its_default() -> None:
    rig = Rig()
    rig.beat({"gpu": WELL}, node="elsewhere")
    assert _fed(TWO, rig.judge()).health == Estimate(1.0, Source.DEFAULT)


def test_an_ailing_node_raises_the_risk_before_it_loses_capacity() -> None:
    rig = Rig()
    rig.beat({"gpu": [{"remap_pending": 1}, {}, {}, {}]}, node="n1")
    pool = _fed(TWO, rig.judge())
    assert pool.units == 8.0
    assert pool.health == Estimate(0.75, Source.MEASURED)
    assert pool.risk == pytest.approx(4 / 3)


def test_a_sick_node_takes_its_devices_out_of_the_pool_and_the_rest_is_as_well_as_before() -> None:
    rig = Rig()
    rig.beat({"gpu": [{"lost": 1}, {}, {}, {}]}, node="n1")
    pool = _fed(TWO, rig.judge())
    assert (pool.units, pool.units_free) == (4.0, 4.0)
    assert pool.health.value == 1.0
    assert not pool.reasons
    assert pool.wait_s[0] == 0.0


def test_a_pool_without_a_fit_node_says_that_its_health_is_why() -> None:
    rig = Rig()
    for name in ("n1", "n2"):
        rig.beat({"gpu": [{"lost": 1}, {}, {}, {}]}, node=name)
    pool = _fed(TWO, rig.judge())
    assert pool.units == 0.0
    assert pool.reasons == REASON_BITS["HEALTH"]
    assert pool.health == Estimate(0.0, Source.MEASURED)
    assert pool.risk == MOST_RISK


def test_a_sick_gpu_leaves_the_cpus_of_its_node_alone_and_a_sick_node_does_not_leave_its_gpus() -> None:
    rig = Rig()
    rig.beat({"gpu": [{"lost": 1}]}, node="n1")
    rig.beat({"host": [{"read_only_disks": 1}]}, node="n2")
    one, two = unfit(TWO, rig.judge(), SITE).nodes
    assert (one.is_fit("cpu"), one.is_fit("gpu")) == (True, False)
    assert (two.is_fit("cpu"), two.is_fit("gpu")) == (False, False)


def test_a_silent_node_gets_no_jobs() -> None:
    rig = Rig()
    for name in ("n1", "n2"):
        rig.beat({"gpu": WELL}, node=name)
    rig.beat({"gpu": WELL}, node="n1", times=5)
    assert _fed(TWO, rig.judge()).units == 4.0


def test_a_powered_down_node_is_not_sick_whatever_was_heard_of_it_last() -> None:
    rig = Rig()
    rig.beat({"gpu": [{"lost": 1}]}, node="n1")
    away = _cluster(_node("n1", state=frozenset({"IDLE", "POWERED_DOWN"})), _node("n2"))
    assert asleep(away) == {"n1"}
    assert unfit(away, rig.judge(), SITE).nodes[0].is_fit("gpu")


def test_measured_speed_multiplies_the_declared_speed() -> None:
    rig = Rig()
    slow = {"throttle_thermal": 1, "sm_clock_mhz": 990, "sm_clock_max_mhz": 1980, "utilization_ratio": 1}
    rig.beat({"gpu": [slow] * 4}, node="n1")
    site = Site(pools=(PoolFacts(kind="gpu", speed=2.0),))
    pool = _fed(TWO, rig.judge(), site)
    assert pool.speed == Estimate(2.0 * 0.75, Source.MEASURED)


@pytest.mark.parametrize(("health", "risk"), [(1.0, 1.0), (0.5, 2.0), (0.25, 4.0), (0.1, 4.0), (0.0, 4.0)])
def test_risk_is_the_number_of_runs_until_one_survives_up_to_four(health: float, risk: float) -> None:
    assert risk_of(health) == risk


def test_a_pool_has_the_bitstream_that_most_of_its_free_cards_have() -> None:
    rig = Rig()
    for name, loaded in (("f1", "a"), ("f2", "b"), ("f3", "b"), ("f4", "a"), ("f5", "a")):
        facts = {"fpga": [{"id": name, "xclbin_uuid": f"uuid-{loaded}", "xclbin": f"{loaded}.xclbin"}]}
        rig.beat({"fpga": [{}]}, node=name, facts=facts)
    names = ("f1", "f2", "f3", "f4", "f5")
    # f4 and f5 are in use.
    nodes = [_node(n, FPGAS, gres_used=FPGAS if n in {"f4", "f5"} else ()) for n in names]
    pool = _fed(_cluster(*nodes), rig.judge())
    assert (pool.bitstream, pool.bitstream_id) == ("b.xclbin", "uuid-b")

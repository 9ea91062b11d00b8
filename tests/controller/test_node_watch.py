"""The controller hears nodes over the real bus, and what it hears reaches the pools."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from hetslurm.bus.authority import Authority
from hetslurm.bus.keys import load_node_key
from hetslurm.bus.wire import Report, encode, facts_of, probe_report
from hetslurm.clock import SystemClock
from hetslurm.cluster import Cluster, Gres, Node, Partition
from hetslurm.controller.baselines import BaselineStore
from hetslurm.controller.cycle import plan_cycle
from hetslurm.controller.metrics import node_metrics
from hetslurm.controller.node_watch import NodeWatch
from hetslurm.daemon.log import Log
from hetslurm.estimate import Source
from hetslurm.health.judgement import Judgement
from hetslurm.pool import Pool
from hetslurm.site import BusSite, Site
from hetslurm.telemetry import ProbeState, Row, Sample

NAMES = ("gpu1", "gpu2")
CLUSTER = Cluster(
    "test",
    (22, 5, 8),
    0.0,
    tuple(Node(name, 16, 64000, frozenset({"IDLE"}), (Gres("gpu", "a100", 1),)) for name in NAMES),
    (Partition("gpu", NAMES),),
    (),
)


def site_in(folder: Path, **bus: object) -> Site:
    return Site(
        state_dir=str(folder),
        snapshot_path=str(folder / "snapshot"),
        bus=replace(
            BusSite(listen="tcp://127.0.0.1:*", keys_dir=str(folder / "keys"), beat_s=1.0),
            **bus,  # type: ignore[arg-type]
        ),
    )


class Agent:
    """One node's end of the bus."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], key_file: Path, port: int) -> None:
        key = load_node_key(key_file)
        self.node, self.seq = key.node, 0
        self._socket = context.socket(zmq.PUSH)
        self._socket.linger = 0
        self._socket.curve_publickey, self._socket.curve_secretkey = key.public, key.secret
        self._socket.curve_serverkey = key.server_public
        self._socket.connect(f"tcp://127.0.0.1:{port}")

    def send(self, *, clock_off_s: float = 0.0, **values: float) -> None:
        """A report whose GPU has these values, from a node whose clock is off."""
        self.seq += 1
        sent_at = time.time() + clock_off_s
        gpu = Sample("gpu", ProbeState.OK, (Row({"ecc_uncorrected": 0.0, **values}, {"id": self.node}),))
        probe = probe_report(gpu, runs=self.seq, age_s=0.0, took_s=0.0)
        self._socket.send(encode(Report(self.node, 1, self.seq, sent_at, 1.0, [probe], facts_of([gpu]))))

    def close(self) -> None:
        self._socket.close()


Make = Callable[..., NodeWatch]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """`make(log)`: a NodeWatch of its own life on one state folder."""
    open_now: list[tuple[NodeWatch, BaselineStore]] = []

    def start(log: Log | None = None) -> NodeWatch:
        store = BaselineStore(tmp_path)
        watch = NodeWatch(store, log=log or Log("text", io.StringIO()), clock=SystemClock())
        open_now.append((watch, store))
        return watch

    yield start
    for watch, store in open_now:
        watch.close()
        store.close()


@pytest.fixture
def agents() -> Iterator[Callable[[Path, int], dict[str, Agent]]]:
    """`agents(folder, port)`: both nodes' agents, by name."""
    context = zmq.Context()
    made: list[Agent] = []

    def start(folder: Path, port: int) -> dict[str, Agent]:
        found = {name: Agent(context, folder / "keys" / "issued" / f"{name}.key", port) for name in NAMES}
        made.extend(found.values())
        return found

    yield start
    for agent in made:
        agent.close()
    context.term()


def issue(folder: Path) -> None:
    authority = Authority(folder / "keys", SystemClock())
    authority.init()
    authority.issue(NAMES)


def look_until(watch: NodeWatch, site: Site, holds: Callable[[Judgement], bool]) -> Judgement:
    deadline = time.monotonic() + 30
    while not holds(judgement := watch.look(CLUSTER, site)):
        assert time.monotonic() < deadline, (judgement, watch.counters())
        time.sleep(0.02)
    return judgement


def gpu_pool(site: Site, judgement: Judgement) -> Pool:
    (pool,) = plan_cycle(CLUSTER, site, judgement).pools
    return pool


def test_an_erring_gpu_takes_its_node_out_of_the_pool(
    tmp_path: Path, make: Make, agents: Callable[[Path, int], dict[str, Agent]]
) -> None:
    issue(tmp_path)
    site, watch = site_in(tmp_path), make()
    watch.look(CLUSTER, site)
    both = agents(tmp_path, watch.port)
    for agent in both.values():
        agent.send()
    judgement = look_until(watch, site, lambda judged: int(judged.heard.sum()) == 2)
    pool = gpu_pool(site, judgement)
    assert (pool.units, pool.health.value, pool.health.source) == (2.0, 1.0, Source.MEASURED)

    both["gpu1"].send(ecc_uncorrected=3.0)
    judgement = look_until(watch, site, lambda judged: bool(judged.findings))
    pool = gpu_pool(site, judgement)
    assert (pool.units, pool.units_free, pool.health.value) == (1.0, 1.0, 1.0)
    assert judgement.findings["gpu1"][0].factor == 0.0
    assert watch.counters()["accepted"] == 3


def test_a_restarted_controller_does_not_forget_what_ails_a_node(
    tmp_path: Path, make: Make, agents: Callable[[Path, int], dict[str, Agent]]
) -> None:
    issue(tmp_path)
    site, first = site_in(tmp_path), make()
    first.look(CLUSTER, site)
    both = agents(tmp_path, first.port)
    both["gpu1"].send()
    both["gpu1"].send(ecc_uncorrected=3.0)
    judgement = look_until(first, site, lambda judged: bool(judged.findings))
    first.publish(judgement)
    first.close()
    judgement = make().look(CLUSTER, site)
    assert [finding.probe for finding in judgement.findings["gpu1"]] == ["gpu"]
    assert gpu_pool(site, judgement).units == 1.0


def test_a_site_without_keys_has_no_bus_and_says_so_once(tmp_path: Path, make: Make) -> None:
    out = io.StringIO()
    watch, site = make(Log("text", out)), site_in(tmp_path)
    for _ in range(3):
        judgement = watch.look(CLUSTER, site)
    assert out.getvalue().count("no node health") == 1
    assert "hetslurm keys init" in out.getvalue()
    pool = gpu_pool(site, judgement)
    assert (pool.units, pool.health.source) == (2.0, Source.DEFAULT)


def test_an_empty_listen_is_silent(tmp_path: Path, make: Make) -> None:
    out = io.StringIO()
    watch = make(Log("text", out))
    watch.look(CLUSTER, site_in(tmp_path, listen=""))
    assert out.getvalue() == ""
    assert watch.port == 0


def test_the_bus_follows_the_configuration(tmp_path: Path, make: Make) -> None:
    issue(tmp_path)
    watch = make()
    watch.look(CLUSTER, site_in(tmp_path))
    assert watch.port > 0
    watch.look(CLUSTER, site_in(tmp_path, listen=""))
    assert watch.port == 0
    watch.look(CLUSTER, site_in(tmp_path))
    assert watch.port > 0


def test_a_node_that_slurm_does_not_know_has_no_place_on_the_board(
    tmp_path: Path, make: Make, agents: Callable[[Path, int], dict[str, Agent]]
) -> None:
    issue(tmp_path)
    site, watch = site_in(tmp_path), make()
    cluster = replace(CLUSTER, nodes=CLUSTER.nodes[:1])
    watch.look(cluster, site)
    both = agents(tmp_path, watch.port)
    for agent in both.values():
        agent.send()
    deadline = time.monotonic() + 30
    while watch.counters().get("accepted", 0) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert watch.look(cluster, site).names == ("gpu1",)
    assert watch.counters()["unknown_node"] == 1


def test_what_was_counted_is_kept_when_the_bus_is_opened_anew(
    tmp_path: Path, make: Make, agents: Callable[[Path, int], dict[str, Agent]]
) -> None:
    issue(tmp_path)
    site, watch = site_in(tmp_path), make()
    watch.look(CLUSTER, site)
    agent = agents(tmp_path, watch.port)["gpu1"]
    agent.send()
    agent.seq += 2  # two that nobody sends
    agent.send()
    look_until(watch, site, lambda _: watch.counters()["lost"] == 2)
    watch.look(CLUSTER, site_in(tmp_path, listen=""))
    assert watch.counters()["accepted"] == 2
    watch.look(CLUSTER, site)
    assert (watch.counters()["accepted"], watch.counters()["lost"]) == (2, 2)


@pytest.mark.parametrize("off_s", [-7200.0, 7200.0])
def test_a_clock_wrong_by_hours_is_a_finding_and_makes_no_sample_old_or_future(
    tmp_path: Path, make: Make, agents: Callable[[Path, int], dict[str, Agent]], off_s: float
) -> None:
    issue(tmp_path)
    site, watch = site_in(tmp_path), make()
    watch.look(CLUSTER, site)
    both = agents(tmp_path, watch.port)

    def beat() -> Judgement:
        both["gpu1"].send(clock_off_s=off_s)
        both["gpu2"].send()
        return look_until(watch, site, lambda judged: bool(judged.heard.all()) and len(judged.names) == 2)

    deadline = time.monotonic() + 30
    while not (judgement := beat()).findings:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (finding,) = judgement.findings["gpu1"]
    assert finding.rule == "clock_skew"
    counted = {
        (sample.name, sample.labels.get("rule")): sample.value
        for family in node_metrics(judgement)
        for sample in family.samples
    }
    assert counted["hetslurm_findings", "clock_skew"] == 1
    assert "gpu2" not in judgement.findings
    sampled_at = watch.board.probes["gpu"].on_node.sampled_at[watch.board.slot("gpu1")]
    assert abs(sampled_at - time.time()) < 60

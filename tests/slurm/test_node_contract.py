"""The adapters keep one contract about nodes: drains, reasons, whose they are, and how many changed one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from hetslurm.cluster import Cluster, Node
from hetslurm.errors import SlurmError, SlurmRefused, SlurmUnavailable
from hetslurm.sandbox import Sandbox
from hetslurm.sandbox.machine import slurm_version
from hetslurm.slurm import SlurmAdapter
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.controller_text import parse_node_updates, parse_started_at
from hetslurm.slurm.fake import FakeSlurm

OURS = "hetslurm: gpu 0: 3 uncorrectable ECC errors (+1 more) #0a1b2c3d"


@dataclass
class Stage:
    """An adapter with idle nodes cpu1 and cpu2, how an admin sets one down, and who we are there."""

    adapter: SlurmAdapter
    set_down: Callable[[str, str], None]
    user: str
    version: tuple[int, int] = (22, 5)


@pytest.fixture
def stage(any_adapter: SlurmAdapter | None, request: pytest.FixtureRequest) -> Iterator[Stage]:
    if any_adapter is None:
        nodes = tuple(Node(f"cpu{i}", 16, 64_000, frozenset({"IDLE"})) for i in (1, 2))
        fake = FakeSlurm(Cluster("c", (22, 5, 8), 0.0, nodes, (), ()), now=time.time(), started_at=1.0)

        def down(name: str, reason: str) -> None:
            state = fake.read_node(name).state - {"IDLE"} | {"DOWN"}
            fake.put_node(replace(fake.read_node(name), state=state, reason=reason))

        yield Stage(fake, down, "slurm")
        return
    real: Sandbox = request.getfixturevalue("contract_sandbox")

    def set_down(name: str, reason: str) -> None:
        real.run(["scontrol", "update", f"nodename={name}", "state=down", f"reason={reason}"])

    yield Stage(any_adapter, set_down, "root", slurm_version())
    for name in ("cpu1", "cpu2"):
        real.run(["scontrol", "update", f"nodename={name}", "state=resume"], check=False)
    real.waiting.for_nodes_idle(["cpu1", "cpu2"])  # the next test, of whatever kind, finds them well


def test_a_drain_takes_the_node_out_and_carries_our_reason_name_and_time(stage: Stage) -> None:
    before = time.time()
    stage.adapter.drain_node("cpu1", OURS)
    node = stage.adapter.read_node("cpu1")
    assert "DRAIN" in node.state
    assert not node.is_usable
    assert (node.reason, node.reason_by) == (OURS, stage.user)
    assert node.reason_at is not None
    assert before - 2 <= node.reason_at <= time.time() + 1
    assert stage.adapter.read_node("cpu2").reason_at is None
    assert next(n for n in stage.adapter.read_cluster().nodes if n.name == "cpu1").reason == OURS


def test_a_second_drain_overwrites_the_reason_of_the_first(stage: Stage) -> None:
    stage.adapter.drain_node("cpu1", "an admin's")
    stage.adapter.drain_node("cpu1", OURS)
    assert stage.adapter.read_node("cpu1").reason == OURS


def test_a_drain_that_is_taken_back_leaves_no_reason(stage: Stage) -> None:
    stage.adapter.drain_node("cpu1", OURS)
    stage.adapter.resume_node("cpu1")
    node = stage.adapter.read_node("cpu1")
    assert "DRAIN" not in node.state
    assert (node.reason, node.reason_by, node.reason_at) == ("", "", None)


def test_a_node_that_is_down_stays_down_when_its_drain_is_taken_back(stage: Stage) -> None:
    stage.adapter.drain_node("cpu1", OURS)
    stage.set_down("cpu1", "broken fan")
    assert {"DOWN", "DRAIN"} <= stage.adapter.read_node("cpu1").state
    stage.adapter.resume_node("cpu1")
    node = stage.adapter.read_node("cpu1")
    assert "DOWN" in node.state
    assert "DRAIN" not in node.state
    assert node.reason == "broken fan"


def test_a_node_that_is_down_can_be_drained_too(stage: Stage) -> None:
    stage.set_down("cpu1", "broken fan")
    stage.adapter.drain_node("cpu1", OURS)
    node = stage.adapter.read_node("cpu1")
    assert {"DOWN", "DRAIN"} <= node.state
    assert node.reason == OURS


def test_every_change_of_a_node_counts_once_whoever_makes_it(stage: Stage) -> None:
    before = stage.adapter.count_node_updates()
    stage.adapter.drain_node("cpu1", OURS)
    stage.adapter.read_node("cpu1")
    assert stage.adapter.count_node_updates() == before + 1
    stage.adapter.drain_node("cpu2", "an admin's")
    stage.adapter.resume_node("cpu2")
    stage.adapter.read_node("cpu1")
    assert stage.adapter.count_node_updates() == before + 3


def test_a_weight_is_set_for_the_nodes_that_were_named_and_read_back(stage: Stage) -> None:
    assert [n.weight for n in stage.adapter.read_nodes(["cpu2", "cpu1"])] == [1, 1]
    before = stage.adapter.count_node_updates()
    stage.adapter.set_node_weight(["cpu1", "cpu2"], 1001)
    stage.adapter.set_node_weight(["cpu2"], 0)
    read = stage.adapter.read_nodes(["cpu2", "cpu1"])
    assert [(n.name, n.weight) for n in read] == [("cpu2", 0), ("cpu1", 1001)]
    read_all = {n.name: n.weight for n in stage.adapter.read_cluster().nodes if n.name in {"cpu1", "cpu2"}}
    assert read_all == {"cpu1": 1001, "cpu2": 0}
    assert stage.adapter.count_node_updates() == before + 2
    stage.adapter.set_node_weight(["cpu1", "cpu2"], 1)


def test_a_weight_is_set_for_all_nodes_or_for_none(stage: Stage) -> None:
    with pytest.raises(SlurmRefused, match="nvalid node name"):
        stage.adapter.set_node_weight(["cpu1", "nowhere"], 9)
    refusal = r"Weight value .* is (less|greater) than|Invalid value Weight="
    for weight in (-1, 2**32 - 1):
        with pytest.raises(SlurmRefused, match=refusal):
            stage.adapter.set_node_weight(["cpu1"], weight)
    assert stage.adapter.read_node("cpu1").weight == 1


def test_a_node_that_is_not_there_is_refused(stage: Stage) -> None:
    for call in (
        lambda: stage.adapter.read_node("nowhere"),
        lambda: stage.adapter.drain_node("nowhere", OURS),
        lambda: stage.adapter.resume_node("nowhere"),
        lambda: stage.adapter.read_nodes(["cpu1", "nowhere"]),
        lambda: stage.adapter.read_nodes(["cpu[1-2]"]),
        lambda: stage.adapter.set_node_weight(["nowhere"], 2),
        lambda: stage.adapter.node_down(["nowhere"], "gone"),
        lambda: stage.adapter.set_node_address("nowhere", "127.0.0.1", "nowhere"),
    ):
        with pytest.raises(SlurmRefused, match="nvalid node name"):
            call()
    with pytest.raises(SlurmRefused, match="nvalid node name"):
        stage.adapter.read_node("cpu[1-2]")


def test_power_of_a_node_that_is_not_there_is_refused(stage: Stage) -> None:
    # 26.05 refuses it for any node where slurm.conf has no power saving, and then in these words.
    words = "Invalid power action" if stage.version >= (26, 5) else "nvalid node name"
    for call in (stage.adapter.power_down, stage.adapter.power_up):
        with pytest.raises(SlurmRefused, match=words):
            call(["nowhere"])


def test_nodes_are_set_down_with_a_reason(stage: Stage) -> None:
    before = stage.adapter.count_node_updates()
    stage.adapter.node_down(["cpu1", "cpu2"], "hetslurm: capacity: none of this type in any zone")
    for node in stage.adapter.read_nodes(["cpu1", "cpu2"]):
        assert "DOWN" in node.state
        assert node.reason == "hetslurm: capacity: none of this type in any zone"
    assert stage.adapter.count_node_updates() == before + 1


def test_a_drain_needs_a_reason(stage: Stage) -> None:
    with pytest.raises(SlurmRefused, match="must specify a reason"):
        stage.adapter.drain_node("cpu1", "")


def test_slurmctld_says_since_when_it_runs(stage: Stage) -> None:
    assert 0 < stage.adapter.controller_started_at() <= time.time() + 1


@pytest.mark.slurm
def test_a_restart_of_slurmctld_shows_in_its_start(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(nodes="cpu=1", plugins=False, controller=False)
    adapter = CommandAdapter(slurm_conf=str(sandbox.layout.slurm_conf))
    first = adapter.controller_started_at()
    while time.time() < first + 1:  # it counts in whole seconds
        time.sleep(0.05)
    sandbox.restart_slurmctld()
    assert adapter.controller_started_at() > first


def test_a_fake_that_is_down_answers_nothing_about_nodes() -> None:
    fake = FakeSlurm(Cluster("c", (22, 5, 8), 0.0, (), (), ()), is_down=True)
    for call in (
        lambda: fake.read_node("cpu1"),
        lambda: fake.drain_node("cpu1", OURS),
        lambda: fake.resume_node("cpu1"),
        lambda: fake.read_nodes(["cpu1"]),
        lambda: fake.set_node_weight(["cpu1"], 2),
        fake.count_node_updates,
        fake.controller_started_at,
    ):
        with pytest.raises(SlurmUnavailable):
            call()


def test_a_node_that_powers_up_with_jobs_is_not_drained_in_memory_as_slurm_would_requeue_them() -> None:
    node = Node("cpu1", 16, 64_000, frozenset({"ALLOCATED", "POWERING_UP"}))
    fake = FakeSlurm(Cluster("c", (22, 5, 8), 0.0, (node,), (), ()))
    with pytest.raises(SlurmRefused, match="requeue"):
        fake.drain_node("cpu1", OURS)


def test_what_slurmctld_says_of_itself_is_refused_when_it_cannot_be_read() -> None:
    with pytest.raises(SlurmError, match="sdiag"):
        parse_node_updates("nothing of the kind")
    with pytest.raises(SlurmError, match="BOOT_TIME"):
        parse_started_at("BOOT_TIME = yesterday\n")
    assert parse_node_updates("Remote Procedure Call statistics by message type\n") == 0

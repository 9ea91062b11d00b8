"""What the adapter does to cloud nodes, on a real Slurm and in memory alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from hetslurm.cluster import Cluster, Node, Partition
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.fake import FakeSlurm
from hetslurm.slurm.protocol import SlurmAdapter

WHY = "hetslurm: capacity: none"


@dataclass
class Stage:
    """An adapter, its node cloud8, which is powered down, and a wait for what Slurm then does."""

    adapter: SlurmAdapter
    settle: Callable[[], None]


@pytest.fixture(params=["memory", pytest.param("commands", marks=pytest.mark.slurm)])
def stage(request: pytest.FixtureRequest):
    if request.param == "commands":
        cloud = request.getfixturevalue("cloud")
        adapter = CommandAdapter(slurm_conf=str(cloud.slurm.layout.slurm_conf))
        yield Stage(adapter, lambda: cloud.until_powered_down("cloud8"))
        adapter.set_node_address("cloud8", "127.0.0.1", cloud.slurm.node("cpu1")["NodeHostName"])
        return
    node = Node("cloud8", 4, 8000, frozenset({"IDLE", "CLOUD", "POWERED_DOWN"}))
    fake = FakeSlurm(Cluster("c", (22, 5, 8), 0.0, (node,), (Partition("cloud", ("cloud8",)),), ()))
    yield Stage(fake, lambda: fake.finish_power_down(["cloud8"]))


def test_a_node_that_is_given_up_is_powered_down_and_keeps_its_reason(stage: Stage) -> None:
    stage.adapter.power_up(["cloud8"])
    assert stage.adapter.read_node("cloud8").state & {"POWERING_UP", "POWER_UP"}
    stage.adapter.node_down(["cloud8"], WHY)
    node = stage.adapter.read_node("cloud8")
    assert "DOWN" in node.state
    assert node.reason == WHY
    stage.adapter.power_down(["cloud8"])
    stage.settle()
    node = stage.adapter.read_node("cloud8")
    assert "POWERED_DOWN" in node.state
    assert "DOWN" not in node.state
    assert node.reason == WHY


def test_a_node_s_address_is_set(stage: Stage) -> None:
    stage.adapter.set_node_address("cloud8", "127.0.0.2", "elsewhere")

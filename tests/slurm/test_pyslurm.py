"""The translation of pyslurm's nodes, on stand-ins with the attributes of pyslurm 25.11's Node.

A live one keeps the contract in test_contract.py and test_node_contract.py, where the matrix has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest

from hetslurm.cluster import Cluster, Gres, QueuedJob
from hetslurm.errors import SlurmError, SlurmUnavailable
from hetslurm.slurm.pyslurm_adapter import PyslurmAdapter, check_release, translate_node
from hetslurm.slurm.version import SlurmVersion


class RPCError(Exception):
    """As pyslurm.RPCError."""


def _node(**more: object) -> SimpleNamespace:
    return SimpleNamespace(
        **{
            "name": "gpu1",
            "effective_cpus": 30,
            "total_cpus": 32,
            "real_memory": 64_000,
            "memory_reserved_for_system": None,
            "state": "MIXED+CLOUD",
            "configured_gres": {"gpu:a100": 4, "fpga:u250": 1},
            "allocated_gres": {"gpu": 1},
            "allocated_cpus": 4,
            "allocated_memory": 1000,
            "active_features": ["nvme"],
            "reason": None,
            "reason_user": None,
            "reason_time": 0,
            "weight": 7,
        }
        | more
    )


class _Commands(PyslurmAdapter):
    """What is not pyslurm's: one job that holds the node's FPGA."""

    def installed_version(self) -> SlurmVersion:
        return SlurmVersion(25, 11, 0)

    def read_rest(self) -> Cluster:
        return Cluster("c", (25, 11, 0), 1.0, (), (), ())

    def read_queue(self) -> list[QueuedJob]:
        job = QueuedJob(7, "RUNNING", "gpu", "ann", 1, 1, 0, 60, 1, 0.0, 1.0, 3601.0)
        return [replace(job, gres=(Gres("fpga", "u250", 1),), node_names=("gpu1",))]


def _module(load: Callable[[], dict[str, object]]) -> SimpleNamespace:
    return SimpleNamespace(__version__="25.11.0", RPCError=RPCError, Nodes=SimpleNamespace(load=load))


def test_a_node_is_translated() -> None:
    node = translate_node(_node())
    assert (node.cpus, node.mem_mb, node.cpus_allocated) == (30, 64_000, 4)
    assert node.state == {"MIXED", "CLOUD"}
    assert set(node.gres) == {Gres("gpu", "a100", 4), Gres("fpga", "u250", 1)}
    assert node.free_units("gpu", "a100") == 3
    assert node.weight == 7
    assert translate_node(_node(weight=None)).weight == 0


def test_a_reason_comes_with_who_and_when() -> None:
    node = translate_node(_node(reason="bad disk", reason_user="ann", reason_time=100))
    assert (node.reason, node.reason_by, node.reason_at) == ("bad disk", "ann", 100.0)
    assert (translate_node(_node()).reason_by, translate_node(_node()).reason_at) == ("", None)


def test_devices_that_accounting_does_not_count_are_counted_from_jobs() -> None:
    nodes = {"gpu1": _node(), "spare": _node(name="spare", state="FUTURE")}
    cluster = _Commands(_module(lambda: nodes)).read_cluster()
    assert [node.name for node in cluster.nodes] == ["gpu1"]
    assert cluster.nodes[0].free_units("fpga", "u250") == 0


def test_an_rpc_that_fails_is_unavailable() -> None:
    def fail() -> dict[str, object]:
        raise RPCError("Unable to contact slurm controller")

    with pytest.raises(SlurmUnavailable, match="contact"):
        _Commands(_module(fail)).read_cluster()


@pytest.mark.parametrize(
    ("pyslurm", "slurm"), [("25.11.0", (24, 11, 5)), ("23.2.0", (23, 2, 7)), ("22.5.0", (22, 5, 8))]
)
def test_another_release_or_the_old_api_is_refused(pyslurm: str, slurm: tuple[int, int, int]) -> None:
    with pytest.raises(SlurmError, match="does not fit"):
        check_release(pyslurm, slurm)


def test_the_same_release_is_accepted() -> None:
    check_release("25.11.0", (25, 11, 3))
    check_release("24.11.0", (24, 11, 5))

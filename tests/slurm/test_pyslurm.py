"""The translation of pyslurm's objects, on stand-ins with the attributes of pyslurm 25.11's Node and Job."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from hetslurm.cluster import Cluster, Gres
from hetslurm.errors import SlurmError, SlurmUnavailable
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.pyslurm_adapter import PyslurmAdapter, check_release, translate_job, translate_node


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


def _job(**more: object) -> SimpleNamespace:
    return SimpleNamespace(
        **{
            "id": 7,
            "state": "RUNNING",
            "partition": "gpu",
            "user_name": "ann",
            "num_nodes": 2,
            "cpus": 8,
            "memory": 2001,
            "time_limit": 60,
            "priority": 10,
            "submit_time": 100,
            "start_time": 200,
            "end_time": 3800,
            "gres_per_node": {"fpga:u250": 1},
            "allocated_nodes": "gpu[1-2]",
            "array_id": None,
            "array_task_id": None,
            "array_tasks_waiting": None,
            "array_tasks_parallel": None,
            "state_reason": "None",
            "name": "j",
            "account": "lab",
            "qos": "normal",
            "admin_comment": None,
            "heterogeneous_id": None,
            "heterogeneous_offset": None,
        }
        | more
    )


def _module(**more: object) -> SimpleNamespace:
    loaded = {"Nodes": {"gpu1": _node()}, "Jobs": {7: _job(), 8: _job(id=8, state="COMPLETED")}} | more
    spaces = {name: SimpleNamespace(load=lambda m=m: m) for name, m in loaded.items()}
    return SimpleNamespace(__version__="25.11.0", RPCError=RPCError, **spaces)


class _Rest(CommandAdapter):
    def read_rest(self) -> Cluster:
        return Cluster("c", (25, 11, 0), 1.0, (), (), ())


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


def test_a_job_is_translated() -> None:
    job = translate_job(_job())
    assert (job.nodes, job.cpus, job.mem_mb_per_node, job.time_limit_min) == (2, 8, 1001, 60)
    assert (job.node_names, job.gres) == (("gpu1", "gpu2"), (Gres("fpga", "u250", 1),))
    assert (job.start_at, job.end_at, job.admin_comment) == (200.0, 3800.0, "")


def test_an_array_counts_what_may_run_at_once() -> None:
    job = translate_job(_job(array_id=7, array_tasks_waiting="1-9", array_tasks_parallel=2))
    assert (job.tasks, job.array_job_id) == (2, 7)
    assert translate_job(_job(array_id=7, array_task_id=0)).array_task == "0"


def test_a_component_of_a_heterogeneous_job_has_its_offset() -> None:
    assert translate_job(_job(heterogeneous_id=7, heterogeneous_offset=0)).leads_het_job
    assert translate_job(_job(id=8, heterogeneous_id=7, heterogeneous_offset=1)).het_offset == 1
    assert translate_job(_job()).het_offset is None


def test_devices_that_accounting_does_not_count_are_counted_from_jobs() -> None:
    cluster = PyslurmAdapter(_module(), _Rest()).read_cluster()
    assert [job.job_id for job in cluster.jobs] == [7]
    assert cluster.nodes[0].free_units("fpga", "u250") == 0


def test_an_rpc_that_fails_is_unavailable() -> None:
    def fail() -> None:
        raise RPCError("Unable to contact slurm controller")

    module = _module()
    module.Jobs = SimpleNamespace(load=fail)
    with pytest.raises(SlurmUnavailable, match="contact"):
        PyslurmAdapter(module, _Rest()).read_cluster()


@pytest.mark.parametrize(
    ("pyslurm", "slurm"), [("25.11.0", (24, 11, 5)), ("23.2.0", (23, 2, 7)), ("22.5.0", (22, 5, 8))]
)
def test_another_release_or_the_old_api_is_refused(pyslurm: str, slurm: tuple[int, int, int]) -> None:
    with pytest.raises(SlurmError, match="does not fit"):
        check_release(pyslurm, slurm)


def test_the_same_release_is_accepted() -> None:
    check_release("25.11.0", (25, 11, 3))
    check_release("24.11.0", (24, 11, 5))

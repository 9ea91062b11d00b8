"""A change is written in the words that slurmctld was seen to obey."""

from __future__ import annotations

import pytest

from hetslurm.cluster import Gres
from hetslurm.errors import SlurmRefused
from hetslurm.slurm.protocol import JobUpdate
from hetslurm.slurm.update import render_update


def test_all_that_cpus_need_is_said_together() -> None:
    update = JobUpdate("gpu", (Gres("gpu", "a100", 1),), 2, 2, 4, 4, 2000, 40, '{"a":"b c=d"}', "normal")
    assert render_update(update) == [
        "Partition=gpu",
        "Gres=gpu:a100:1",
        "NumNodes=2-2",
        "NumTasks=2",
        "MinCPUsNode=4",
        "NumCPUs=8",
        "CPUsPerTask=4",
        "MinMemoryNode=2000",
        "TimeLimit=40",
        "QOS=normal",
        'AdminComment={"a":"b c=d"}',
    ]


def test_what_is_not_to_change_is_not_said() -> None:
    assert render_update(JobUpdate()) == []
    assert render_update(JobUpdate(partition="cpu")) == ["Partition=cpu"]


def test_no_gres_is_never_written_as_an_empty_one() -> None:
    assert render_update(JobUpdate(partition="cpu", gres=())) == ["Partition=cpu"]


def test_the_nodes_that_a_job_must_get_are_named_and_taken_back() -> None:
    assert render_update(JobUpdate(partition="cloud", nodes=2, node_names=("c1", "c2"))) == [
        "Partition=cloud",
        "NumNodes=2-2",
        "ReqNodeList=c1,c2",
    ]
    assert render_update(JobUpdate(node_names=())) == ["ReqNodeList="]


def test_a_requeued_job_can_be_told_to_start_at_once() -> None:
    assert render_update(JobUpdate(start_now=True)) == ["StartTime=now"]


def test_a_heterogeneous_job_s_first_component_keeps_its_one_node() -> None:
    update = JobUpdate("gpu", nodes=1, tasks=1, cpus_per_task=4, cpus_per_node=4)
    words = render_update(update, leads_het_job=True)
    assert words == ["Partition=gpu", "NumTasks=1", "MinCPUsNode=4", "NumCPUs=4", "CPUsPerTask=4"]
    with pytest.raises(SlurmRefused, match="first component"):
        render_update(JobUpdate("gpu", nodes=2), leads_het_job=True)


def test_a_site_factor_is_written_as_what_it_adds() -> None:
    assert render_update(JobUpdate(partition="cpu", site_factor=412)) == ["Partition=cpu", "SiteFactor=412"]
    assert render_update(JobUpdate(site_factor=0)) == ["SiteFactor=0"]

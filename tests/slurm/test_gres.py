"""GRES in the words of every release, and times."""

from __future__ import annotations

import pytest

from hetslurm.cluster import UNLIMITED, Gres
from hetslurm.errors import SlurmError
from hetslurm.slurm.durations import parse_instant, parse_minutes
from hetslurm.slurm.gres import gres_of_tres, parse_gres, parse_mem_mb, parse_tres, render_gres
from hetslurm.slurm.job_text import count_array_tasks

A100 = Gres("gpu", "a100", 2)


@pytest.mark.parametrize(
    "text",
    [
        "gpu:a100:2",
        "gpu:a100:2(S:0-1)",
        "gres:gpu:a100:2",
        "gres/gpu:a100:2",
        "gres/gpu:a100=2",
        "gpu:a100:2(IDX:0,3)",
    ],
)
def test_every_release_s_way_to_write_a_gres_is_read_alike(text: str) -> None:
    assert parse_gres(text) == (A100,)


def test_counts_types_and_defaults_are_read() -> None:
    assert parse_gres("gpu:a100:2(IDX:0-1),fpga:0") == (A100, Gres("fpga", "", 0))
    assert parse_gres("gpu") == (Gres("gpu", "", 1),)
    assert parse_gres("gpu:a100") == (Gres("gpu", "a100", 1),)
    assert parse_gres("craynetwork:4,bandwidth:lustre:no_consume:4G") == (Gres("craynetwork", "", 4),)
    assert parse_gres("gpu:a100:1(S:0),gpu:a100:1(S:1)") == (A100,)
    assert parse_gres("(null)") == ()


def test_gres_is_written_as_scontrol_takes_it() -> None:
    assert render_gres((A100, Gres("fpga", "", 1))) == "gpu:a100:2,fpga:1"
    assert parse_gres(render_gres((A100,))) == (A100,)


def test_tres_are_read_and_give_gres_per_node() -> None:
    tres = parse_tres("cpu=2,mem=62.50G,node=2,billing=2,gres/gpu=3,gres/gpu:a100=3")
    assert tres["mem"] == 64000
    assert gres_of_tres(tres, 2) == (A100,)
    assert gres_of_tres({"gres/gpu": 3}, 2) == (Gres("gpu", "", 2),)


@pytest.mark.parametrize(
    ("text", "mib"), [("500M", 500), ("62.50G", 64000), ("1T", 1 << 20), ("100K", 1), ("7", 7)]
)
def test_memory_is_read_in_mib(text: str, mib: int) -> None:
    assert parse_mem_mb(text) == mib


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("1-00:00:00", 1440),
        ("10:00", 10),
        ("2:03:00", 123),
        ("0:30", 1),
        ("UNLIMITED", UNLIMITED),
        ("NONE", None),
    ],
)
def test_limits_are_read_in_minutes(text: str, minutes: int | None) -> None:
    assert parse_minutes(text) == minutes


def test_a_limit_that_is_none_is_refused() -> None:
    with pytest.raises(SlurmError):
        parse_minutes("soon")


def test_an_unknown_instant_is_none_not_zero() -> None:
    assert parse_instant("N/A") is None
    assert parse_instant("0") is None
    assert parse_instant("1795463333") == 1795463333.0


@pytest.mark.parametrize(
    ("text", "tasks"), [("N/A", 1), ("7", 1), ("1-9", 9), ("1-9%2", 2), ("1-20:3%9", 7), ("1,3,5-6", 4)]
)
def test_an_array_counts_the_tasks_that_may_run_at_once(text: str, tasks: int) -> None:
    assert count_array_tasks(text) == tasks

"""The part of sbatch's lines that decides where a job can go is read as sbatch reads it."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hetslurm.cli.sbatch_lines import (
    MOST,
    Options,
    count_array,
    count_cpus,
    count_nodes,
    gres_list,
    memory_mib,
    overlay,
    parse_mib,
    parse_minutes,
    read_components,
)

SCRIPT = """#!/bin/bash
#SBATCH -p gpu,fpga -A lab --qos=high   # a comment
#SBATCH --time 1-12:30 -C 'a100&nvlink'
#SBATCH --gres=gpu:a100:2 -c8 -n 4 -N2-4 --mem=64G -a 0-9%2
#SBATCH --exclusive --mail-type END --het='target=cpu;objective=cost'
# SBATCH -p never
#SBATCHX -p never

echo
#SBATCH -p late
"""


def test_a_script_s_lines_are_read_up_to_its_first_command() -> None:
    assert read_components(SCRIPT)[0] == Options(
        partition="gpu,fpga",
        account="lab",
        qos="high",
        time="1-12:30",
        constraint="a100&nvlink",
        gres="gpu:a100:2",
        cpus_per_task="8",
        ntasks="4",
        nodes="2-4",
        mem="64G",
        array="0-9%2",
        het="target=cpu;objective=cost",
        het_line=5,
    )


def test_components_of_a_heterogeneous_job_have_options_of_their_own() -> None:
    script = "#!/bin/sh\n#SBATCH -p gpu --het=target=gpu\n#SBATCH HetJob\n#SBATCH -p cpu\n"
    script += "#SBATCH packjob\n#SBATCH --het=target=cpu\ntrue\n#SBATCH hetjob\n"
    assert read_components(script) == (
        Options(partition="gpu", het="target=gpu", het_line=2),
        Options(partition="cpu"),
        Options(het="target=cpu", het_line=6),
    )


def test_the_command_line_wins_over_the_script() -> None:
    options = overlay(Options(partition="cpu", qos="low"), {"partition": "gpu", "qos": None})
    assert (options.partition, options.qos) == ("gpu", "low")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("90", 90),
        ("90:30", 91),
        ("1:30:00", 90),
        ("1-12", 2160),
        ("1-12:30", 2190),
        ("1-0:0:1", 1441),
        ("x", 0),
    ],
)
def test_times_are_minutes_rounded_up(text: str, minutes: int) -> None:
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize(
    ("text", "mib"), [("500", 500), ("4G", 4096), ("1.5g", 1536), ("1K", 1), ("2T", 2 << 20), ("", 0)]
)
def test_sizes_are_mebibytes_rounded_up(text: str, mib: int) -> None:
    assert parse_mib(text) == mib


@pytest.mark.parametrize(("text", "tasks"), [("0-15:4%2", 4), ("1,3,5-7", 5), ("7", 1), ("nonsense", 1)])
def test_array_tasks_are_counted(text: str, tasks: int) -> None:
    assert count_array(text) == tasks


def test_cpus_and_memory_are_per_node() -> None:
    options = Options(ntasks="8", nodes="2", cpus_per_task="4", mem_per_cpu="1G")
    assert (count_nodes(options), count_cpus(options), memory_mib(options)) == (2, 16, 16384)
    assert count_cpus(Options()) == 0
    assert count_cpus(Options(ntasks_per_node="3")) == 3


def test_every_way_to_name_gpus_is_a_gres() -> None:
    assert gres_list(Options(gres="fpga:1", gpus="a100:2")) == "fpga:1,gpu:a100:2"
    assert gres_list(Options()) == ""


@given(st.text(), st.sampled_from([field.name for field in fields(Options)]))
@example("9" * 20, "nodes")
@example("9" * 5000, "ntasks")
@example("9" * 9 + "-0", "time")
@example("9" * 15 + "T", "mem")
@example("0-" + "9" * 30, "array")
@example("²", "cpus_per_task")
def test_no_option_is_more_than_the_kernel_counts_to(text: str, name: str) -> None:
    options = overlay(Options(ntasks_per_node="9" * 9, mem_per_cpu="1T"), {name: text})
    counts = (count_nodes(options), count_cpus(options), memory_mib(options), count_array(options.array))
    assert all(0 <= count <= MOST for count in (*counts, parse_minutes(options.time)))


@given(st.text())
def test_no_script_makes_it_fail(text: str) -> None:
    assert read_components("#SBATCH " + text + "\n" + text)

"""Which lines of a script are directives: those that sbatch would read if they began with #SBATCH."""

from __future__ import annotations

import pytest

from hetslurm.errors import DirectiveError
from hetslurm.native.parser import parse


def kinds(script: bytes) -> list[str]:
    request = parse(script)
    return [target.kind for target in request.targets] if request else []


def test_the_example_of_the_manual_is_read_whole() -> None:
    request = parse(
        b"#!/bin/bash\n"
        b"#SBATCH --account=lab\n"
        b"#HET app=minimap2 work=3.5e9\n"
        b"#HET target=cpu cpus=64 mem=64G time=4:00:00\n"
        b"#HET target=gpu:a100:1 cpus=8 mem=32G time=40:00\n"
        b"#HET target=fpga:u250:1 cpus=4 time=25:00 xclbin=align.xclbin\n"
        b"#HET objective=cost deadline=+6h\n"
        b"#HET data=/scratch/genomes:120G data=s3://lab/reads:3T\n"
        b"#HET preemptible=yes burst=allow max_cost=25\n"
        b"\n"
        b"minimap2 genome reads\n"
    )
    assert request is not None
    assert [(t.label, t.cpus, t.mem_mb, t.time_s, t.line) for t in request.targets] == [
        ("cpu", 64, 65536, 14400, 4),
        ("gpu:a100:1", 8, 32768, 2400, 5),
        ("fpga:u250:1", 4, 0, 1500, 6),
    ]
    assert request.targets[2].xclbin == "align.xclbin"
    assert (request.app, request.work, request.objective, request.deadline_in_s) == (
        "minimap2",
        3.5e9,
        "cost",
        21600,
    )
    assert [item.uri for item in request.data] == ["/scratch/genomes", "s3://lab/reads"]
    assert (request.preemptible, request.burst, request.max_cost_micro) == (True, "allow", 25_000_000)


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"#!/bin/sh\ntrue\n",
        b"#!/bin/sh\n#SBATCH -n 1\n# HET target=cpu\ntrue\n",
        b"#HETERO target=cpu\n",
        b" #HET target=cpu\n",
        b"##HET target=cpu\n",
        b"#het target=cpu\n",
        b"#HET:target=cpu\n",
        b"#HET\n#HET \n#HET\t\r\n",
        b"true\n#HET target=cpu\n",
        b"  true\n#HET nonsense\n",
        b"\0\n#HET target=cpu\n",
        b"# comment\0\n#HET target=cpu\n",
        b"# a comment of more than sixteen bytes\0\n#HET target=cpu\n",
    ],
)
def test_a_script_without_directives_asks_for_nothing(script: bytes) -> None:
    assert parse(script) is None


def test_nothing_at_all_asks_for_nothing() -> None:
    assert parse(None) is None
    assert parse(None, None) is None


def test_reading_stops_at_the_first_command() -> None:
    assert kinds(
        b"#HET target=cpu\n\n  \t\n # a comment\n#HET target=gpu\nsrun true\n#HET target=fpga\n"
    ) == ["cpu", "gpu"]


def test_a_script_needs_no_first_line_nor_a_last_newline() -> None:
    assert kinds(b"#HET target=cpu") == ["cpu"]


def test_blanks_are_spaces_and_tabs_and_lines_may_end_as_on_windows() -> None:
    request = parse(b"#!/bin/sh\r\n\r\n#HET\t target=gpu \t cpus=4\t\r\n#HET app=x\r\ntrue\r\n")
    assert request is not None
    assert (request.targets[0].cpus, request.targets[0].line, request.app) == (4, 3, "x")


def test_a_nul_ends_the_script() -> None:
    assert kinds(b"#HET target=cpu\0\n#HET target=gpu\n") == ["cpu"]


def test_directives_may_share_a_line_with_each_other_and_with_a_target() -> None:
    request = parse(b"#HET objective=cost app=x target=cpu burst=allow cpus=4 data=/a\n")
    assert request is not None
    assert (request.app, request.objective, request.burst, request.targets[0].cpus) == (
        "x",
        "cost",
        "allow",
        4,
    )
    assert request.data[0].uri == "/a"


def test_only_the_first_four_mebibytes_are_read() -> None:
    padding = b"#\n" * (2 << 20)
    assert parse(padding + b"#HET nonsense\n") is None
    assert kinds(padding[:-32] + b"#HET target=cpu\n") == ["cpu"]


def test_sixteen_targets_and_eight_data_items_fit() -> None:
    request = parse(b"#HET target=gpu\n" * 16 + b"#HET data=/a data=/b data=/c data=/d\n" * 2)
    assert request is not None
    assert (len(request.targets), len(request.data)) == (16, 8)


@pytest.mark.parametrize(
    "line", [b"#SBATCH hetjob", b"#SBATCH packjob", b"#SBATCH\tHetJob  ", b"#SBATCH hetjob -n1"]
)
def test_a_component_after_hetjob_is_told_to_use_the_option(line: bytes) -> None:
    with pytest.raises(DirectiveError) as caught:
        parse(b"#HET target=cpu\n" + line + b"\n#HET target=gpu\n")
    assert str(caught.value) == (
        "line 3: 'target=gpu' comes after '#SBATCH hetjob'; expected `#SBATCH --het=` here, "
        "since Slurm hands the script to the first component only"
    )


@pytest.mark.parametrize(
    "line", [b"#SBATCH --hetjob", b"#SBATCH hetjobs", b"# SBATCH hetjob", b" #SBATCH hetjob"]
)
def test_only_sbatchs_own_separator_ends_a_component(line: bytes) -> None:
    assert kinds(line + b"\n#HET target=cpu\n") == ["cpu"]


def test_the_option_of_a_first_component_stands_beside_hetjob() -> None:
    request = parse(b"#HET target=cpu\n#SBATCH hetjob\n", b"target=gpu")
    assert request is not None
    assert request.targets[0].kind == "gpu"

"""The --het string: the same grammar in one word, and it wins over the script."""

from __future__ import annotations

import pytest

from hetslurm.errors import DirectiveError
from hetslurm.job import DataItem
from hetslurm.native.parser import parse

SCRIPT = b"#HET app=a work=2 objective=cost data=/one data=/two\n#HET target=cpu cpus=4\n#HET target=gpu\n"


def test_the_example_of_the_manual_says_the_same_as_lines() -> None:
    lines = parse(b"#HET target=gpu:a100:1 time=40:00\n#HET target=cpu cpus=64\n#HET objective=cost\n")
    option = parse(None, b"target=gpu:a100:1,time=40:00;target=cpu,cpus=64;objective=cost")
    assert lines is not None
    assert option is not None
    assert [(t.label, t.time_s, t.cpus) for t in option.targets] == [
        (t.label, t.time_s, t.cpus) for t in lines.targets
    ]
    assert option.objective == lines.objective == "cost"
    assert [t.line for t in option.targets] == [0, 0]


def test_its_scalars_replace_those_of_the_script_and_leave_the_others() -> None:
    request = parse(SCRIPT, b"app=b;objective=time:1,energy:1")
    assert request is not None
    assert (request.app, request.work, request.weights) == ("b", 2.0, (0.5, 0.0, 0.5))
    assert [t.kind for t in request.targets] == ["cpu", "gpu"]
    assert len(request.data) == 2


def test_a_named_objective_leaves_nothing_of_the_scripts_weights() -> None:
    request = parse(b"#HET target=cpu objective=time:1\n", b"objective=energy")
    assert request is not None
    assert (request.objective, request.weights) == ("energy", None)


def test_its_targets_replace_all_of_the_scripts() -> None:
    request = parse(SCRIPT, b"target=fpga")
    assert request is not None
    assert [t.kind for t in request.targets] == ["fpga"]
    assert len(request.data) == 2


def test_its_data_replace_all_of_the_scripts() -> None:
    request = parse(SCRIPT, b"data=/three:1K;data=/four")
    assert request is not None
    assert request.data == (DataItem("/three", 1024), DataItem("/four"))


def test_off_turns_the_scripts_lines_off_even_wrong_ones() -> None:
    assert parse(SCRIPT, b"off") is None
    assert parse(b"#HET nonsense\n", b" off\t") is None


def test_off_stands_alone() -> None:
    with pytest.raises(DirectiveError, match="--het: 'off' is not alone; expected off without any directive"):
        parse(SCRIPT, b"off;app=b")


@pytest.mark.parametrize("option", [b"", b" ", b";", b" ; ;; "])
def test_an_empty_option_says_nothing(option: bytes) -> None:
    assert parse(None, option) is None
    assert parse(SCRIPT, option) == parse(SCRIPT)


def test_blanks_around_separators_do_not_count() -> None:
    request = parse(None, b" target=gpu:2 , cpus=4 ;\tapp=x; ")
    assert request is not None
    assert (request.targets[0].label, request.targets[0].cpus, request.app) == ("gpu:2", 4, "x")


def test_a_comma_outside_a_target_belongs_to_the_value() -> None:
    request = parse(None, b"target=cpu;objective=time:0.6,cost:0.4;data=/a,b:1K")
    assert request is not None
    assert request.weights == (0.6, 0.4, 0.0)
    assert request.data == (DataItem("/a,b", 1024),)


def test_a_nul_ends_the_option() -> None:
    request = parse(None, b"target=cpu\0;nonsense")
    assert request is not None
    assert len(request.targets) == 1


def test_a_wrong_line_of_the_script_is_refused_whatever_the_option_says() -> None:
    with pytest.raises(DirectiveError, match="line 1: 'nonsense' is not a directive"):
        parse(b"#HET nonsense=1 target=cpu\n", b"target=gpu")

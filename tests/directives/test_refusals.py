"""A mistake is refused with its line, its column, the word and what was expected."""

from __future__ import annotations

import pytest

from hetslurm.errors import DirectiveError
from hetslurm.native.parser import parse


def refusal(script: bytes | None, option: bytes | None = None) -> DirectiveError:
    with pytest.raises(DirectiveError) as caught:
        parse(script, option)
    return caught.value


@pytest.mark.parametrize(
    ("script", "line", "column", "word", "message"),
    [
        (
            "#!/bin/sh\n#HET app=x\n\n#HET target=cpu cpsu=4\n",
            4,
            17,
            "cpsu",
            "line 4: 'cpsu' is not a key of a target; did you mean 'cpus'?",
        ),
        (
            "#HET objektive=cost\n",
            1,
            6,
            "objektive",
            "line 1: 'objektive' is not a directive; did you mean 'objective'?",
        ),
        ("#HET Target=cpu\n", 1, 6, "Target", "line 1: 'Target' is not a directive; did you mean 'target'?"),
        (
            "#HET queue=long target=cpu\n",
            1,
            6,
            "queue",
            "line 1: 'queue' is not a directive; expected "
            "target, app, work, objective, deadline, data, preemptible, burst or max_cost",
        ),
        (
            "#HET target=cpu partition=long\n",
            1,
            17,
            "partition",
            "line 1: 'partition' is not a key of a target; expected nodes, cpus, mem, time, name or xclbin",
        ),
        (
            "#HET target=cpu\tmem=lots\n",
            1,
            21,
            "lots",
            "line 1: 'lots' is not a value of mem; "
            "expected a size such as 64G or 1500M (a plain number is MiB), below 2048T",
        ),
        (
            "#HET target=cpu time=\n",
            1,
            22,
            "",
            "line 1: '' is not a value of time; "
            "expected a time above 0 such as 40 (minutes), 40:00, 4:00:00 or 1-12:00",
        ),
        (
            "#HET target=cpu cpus\n",
            1,
            17,
            "cpus",
            "line 1: 'cpus' is not KEY=VALUE; expected KEY=VALUE without blanks",
        ),
        (
            "#HET target=cpu # note\n",
            1,
            17,
            "#",
            "line 1: '#' is not KEY=VALUE; expected KEY=VALUE without blanks",
        ),
        (
            "#HET target = cpu\n",
            1,
            6,
            "target",
            "line 1: 'target' is not KEY=VALUE; expected KEY=VALUE without blanks",
        ),
        (
            "#HET cpus=4 target=cpu\n",
            1,
            6,
            "cpus",
            "line 1: 'cpus' is a key of a target; expected target=KIND before it on the same line",
        ),
        (
            "#HET target=cpu\n#HET cpus=4\n",
            2,
            6,
            "cpus",
            "line 2: 'cpus' is a key of a target; expected target=KIND before it on the same line",
        ),
        (
            "#HET target=cpu target=gpu\n",
            1,
            17,
            "target",
            "line 1: 'target' is the second one here; expected each target on a #HET line of its own",
        ),
        (
            "#HET target=cpu:64\n",
            1,
            13,
            "cpu:64",
            "line 1: 'cpu:64' is not a value of target; "
            "expected cpu alone, with cpus=N after it for the cores of a node",
        ),
        (
            "#HET target=gpu xclbin=a\n",
            1,
            17,
            "xclbin",
            "line 1: 'xclbin' is a key of fpga targets; expected it only after target=fpga[:TYPE][:COUNT]",
        ),
        (
            "#HET app=a\n#HET target=cpu\n#HET app=b\n",
            3,
            6,
            "app",
            "line 3: 'app' was already given on line 1; expected app only once",
        ),
        (
            "#HET target=cpu cpus=1 cpus=1\n",
            1,
            24,
            "cpus",
            "line 1: 'cpus' was already given for this target; expected cpus only once",
        ),
        (
            "#HET app=a\n#HET work=1\n",
            1,
            6,
            "app=a",
            "line 1: 'app=a' stands without a target; expected at least one target=KIND[:TYPE][:COUNT]",
        ),
        (
            "#HET target=gpu\n" * 17,
            17,
            6,
            "target",
            "line 17: 'target' is one too many; expected at most 16 targets",
        ),
        (
            "#HET target=cpu\n" + "#HET data=/a\n" * 9,
            10,
            6,
            "data",
            "line 10: 'data' is one too many; expected at most 8 data items",
        ),
        (
            "#HET target=cpu app=a\x01b\x7f\n",
            1,
            21,
            "a?b?",
            "line 1: 'a?b?' is not a value of app; "
            "expected a name of 1 to 63 letters, digits and any of _ . + / @ : -",
        ),
    ],
)
def test_a_wrong_line_is_refused_where_it_is_wrong(
    script: str, line: int, column: int, word: str, message: str
) -> None:
    error = refusal(script.encode())
    assert (error.line, error.column, error.word, str(error)) == (line, column, word, message)
    if "; expected " in message:
        assert error.expected == message.split("; expected ", 1)[1]


@pytest.mark.parametrize(
    ("option", "column", "word", "message"),
    [
        ("target=cpu,cpsu=4", 12, "cpsu", "--het: 'cpsu' is not a key of a target; did you mean 'cpus'?"),
        ("target=cpu;wrok=4", 12, "wrok", "--het: 'wrok' is not a directive; did you mean 'work'?"),
        (
            "target=cpu,objective=cost",
            12,
            "objective",
            "--het: 'objective' is a directive of its own; expected ';' before it, not ','",
        ),
        (
            "target=cpu,target=gpu",
            12,
            "target",
            "--het: 'target' is the second one here; expected ';' before it, not ','",
        ),
        (
            "target=cpu;cpus=4",
            12,
            "cpus",
            "--het: 'cpus' is a key of a target; expected target=KIND and ',' before it",
        ),
        ("app=a;target=cpu; app=b", 19, "app", "--het: 'app' was already given; expected app only once"),
        ("target=cpu,,cpus=4", 12, "", "--het: '' is not KEY=VALUE; expected KEY=VALUE without blanks"),
        (
            "objective=cost",
            1,
            "objective=cost",
            "--het: 'objective=cost' stands without a target; "
            "expected at least one target=KIND[:TYPE][:COUNT]",
        ),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_wrong(
    option: str, column: int, word: str, message: str
) -> None:
    error = refusal(None, option.encode())
    assert (error.line, error.column, error.word, str(error)) == (0, column, word, message)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("node", "nodes"),
        ("cpu", "cpus"),
        ("mme", "mem"),
        ("memory", None),
        ("tme", "time"),
        ("nmae", "name"),
        ("xlcbin", "xclbin"),
        ("deadlne", "deadline"),
        ("max-cost", "max_cost"),
        ("maxcost", "max_cost"),
        ("preemptable", "preemptible"),
        ("burts", "burst"),
        ("x", None),
        ("zzzzzzzzzzzzzzzzzzzzzz", None),
    ],
)
def test_a_near_key_is_suggested_and_a_far_one_is_not(typo: str, meant: str | None) -> None:
    message = str(refusal(f"#HET target=cpu {typo}=1\n".encode()))
    if meant:
        assert message.endswith(f"did you mean '{meant}'?")
    else:
        assert "did you mean" not in message


def test_a_long_word_is_cut_to_63_bytes_at_a_character() -> None:
    assert refusal(b"#HET " + b"x" * 200 + b"\n").word == "x" * 63
    assert refusal("#HET {}\n".format("é" * 200).encode()).word == "é" * 31
    assert refusal(b"#HET " + b"\xe9" * 200 + b"\n").word == "?" * 63


def test_a_line_longer_than_4096_bytes_is_refused() -> None:
    fits = b"#HET target=cpu" + b" " * (4096 - 21) + b"cpus=4"
    request = parse(fits + b"   \n")
    assert request is not None
    assert request.targets[0].cpus == 4
    error = refusal(fits + b"x\n")
    assert (error.line, error.column) == (1, 4097)
    assert str(error) == "line 1: 'x' is too far right; expected at most 4096 bytes on a line"


def test_an_option_longer_than_16384_bytes_is_refused() -> None:
    assert parse(None, b"target=cpu".ljust(16384, b";")) is not None
    assert (
        str(refusal(None, b"target=cpu".ljust(16385, b";")))
        == "--het: ';' is too far right; expected at most 16384 bytes"
    )


def test_texts_must_be_bytes() -> None:
    with pytest.raises(TypeError):
        parse("#HET target=cpu\n")  # type: ignore[arg-type]

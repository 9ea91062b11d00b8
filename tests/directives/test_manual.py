"""docs/directives.md says what the parser does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hetslurm.errors import DirectiveError
from hetslurm.native.parser import parse

MANUAL = (Path(__file__).parents[2] / "docs" / "directives.md").read_text()
ANSWERS = re.findall(r"^\| `((?:#HET |--het=).+?)` \| `(.+?)` \|$", MANUAL, re.MULTILINE)


def read(written: str) -> object:
    """What the parser makes of a #HET line, or of --het=VALUE in or out of quotes."""
    if written.startswith("--het="):
        return parse(None, written.removeprefix("--het=").strip("'").encode())
    return parse(written.encode())


def test_the_script_of_the_manual_is_read() -> None:
    script = re.search(r"```sh\n(.+?)```", MANUAL, re.DOTALL)
    assert script is not None
    request = parse(script[1].encode())
    assert request is not None
    assert [target.kind for target in request.targets] == ["cpu", "gpu", "fpga"]


@pytest.mark.parametrize("option", re.findall(r"^--het=.+$", MANUAL, re.MULTILINE))
def test_the_options_of_the_manual_are_read(option: str) -> None:
    assert (read(option) is None) == (option == "--het=off")


@pytest.mark.parametrize(("written", "answer"), ANSWERS)
def test_the_answers_of_the_manual_are_those_of_the_parser(written: str, answer: str) -> None:
    with pytest.raises(DirectiveError) as caught:
        read(written)
    assert str(caught.value) == answer


def test_the_manual_has_an_answer_for_every_key() -> None:
    named = {key for _, answer in ANSWERS for key in re.findall(r"is not a value of (\w+)", answer)}
    assert named == {
        *("target", "app", "work", "objective", "deadline", "data", "preemptible", "burst", "max_cost"),
        *("nodes", "cpus", "mem", "time", "name", "xclbin"),
    }

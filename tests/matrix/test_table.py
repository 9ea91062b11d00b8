"""The matrix' table is made from what pytest wrote, and nothing that failed or never ran looks well in it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[2] / "tools/matrix"
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.moves.test_real" name="test_a_move[cpu-gpu]" time="1.5"/>
<testcase classname="tests.moves.test_real" name="test_a_move[gpu-cpu]" time="2">
  <properties><property name="lacks" value="22.05 keeps the old GRES"/></properties></testcase>
<testcase classname="tests.gres.test_gres" name="test_one" time="1"/>
<testcase classname="tests.gres.test_gres" name="test_two" time="1"><failure message="assert 1 == 2&#10;more">
</failure></testcase>
<testcase classname="tests.gres.test_gres" name="test_three" time="1"><skipped message="no GPU"/></testcase>
</testsuite></testsuites>"""


@pytest.fixture
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("matrix_table", TOOLS / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["matrix_table"] = module
    spec.loader.exec_module(module)
    return module


def test_a_cell_says_yes_no_and_why_or_how_many_failed(table: ModuleType) -> None:
    run = table.read_junit(JUNIT)
    moves = table.Group("Moves", ("tests/moves/test_real.py::test_a_move",))
    there = table.Group("CPU to GPU", ("tests/moves/test_real.py::test_a_move[cpu-gpu]",))
    back = table.Group("GPU to CPU", ("tests/moves/test_real.py",), match="gpu-cpu")
    assert table.cell(there, run) == "yes"
    assert table.cell(back, run) == "no: 22.05 keeps the old GRES"
    assert table.cell(moves, run) == "yes, but: 22.05 keeps the old GRES"


def test_a_test_that_failed_was_skipped_or_never_ran_is_bad(table: ModuleType) -> None:
    run = table.read_junit(JUNIT)
    gres = table.Group("GRES", ("tests/gres/test_gres.py",))
    gone = table.Group("Gone", ("tests/gone/test_gone.py",))
    optional = table.Group(
        "pyslurm", ("tests/gres/test_gres.py",), match="pyslurm", absent="not tried: none here"
    )
    assert table.cell(gres, run) == "**fails** (2 of 3)"
    assert [table.is_bad(table.cell(g, run)) for g in (gres, gone, optional)] == [True, True, False]
    assert table.cell(optional, run) == "not tried: none here"
    assert [o.failure for o in run if o.failure] == ["assert 1 == 2", "no GPU"]


def test_a_row_tells_what_was_measured_and_is_only_in_the_columns_of_its_releases(table: ModuleType) -> None:
    text = """<testsuites><testsuite><testcase classname="tests.q.test_q" name="test_queue" time="1">
    <properties><property name="found" value="2.3 times"/></properties></testcase></testsuite></testsuites>"""
    (group,) = table.parse_groups('[[group]]\ntitle = "Q"\ntests = ["tests/q/test_q.py"]\nonly = ["26.05"]')
    assert (group.is_for("26.05"), group.is_for("24.11")) == (True, False)
    assert table.cell_on(group, "26.05", table.read_junit(text)) == "yes: 2.3 times"
    assert table.cell_on(group, "24.11", ()) == "not run here"
    assert table.is_bad(table.cell_on(group, "26.05", ()))
    assert not table.is_bad(table.cell_on(group, "24.11", ()))


def test_the_table_replaces_the_one_in_the_page_and_nothing_else(table: ModuleType) -> None:
    groups = (table.Group("GRES | all", ("tests/moves/test_real.py",), match="cpu-gpu"),)
    text = table.render(
        groups, {"22.05": table.read_junit(JUNIT), "26.05": ()}, {"22.05": "old", "26.05": "new"}
    )
    assert text == "|  | old | new |\n|---|---|---|\n| GRES \\| all | yes | **no test ran** |"
    page = f"before\n{table.BEGIN}\nwhat was\n{table.END}\nafter\n"
    assert table.put_into(page, text) == f"before\n{table.BEGIN}\n{text}\n{table.END}\nafter\n"
    with pytest.raises(ValueError, match="the page has no"):
        table.put_into("no table here", text)


def test_every_group_names_tests_that_are_there_and_the_readme_has_a_place_for_the_table(
    table: ModuleType,
) -> None:
    top = TOOLS.parents[1]
    for group in table.parse_groups((TOOLS / "groups.toml").read_text()):
        for test in group.tests:
            file, _, name = test.partition("::")
            assert (top / file).is_file(), test
            assert f"def {name.partition('[')[0]}(" in (top / file).read_text() if name else True, test
    assert table.put_into((top / "README.md").read_text(), "x")

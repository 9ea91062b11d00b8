"""Gavel's table of throughputs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hetslurm.errors import WorkloadError
from hetslurm.workloads.gavel import parse_throughputs, read_throughputs

TABLE: dict[str, Any] = {
    "v100": {"a": {"null": 4.0, "b": [1.0, 2.0]}, "b": {"null": 0.0}},
    "k80": {"a": {"null": 1.0}, "b": {"null": 2.0}},
    "k80_unconsolidated": {"a": {"null": 0.5}},
}


@pytest.mark.parametrize("packed", [False, True])
def test_what_runs_alone_is_read_and_zero_means_that_it_does_not_run(tmp_path: Path, packed: bool) -> None:
    text = json.dumps(TABLE).encode()
    (tmp_path / "t").write_bytes(gzip.compress(text) if packed else text)
    table = read_throughputs(tmp_path / "t").consolidated()
    assert (table.apps, table.devices) == (("a", "b"), ("k80", "v100"))
    np.testing.assert_equal(table.rates, [[1.0, 4.0], [2.0, np.nan]])
    np.testing.assert_allclose(table.ln_times()[0], [0.0, -np.log(4.0)])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "expected an object"),
        ({"k80": 3}, "expected an object"),
        ({}, "no job"),
        ({"k80": {"a": {"null": "x"}}}, "k80, a: expected a number"),
        ({"k80": {"a": {}}}, "k80, a: expected a number"),
        ({"k80": {"a": {"null": -1}}}, "k80, a: expected a number"),
    ],
)
def test_another_document_is_refused_with_its_place(document: Any, words: str) -> None:
    with pytest.raises(WorkloadError, match=words):
        parse_throughputs(document, "t.json")


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("{")
    with pytest.raises(WorkloadError, match="no JSON"):
        read_throughputs(tmp_path / "t")

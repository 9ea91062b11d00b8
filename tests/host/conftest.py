"""A node's proc and sys as files below a folder, and the texts that machines gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

MakeTree = Callable[[Mapping[str, str]], Path]
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str], str]:
    """The text of a golden file by name."""
    return lambda name: (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """`make_tree({"proc/loadavg": "0.1 …"})`: the root of a node with these files; "-> x" makes a link."""
    root = tmp_path / "root"
    root.mkdir()

    def make(files: Mapping[str, str]) -> Path:
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                path.symlink_to(text[3:])
            else:
                path.write_text(text, encoding="utf-8")
        return root

    return make

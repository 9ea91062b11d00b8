"""XRT's real runtime in noop mode, in a process of its own: its mode is fixed when it is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

RunNoop = Callable[..., Any]


@pytest.fixture
def run_noop(tmp_path: Path) -> RunNoop:
    """`run_noop(script, *arguments, **environment)`: what the script prints, from JSON."""

    def run(script: str, *arguments: str | Path, **environment: str) -> Any:
        kept = {key: value for key, value in os.environ.items() if key not in {"XILINX_XRT", "XRT_INI_PATH"}}
        done = subprocess.run(
            [sys.executable, "-P", "-W", "error", "-c", dedent(script), *map(str, arguments)],
            env=kept | {"XCL_EMULATION_MODE": "noop", "TMPDIR": str(tmp_path)} | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, str]]:
    """`golden("u250")`: what get_info says of such a card, by key."""

    def read(name: str) -> dict[str, str]:
        folder = Path(__file__).parent / "golden" / name
        return {path.stem: path.read_text() for path in sorted(folder.iterdir())}

    return read

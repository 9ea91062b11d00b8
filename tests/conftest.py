"""Fixtures with a real Slurm. None of them skips: where Slurm is missing, the test fails and says so."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.sandbox.process import of_sandbox

NODES = "cpu=4,gpu:a100=2,fpga:u250=1"
MakeSandbox = Callable[..., Sandbox]

# How long one example takes says how busy the machine is, not whether the code is right.
settings.register_profile("hetslurm", deadline=None)
settings.load_profile("hetslurm")

# What `make plugin` built, wherever a test or a command that it starts runs.
os.environ.setdefault("HETSLURM_PLUGIN_DIR", str(Path(__file__).parents[1] / "build"))


def _factory() -> Iterator[MakeSandbox]:
    """Sandboxes on tmpfs, all taken down at the end, also after a failure, and nothing left of them."""
    made: list[Sandbox] = []
    folders: list[tempfile.TemporaryDirectory[str]] = []

    def make(spec: Spec | None = None, *, nodes: str = NODES, **options: object) -> Sandbox:
        base = "/dev/shm" if Path("/dev/shm").is_dir() else None
        folder = tempfile.TemporaryDirectory(prefix="hetslurm-", dir=base)
        folders.append(folder)
        Path(folder.name).chmod(0o755)
        if spec is None:
            spec = Spec(parse_nodes(nodes), **options)  # type: ignore[arg-type]
        sandbox = Sandbox.create(Path(folder.name) / "s", spec)
        made.append(sandbox)
        return sandbox

    try:
        yield make
    finally:
        with contextlib.ExitStack() as ending:
            for folder in folders:
                ending.callback(folder.cleanup)
            for sandbox in made:
                ending.callback(sandbox.down)
        left = {sandbox.root: of_sandbox(sandbox.root) for sandbox in made}
    assert not any(left.values()), f"processes outlived their sandbox: {left}"


@pytest.fixture
def make_sandbox() -> Iterator[MakeSandbox]:
    """`make_sandbox(spec)` or `make_sandbox(nodes=…, plugins=…, …)`: a sandbox for one test."""
    yield from _factory()


@pytest.fixture(scope="session")
def make_session_sandbox() -> Iterator[MakeSandbox]:
    """The same, for the whole session."""
    yield from _factory()


@pytest.fixture(scope="session")
def slurm(make_session_sandbox: MakeSandbox) -> Sandbox:
    """cpu, gpu and fpga partitions with plugins and controller."""
    return make_session_sandbox()


@pytest.fixture(scope="session")
def accounting_slurm(make_session_sandbox: MakeSandbox) -> Sandbox:
    """The same with slurmdbd and MariaDB."""
    return make_session_sandbox(accounting=True)

"""Adapters that keep the contract, and one real Slurm for all: libslurm reads one slurm.conf a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import metadata

import pytest

from hetslurm.sandbox import Sandbox
from hetslurm.slurm import SlurmAdapter, choose_adapter


def _has_pyslurm() -> bool:
    """Whether one is installed, or must be: the matrix says so, and then its absence fails."""
    try:
        return bool(metadata.version("pyslurm"))
    except metadata.PackageNotFoundError:
        return "MATRIX_PYSLURM" in os.environ


REAL = ["commands", "pyslurm"] if _has_pyslurm() else ["commands"]
REAL_PARAMS = [pytest.param(name, marks=pytest.mark.slurm) for name in REAL]


@pytest.fixture(scope="session")
def contract_sandbox(make_session_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """Two nodes with cpus, two with A100s, one with an Alveo; hetslurm's plugin, and no controller."""
    return make_session_sandbox(nodes="cpu=2,gpu:a100:2=2,fpga:u250=1", controller=False)


@pytest.fixture(scope="session", params=REAL_PARAMS)
def real_adapter(request: pytest.FixtureRequest, contract_sandbox: Sandbox) -> SlurmAdapter:
    """Every adapter that there is for a real Slurm, on that sandbox."""
    return choose_adapter(request.param, slurm_conf=str(contract_sandbox.layout.slurm_conf))


@pytest.fixture(scope="session", params=["memory", *REAL_PARAMS])
def any_adapter(request: pytest.FixtureRequest) -> SlurmAdapter | None:
    """Those, and None: the cluster in memory, which a module makes as it needs it."""
    if request.param == "memory":
        return None
    sandbox: Sandbox = request.getfixturevalue("contract_sandbox")
    return choose_adapter(request.param, slurm_conf=str(sandbox.layout.slurm_conf))

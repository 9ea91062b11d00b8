"""The real binding over a library in C that stands in for the driver's: what is passed and comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOOK_TWICE = """
import ctypes, json, sys
ctypes.CDLL(sys.argv[1])  # the binding asks for the soname, and finds it loaded
from hetslurm.gpu.nvml import Nvml
from hetslurm.gpu.sample import sample_of
devices = Nvml(on_bus=lambda: ())
samples = [sample_of(devices.look()) for _ in range(2)]
devices.close()
samples.append(sample_of(devices.look()))
told = [[s.state, s.message, [[r.values, r.facts] for r in s.rows]] for s in samples]
print(json.dumps(told, default=dict))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stub, built with the soname of the driver's library."""
    built = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("nvml_stub.c")
    command = [
        "cc",
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        f"-Wl,-soname,{built.name}",
    ]
    subprocess.run([*command, "-o", str(built), str(source)], check=True)
    return built


def test_the_real_binding_reads_what_the_library_answers(library: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOOK_TWICE, str(library)], capture_output=True, text=True, check=True
    )
    first, second, reopened = json.loads(done.stdout)
    facts = {"id": "GPU-00000000-1111-2222-3333-444444444444", "name": "Stub", "driver": "535.104.05"}
    values = {
        "lost": 0,
        "temperature_c": 55,
        "mem_total_mb": 16384,
        "mem_used_mb": 1024,
        "utilization_ratio": 0.25,
        "processes": 2,
        "remapped_uncorrected": 2,
        "remap_pending": 1,
        "remap_failed": 0,
        "ecc_corrected": 40,
        "ecc_uncorrected": 3,
        "nvlinks": 4,
        "nvlinks_up": 3,
        "nvlink_errors": 4 * (0 + 1 + 2 + 3) + 4 * (0 + 10 + 20 + 30),
        "mig": 0,
        "mig_instances": 0,
        "xid_hard": 1,
        "xid_soft": 1,
        "xid_last": 31,
    }
    for state, message, rows in (first, second, reopened):
        assert (state, message) == (1, "")
        assert rows == [[values, facts | {"xid": "31 memory page fault"}]]

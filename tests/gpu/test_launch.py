"""The benchmark's own process: it ends at its deadline and with its parent, and lies are not believed."""

from __future__ import annotations

import importlib.machinery
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hetslurm.gpu import launch as launching
from hetslurm.gpu.launch import launch, parse_rates
from hetslurm.gpu.measure import main


def program(tmp_path: Path, body: str) -> list[str]:
    script = tmp_path / "bench.py"
    script.write_text(body)
    return [sys.executable, "-P", str(script)]


def test_the_program_is_told_the_device_its_parent_and_the_deadline(tmp_path: Path) -> None:
    body = (
        "import json, sys; print(json.dumps({'rates': {'copy_gbs': 5}, 'message': ' '.join(sys.argv[1:])}))"
    )
    rates = launch("GPU-7", program(tmp_path, body), deadline_s=60)
    assert rates.values == {"copy_gbs": 5}
    assert rates.message == f"--device GPU-7 --parent {os.getpid()} --deadline 60"


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    rates = launch("GPU-7", program(tmp_path, "import threading; threading.Event().wait()"), deadline_s=0.5)
    assert (rates.values, rates.message) == ({}, "the benchmark took longer than 0.5 s")


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    body = "import sys; print('much ado', file=sys.stderr); sys.exit('CUDA says no')"
    assert launch("GPU-7", program(tmp_path, body)).message == "the benchmark ended with 1: CUDA says no"


def test_a_program_that_is_not_there_is_no_exception(tmp_path: Path) -> None:
    rates = launch("GPU-7", [str(tmp_path / "nothing")])
    assert rates.message.startswith("the benchmark did not start: ")


def test_without_cupy_there_is_state_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "find_spec", lambda name: None)
    assert launch("GPU-7").message == "no CuPy: state only"


def test_with_cupy_the_real_program_runs_and_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A CuPy as it is where the driver is missing: there, but of no use.
    (tmp_path / "cupy.py").write_text("raise RuntimeError('cudaErrorInsufficientDriver')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    spec = importlib.machinery.ModuleSpec("cupy", None)
    monkeypatch.setattr(launching, "find_spec", lambda name: spec)
    rates = launch("GPU-7")
    assert rates.values == {}
    assert rates.message == "the benchmark ended with 1: RuntimeError: cudaErrorInsufficientDriver"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"rates": 3, "message": ""}', '{"rates": {"copy_gbs": "x"}, "message": ""}', "null"],
)
def test_what_cannot_be_read_is_no_rate(text: str) -> None:
    rates = parse_rates(text)
    assert rates.values == {}
    assert "cannot be read" in rates.message


def test_rates_that_cannot_be_are_dropped() -> None:
    told = '{"copy_gbs": NaN, "h2d_gbs": -1, "d2h_gbs": 0, "flattery": 9, "gemm_fp64_tflops": 2}'
    assert parse_rates(f'{{"rates": {told}, "message": ""}}').values == {"gemm_fp64_tflops": 2}


# NumPy dressed as CuPy: what hetslurm.gpu.cupy_bench takes of it, and nothing else.
CUPY = """
import time
import types
import numpy
from numpy import copyto, dot, dtype, float32, float64, random, uint8

class ndarray(numpy.ndarray):
    def set(self, arr, stream=None):
        copyto(self, arr)
    def get(self, stream=None, order="C", out=None, blocking=True):
        copyto(out, self)
        return out

def empty(shape, dtype):
    return numpy.empty(shape, dtype).view(ndarray)

def empty_like(other):
    return numpy.empty_like(other)

def zeros(shape, dtype):
    raise TypeError(dtype)

class Event:
    def record(self, stream):
        assert stream == "stream"
        self.at = time.perf_counter()
    def synchronize(self):
        pass

cuda = types.SimpleNamespace(
    Event=Event,
    alloc_pinned_memory=bytearray,
    get_current_stream=lambda: "stream",
    get_elapsed_time=lambda start, stop: (stop.at - start.at) * 1e3,
    runtime=types.SimpleNamespace(memGetInfo=lambda: (64 << 20, 96 << 20)),
)
pool = types.SimpleNamespace(free_all_blocks=lambda: None)
get_default_memory_pool = get_default_pinned_memory_pool = lambda: pool
"""


def test_the_whole_chain_measures_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text(CUPY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(launching, "find_spec", lambda name: importlib.machinery.ModuleSpec("cupy", None))
    rates = launch("GPU-7")
    assert rates.message.startswith("gemm_bf16_tflops: TypeError: ")
    assert set(rates.values) == launching.RATES - {"gemm_bf16_tflops"}
    # Of this machine's size: a wrong unit would be off by a thousand.
    assert 0.1 < rates.values["copy_gbs"] < 1000
    assert 0.0005 < rates.values["gemm_fp32_tflops"] < 10


def test_without_cupy_the_command_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setenv("CUPY_TF32", "1")
    try:
        assert main(["--deadline", "3600"]) == 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "cupy" in said.err


BOUND = "import sys; from hetslurm.gpu.measure import bind_life; bind_life({parent}, {deadline}); {then}"
FOREVER = "print('bound', flush=True); import threading; threading.Event().wait()"


def test_the_deadline_ends_it_whatever_it_does() -> None:
    code = BOUND.format(parent=0, deadline=0.3, then=FOREVER)
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGALRM


def test_it_ends_with_its_parent() -> None:
    child = BOUND.format(parent="int(sys.argv[1])", deadline=600, then=FOREVER)
    parent = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-P', '-c', {child!r}, str(os.getpid())])\n"
        "child.wait()"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "bound\n"
        process.kill()
        # The child holds the pipe as well: its end is the pipe's end.
        assert process.stdout.read() == ""


def test_a_parent_that_is_dead_already_is_noticed() -> None:
    code = BOUND.format(parent=2**22 + 1, deadline=600, then=FOREVER)
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == b""

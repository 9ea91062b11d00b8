"""Threads that take while a writer writes: every view is whole, under two sanitizers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hetslurm.native.layout import CONSTANTS, checksum
from hetslurm.snapshot import SnapshotWriter, header_of, unpack

Build = Callable[..., NDArray[np.uint8]]
GENERATIONS = 5000
THREADS = 8


def of_generation(slot: NDArray[np.uint8], generation: int) -> NDArray[np.uint8]:
    """The same content as another generation, its number in every pool's units."""
    header_of(slot)["generation"] = generation
    unpack(slot)["pool"]["units"][:] = generation
    header_of(slot)["checksum"] = checksum(slot[CONSTANTS["SUM_START"] :])
    return slot


def start(program: Path, path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [program, "loop", path, str(os.geteuid()), str(THREADS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def counts(process: subprocess.Popen[str]) -> dict[str, int]:
    words = process.communicate(timeout=120)[0].split()
    assert process.returncode == 0
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_eight_threads_see_only_whole_generations(
    build_probe: Callable[[str], Path], tmp_path: Path, build: Build, sanitizers: str
) -> None:
    path = tmp_path / "snapshot"
    small, large = build(1, 100), build(1, 1500)
    with SnapshotWriter(path) as writer:
        writer.write(of_generation(small, 1))
        process = start(build_probe(sanitizers), path)
        for generation in range(2, GENERATIONS + 1):
            writer.write(of_generation(large if generation % 1000 == 0 else small, generation))
        seen = counts(process)
    assert seen["torn"] == 0
    assert seen["views"] > THREADS * 10
    assert seen["generations"] > THREADS


def test_a_file_that_is_cut_and_scribbled_over_while_threads_read_kills_nobody(
    asan: Path, tmp_path: Path, build: Build
) -> None:
    path = tmp_path / "snapshot"
    slot = build(1, 300)
    with SnapshotWriter(path) as writer:
        writer.write(of_generation(slot, 1))
        whole = path.read_bytes()
        process = start(asan, path)
        rng = np.random.default_rng(7)
        for round_ in range(600):
            os.truncate(path, int(rng.integers(0, slot.size + 64)))
            with path.open("r+b") as file:
                file.seek(int(rng.integers(0, 64 + slot.size)))
                file.write(rng.bytes(200))
                if round_ % 3 == 0:
                    file.seek(0)
                    file.write(whole)
        seen = counts(process)
    assert seen["torn"] == 0
    assert seen["takes"] > 0

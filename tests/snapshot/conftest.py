"""What the snapshot's tests share: sample content, and the plugin's reader built under sanitizers."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hetslurm.cluster import Association, Partition
from hetslurm.pool import NO_WAIT, Pool
from hetslurm.site import DataSite, Site
from hetslurm.snapshot import RunEstimate, build_slot

NATIVE = Path(__file__).parents[2] / "native"
PROBE = Path(__file__).with_name("reader_probe.c")
READER = [NATIVE / name for name in ("snapshot_check.c", "snapshot_reader.c", "placements.c")]
SECOND = 1_000_000_000
CLANG = ["clang", "-std=gnu11", "-O1", "-g", "-fno-sanitize-recover=all", f"-I{NATIVE}", "-pthread", "-lm"]

Build = Callable[..., NDArray[np.uint8]]


class Talk:
    """A process with one reader, told when to look at the file and at what time."""

    def __init__(self, program: Path, path: Path, owner: int) -> None:
        self.now_ns = time.time_ns()
        self._process = subprocess.Popen(
            [program, "talk", path, str(owner)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words: object) -> str:
        """One line out, one line back."""
        assert self._process.stdin
        assert self._process.stdout
        print(*words, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def take(self, later_s: float = 0.0, how: str = "take") -> tuple[str, int]:
        """(status, generation of the view; 0: none), `later_s` after the last look."""
        self.now_ns += round(later_s * SECOND)
        status, generation = self.ask(how, self.now_ns).split()
        return status, int(generation)

    def end(self) -> int:
        """Ends the process; its exit status is not 0 when a sanitizer found something."""
        self._process.communicate(timeout=60)
        return self._process.returncode


@pytest.fixture(scope="session")
def build_probe(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compiles the probe under the sanitizers named, once."""
    built: dict[str, Path] = {}

    def build(sanitizers: str) -> Path:
        if sanitizers not in built:
            program = tmp_path_factory.mktemp("probe") / "reader_probe"
            command = [*CLANG, f"-fsanitize={sanitizers}", PROBE, *READER, "-o", program]
            subprocess.run(command, check=True)
            built[sanitizers] = program
        return built[sanitizers]

    return build


@pytest.fixture(scope="session")
def asan(build_probe: Callable[[str], Path]) -> Path:
    """The probe under AddressSanitizer and UndefinedBehaviorSanitizer."""
    return build_probe("address,undefined")


@pytest.fixture
def reader(asan: Path, tmp_path: Path) -> Iterator[Callable[..., Talk]]:
    """Starts readers of `tmp_path/snapshot` (or another path); none may end with a sanitizer's complaint."""
    started: list[Talk] = []

    def start(path: Path = tmp_path / "snapshot", owner: int | None = None) -> Talk:
        started.append(Talk(asan, path, os.geteuid() if owner is None else owner))
        return started[-1]

    yield start
    assert [talk.end() for talk in started] == [0] * len(started)


@pytest.fixture(scope="session")
def build() -> Build:
    """A slot of a small site, `n_pools` pools in it, each with as many units as its generation."""

    def slot(generation: int, n_pools: int = 12, **changes: Any) -> NDArray[np.uint8]:
        partitions = [
            Partition("cpu", ("n0", "n1"), is_default=True, allow_accounts=frozenset({"Physics", "chem"})),
            Partition("gpu", ("n2",), deny_qos=frozenset({"low"}), allow_groups=frozenset({"users"})),
            Partition("down", ("n2",), state="DOWN", alloc_nodes=frozenset({"login1"})),
        ]
        kinds = [("cpu", "", "cpu"), ("gpu", "a100", "gpu"), ("gpu", "v100", "gpu"), ("fpga", "u250", "down")]
        pools = [
            Pool(
                f"pool{i}",
                partition,
                kind,
                kind_type,
                (f"n{i}", "n1", "n2"),
                cpus_per_node=64,
                devices_per_node=0 if kind == "cpu" else 4,
                mem_mb_per_node=256_000,
                features=frozenset({"ib", "avx"}),
                units=float(generation),
                wait_s=tuple(float(k * i) for k in range(len(NO_WAIT))),
            )
            for i in range(n_pools)
            for kind, kind_type, partition in [kinds[i % len(kinds)]]
        ]
        values: dict[str, Any] = {
            "pools": pools,
            "partitions": partitions,
            "associations": [
                Association("ann", "Physics", "cpu"),
                Association("ann", "chem", is_default=True),
            ],
            "uids": {"ann": 1001},
            "groups": {"users": frozenset({1001, 7})},
            "site": Site(
                data=(DataSite("/scratch", {"*": 2.0, "gpu": 4.0}, stays=frozenset({"cpu", "gpu"})),)
            ),
            "estimates": [RunEstimate("bwa", "gpu", "a100", 40.0), RunEstimate("bwa", "cpu", "", 400.0)],
            "written_at_ns": time.time_ns(),
            "cluster": "test",
        }
        return build_slot(generation=generation, **(values | changes))

    return slot

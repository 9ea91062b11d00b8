"""The plugin outside of slurmctld, built with sanitizers, on job_descs made by Slurm's own library."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hetslurm.cluster import Partition
from hetslurm.estimate import Estimate, RunEstimate, Source
from hetslurm.pool import Pool, Rates
from hetslurm.site import OrderSite, Site
from hetslurm.snapshot import SnapshotWriter, build_slot

ROOT = Path(__file__).resolve().parents[2]
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
PRICES: dict[str, Any] = {"price": Rates(cpu=20_000, device=1_200_000), "price_source": Source.MEASURED}


@pytest.fixture(scope="session")
def build_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both plugins as users get them."""
    folder = tmp_path_factory.mktemp("plugins")
    make(folder)
    return folder


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin and its host under ASan and UBSan."""
    folder = tmp_path_factory.mktemp("sanitized")
    make(folder, f"EXTRA_CFLAGS={SANITIZERS} -O1", f"EXTRA_LDFLAGS={SANITIZERS}")
    subprocess.run(
        [
            *("cc", "-std=gnu11", "-g", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", *SANITIZERS.split()),
            *(
                f"-I{ROOT}/native",
                f"{ROOT}/tests/plugin/host.c",
                "-rdynamic",
                "-lslurm",
                "-o",
                folder / "host",
            ),
        ],
        check=True,
    )
    return folder


def make(folder: Path, *variables: str) -> None:
    done = subprocess.run(
        ["make", "-C", ROOT, "plugin", f"PLUGIN_BUILD={folder}", *variables],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Answer:
    """What job_submit() returned and left in the job_desc; "open" is Slurm's NO_VAL."""

    rc: int
    message: str
    fields: dict[str, str]
    env: dict[str, str]
    log: str

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads(self.fields["admin_comment"]))

    def __getitem__(self, name: str) -> str:
        return self.fields[name]


def pools() -> list[Pool]:
    """A cpu pool, a gpu pool with two free devices, an fpga pool."""
    return [
        Pool("cpu", "cpu", "cpu", "", ("c1", "c2"), 64, 0, 256_000, units=128, units_free=128, **PRICES),
        Pool("gpu-a100", "gpu", "gpu", "a100", ("g1",), 32, 2, 128_000, units=2, units_free=2, **PRICES),
        Pool("fpga-u250", "fpga", "fpga", "u250", ("f1",), 16, 1, 64_000, units=1, units_free=1, **PRICES),
    ]


PARTITIONS = (
    Partition("cpu", ("c1", "c2"), is_default=True),
    Partition("gpu", ("g1",)),
    Partition("fpga", ("f1",)),
)


@dataclass
class Controller:
    """One slurmctld's worth: the plugin's configuration, a snapshot, and submits to it."""

    folder: Path
    plugin: Path
    host: Path
    settings: str = ""
    partitions: tuple[Partition, ...] = PARTITIONS
    pools: list[Pool] = field(default_factory=pools)

    def __post_init__(self) -> None:
        self.snapshot = self.folder / "snapshot"
        self.stats = self.folder / "stats"

    def publish(
        self,
        *,
        age_s: float = 0.0,
        on_absent: str = "hold",
        order: OrderSite | None = None,
        estimates: Sequence[RunEstimate] = (),
    ) -> None:
        site = replace(Site(), on_absent=on_absent, order=order or OrderSite())
        with SnapshotWriter(self.snapshot) as writer:
            slot = build_slot(
                self.pools,
                self.partitions,
                [],
                {},
                {},
                site,
                estimates,
                generation=writer.next_generation,
                written_at_ns=time.time_ns() - int(age_s * 1e9),
            )
            writer.write(slot)

    def submit(self, script: str | None, *, repeat: int = 1, **fields: str | int | list[str]) -> Answer:
        conf = self.folder / "job_submit_hetslurm.conf"
        conf.write_text(f"Snapshot={self.snapshot}\nStats={self.stats}\n{self.settings}")
        arguments = []
        if script is not None:
            (self.folder / "job.sh").write_text(script)
            arguments.append(f"script={self.folder / 'job.sh'}")
        for name, value in fields.items():
            values = value if isinstance(value, list) else [value]
            arguments += [f"{name}={one}" for one in values]
        environment = os.environ | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "HOST_STATS": str(self.stats),
            "ASAN_OPTIONS": "detect_leaks=1",
        }
        done = subprocess.run(
            [self.host, self.plugin, str(repeat), *arguments],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        pairs = [line.split("=", 1) for line in done.stdout.splitlines()]
        values = {name: value for name, value in pairs if not name.startswith("env.")}
        env = {name[4:]: value for name, value in pairs if name.startswith("env.")}
        return Answer(int(values.pop("rc")), values.pop("message"), values, env, done.stderr)


@pytest.fixture
def slurmctld(tmp_path: Path, sanitized: Path) -> Controller:
    return Controller(tmp_path, sanitized / "job_submit_hetslurm.so", sanitized / "host")


@pytest.fixture
def slower() -> Callable[[Pool, float], Pool]:
    """The same pool on devices of another speed."""
    return lambda pool, speed: replace(pool, speed=Estimate(speed, Source.DECLARED))

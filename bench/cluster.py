"""What the submit benchmarks share: a sandbox without a controller, a snapshot of many pools."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from hetslurm.cluster import Partition
from hetslurm.estimate import Source
from hetslurm.pool import NO_WAIT, WAIT_LENGTHS, Pool, Rates
from hetslurm.sandbox import Sandbox, Spec, parse_nodes
from hetslurm.site import Site
from hetslurm.snapshot import SnapshotWriter, build_slot

NODES = "cpu=2,gpu:a100=2,fpga:u250=1"
SCRIPT = """\
#!/bin/sh
#SBATCH --job-name=align
#HET app=minimap2 work=3.5e9
#HET target=cpu cpus=8 mem=16G time=4:00:00
#HET target=gpu:a100:1 cpus=8 mem=32G time=40:00
#HET target=fpga:u250:1 cpus=4 time=25:00 xclbin=align.xclbin
#HET objective=cost deadline=+365d
exec align "$HET_KIND"
"""
DEVICES = (("cpu", "", 0), ("gpu", "a100", 1), ("fpga", "u250", 1))


@contextlib.contextmanager
def sandbox(*, plugins: bool) -> Iterator[Sandbox]:
    """A Slurm with its state on tmpfs and no controller, so that nothing but the submits moves."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="hetslurm-bench-", dir=base) as folder:
        Path(folder).chmod(0o755)
        spec = Spec(parse_nodes(NODES), plugins=plugins, controller=False, start_slurmd=False)
        with Sandbox.create(Path(folder) / "s", spec) as running:
            yield running


def pools(count: int) -> tuple[list[Pool], list[Partition]]:
    """`count` pools, a third of each kind, each in a partition of its own; the sandbox's real partitions
    cost so much less that the choice is one of them, however many jobs went there
    since the last snapshot."""
    rows, partitions = [], []
    for i in range(count):
        kind, type_, devices = DEVICES[i % 3]
        name = kind if i < 3 else f"{kind}{i:04d}"
        dear = 1 if i < 3 else 1000 + i
        nodes = tuple(f"n{i:04d}-{n}" for n in range(4))
        partitions.append(Partition(name, nodes, is_default=i == 0))
        rows.append(
            Pool(
                name,
                name,
                kind,
                type_,
                nodes,
                cpus_per_node=16,
                devices_per_node=devices,
                mem_mb_per_node=64_000,
                units=4.0 * (devices or 16),
                units_free=float(devices or 16),
                wait_s=tuple(float(60 * (k // WAIT_LENGTHS) + i) for k in range(len(NO_WAIT))),
                wait_source=Source.PREDICTED,
                price=Rates(cpu=40_000 * dear, device=900_000 * devices * dear),
                price_source=Source.DECLARED,
            )
        )
    return rows, partitions


@contextlib.contextmanager
def published(running: Sandbox, count: int, *, every_s: float = 2.0) -> Iterator[None]:
    """Publish a snapshot of `count` pools as a controller would: a new generation every `every_s`."""
    rows, partitions = pools(count)
    stop = threading.Event()
    with SnapshotWriter(running.snapshot_path) as writer:

        def publish() -> None:
            slot = build_slot(
                rows,
                partitions,
                (),
                {},
                {},
                Site(),
                generation=writer.next_generation,
                written_at_ns=time.time_ns(),
            )
            writer.write(slot)

        def keep_publishing() -> None:
            while not stop.wait(every_s):
                publish()

        publish()
        publisher = threading.Thread(target=keep_publishing)
        publisher.start()
        try:
            yield
        finally:
            stop.set()
            publisher.join()

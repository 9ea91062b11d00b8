"""What the benchmarks of the bus share: keys, a node's report, agents in processes of their own."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

from hetslurm.agent.observed import Observed
from hetslurm.bus.authority import Authority
from hetslurm.bus.keys import NodeKey, load_node_key
from hetslurm.clock import SystemClock
from hetslurm.telemetry import SCHEMAS, Meaning, ProbeState, Row

BEAT_S = 5.0


def make_keys(folder: Path, n: int) -> list[NodeKey]:
    """A registry with n nodes, and their keys."""
    authority = Authority(folder, SystemClock())
    authority.init()
    names = [f"node{i:05d}" for i in range(n)]
    return [load_node_key(path) for path in authority.issue(names)]


def observed(gpus: int, at: float) -> list[Observed]:
    """What a healthy node with a network link, a mount and so many GPUs has to say."""
    rng = random.Random(gpus)  # noqa: S311  numbers to carry, no secret
    rows = {"host": 1, "link": 1, "mount": 1, **({"gpu": gpus} if gpus else {})}
    return [
        Observed(
            probe,
            at,
            ProbeState.OK,
            rows=tuple(
                Row(
                    {
                        metric.name: 0.0 if metric.meaning is Meaning.FLAG else rng.uniform(0, 50)
                        for metric in SCHEMAS[probe]
                    },
                    {"id": f"{probe}-{i}"},
                )
                for i in range(n)
            ),
            runs=1,
            took_s=0.01,
        )
        for probe, n in rows.items()
    ]


def resident_mb(pid: int | None = None) -> float:
    """Memory of a process, MiB."""
    pages = int(Path(f"/proc/{pid or os.getpid()}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def quantile(values: Sequence[float], q: float) -> float:
    """The q-quantile; 0 when there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def now() -> float:
    """Unix seconds: the one clock of all processes here."""
    return time.time()


class NullLog:
    """Says nothing."""

    def info(self, event: str, **fields: object) -> None:
        """Nothing."""

    def warning(self, event: str, **fields: object) -> None:
        """Nothing."""

    def error(self, event: str, **fields: object) -> None:
        """Nothing."""

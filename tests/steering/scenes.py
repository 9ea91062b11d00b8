"""Nodes and judgements by hand, and Steering on any adapter."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hetslurm.cluster import Cluster, Gres, Node
from hetslurm.controller.audit import Audit
from hetslurm.controller.steering import Steering, SteerReport
from hetslurm.controller.steering_ledger import SteeringLedger
from hetslurm.daemon.log import Log
from hetslurm.health.judgement import KINDS, Judgement
from hetslurm.site import HealthSite
from hetslurm.slurm import SlurmAdapter

NOW = 1_800_000_000.0


def node(name: str = "n1", weight: int = 1, state: str = "IDLE", **more: object) -> Node:
    """A node with one GPU; `state` as Slurm writes it."""
    made = Node(name, 16, 64_000, frozenset(state.split("+")), gres=(Gres("gpu", "a100", 1),), weight=weight)
    return replace(made, **more)  # type: ignore[arg-type]


def cluster_of(*nodes: Node) -> Cluster:
    """A cluster of these nodes."""
    return Cluster("c", (22, 5, 8), NOW, nodes, (), ())


def judgement(
    health: Mapping[str, float],
    *,
    kind: str = "gpu",
    speed: Mapping[str, float] | None = None,
    unknown: Iterable[str] = (),
    at: float = NOW,
) -> Judgement:
    """Nodes whose devices of this kind have this health; `unknown` are neither heard nor silent."""
    names = tuple(health)
    shape = (len(names), len(KINDS))
    wells, speeds = np.ones(shape), np.ones(shape)
    wells[:, KINDS.index(kind)] = list(health.values())
    speeds[:, KINDS.index(kind)] = [(speed or {}).get(name, 1.0) for name in names]
    heard = np.array([name not in set(unknown) for name in names], bool)
    return Judgement(at, names, wells, speeds, heard, np.zeros(len(names), bool))


class HandClock:
    """A clock that only a test puts forward."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        """Unix seconds."""
        return self.at

    def monotonic(self) -> float:
        """Seconds."""
        return self.at


@dataclass
class Room:
    """A controller's steering on an adapter. What is not well is written into `health` and `speed`."""

    adapter: SlurmAdapter
    state_dir: Path
    clock: HandClock = field(default_factory=HandClock)
    site: HealthSite = HealthSite()
    health: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A controller that starts on what is on disk."""
        self.ledger = SteeringLedger(self.state_dir)
        audit, log = Audit(self.state_dir, self.clock), Log("json", self.log, self.clock)
        self.steering = Steering(self.adapter, self.ledger, audit, log, self.clock)

    def restart(self) -> None:
        """The old one is gone, whatever it was doing."""
        self.ledger.close()
        self.start()

    def cycle(self, cluster: Cluster | None = None, *, until_s: float = 60.0) -> SteerReport:
        """One cycle of the controller, on the cluster as it is now."""
        cluster = cluster or self.adapter.read_cluster()
        said = judgement(
            {n.name: self.health.get(n.name, 1.0) for n in cluster.nodes},
            speed=self.speed,
            unknown=self.unknown,
            at=self.clock.now(),
        )
        return self.steering.apply(cluster, said, self.site, self.clock.monotonic() + until_s)

    def weights(self) -> dict[str, int]:
        """What Slurm says now."""
        return {n.name: n.weight for n in self.adapter.read_cluster().nodes}

    def audit(self) -> list[dict[str, object]]:
        """The audit log."""
        path = self.state_dir / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

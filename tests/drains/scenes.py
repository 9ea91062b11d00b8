"""Nodes, findings and judgements by hand, and Drains on any adapter, with a clock that can be put forward."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hetslurm.cluster import Cluster, Node
from hetslurm.controller.audit import Audit
from hetslurm.controller.drain_ledger import DrainLedger
from hetslurm.controller.drains import DrainReport, Drains
from hetslurm.daemon.log import Log
from hetslurm.health.drain_entry import Entry, State
from hetslurm.health.judgement import KINDS, Finding, Judgement
from hetslurm.pool import Pool
from hetslurm.site import DrainSite, HealthSite
from hetslurm.slurm import SlurmAdapter

NOW = 1_800_000_000.0
ECC = "gpu 0: 3 uncorrectable ECC errors"


def node(name: str = "n1", state: str = "IDLE", reason: str = "", **more: object) -> Node:
    """A node; `state` as Slurm writes it."""
    made = Node(name, 16, 64_000, frozenset(state.split("+")), reason=reason)
    return replace(made, **more)  # type: ignore[arg-type]


def finding(rule: str = "ecc", since: float = NOW - 10, **more: object) -> Finding:
    """A hard finding that counts."""
    return replace(Finding("gpu", 0, rule, ECC, since, is_hard=True), **more)  # type: ignore[arg-type]


def judgement(
    names: Iterable[str],
    findings: Mapping[str, Iterable[Finding]] | None = None,
    *,
    silent: Iterable[str] = (),
    at: float = NOW,
) -> Judgement:
    """What the rules say of these nodes; all are heard but `silent`."""
    names = tuple(names)
    quiet = np.array([name in set(silent) for name in names], bool)
    shape = (len(names), len(KINDS))
    return Judgement(
        at,
        names,
        np.ones(shape),
        np.ones(shape),
        ~quiet,
        quiet,
        {name: tuple(found) for name, found in (findings or {}).items()},
    )


def entry(state: State = State.DRAINED, name: str = "n1", **more: object) -> Entry:
    """A drain of ours for `gpu/0/ecc`, an hour old."""
    made = Entry(
        1, name, f"hetslurm: {ECC} #abcd", state, "because", NOW - 3600, NOW - 3600, frozenset({"gpu/0/ecc"})
    )
    return replace(made, **{"reason_by": "slurm", "reason_at": NOW - 3600} | more)  # type: ignore[arg-type]


def drained(of: Entry, state: str = "IDLE+DRAIN", **more: object) -> Node:
    """The node as Slurm shows it under this entry's drain."""
    facts = {"reason_by": of.reason_by, "reason_at": of.reason_at} | more
    return node(of.node, state, of.reason, **facts)


def pool(*names: str, name: str = "p") -> Pool:
    """A pool of these nodes."""
    return Pool(name, name, "cpu", "", names, 16, 0, 64_000)


class ShiftedClock:
    """The machine's clock, and what a test adds to it."""

    def __init__(self) -> None:
        self.shift = 0.0

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self.shift

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic() + self.shift


def health_site(**drain: object) -> HealthSite:
    """Drains on, 60 s to clear, half a pool; `drain` changes [health.drain]."""
    default = DrainSite(mode="on", pool_share=0.5, burst_share=0.5, burst_window_s=300, clear_s=60)
    return HealthSite(drain=replace(default, **drain))  # type: ignore[arg-type]


@dataclass
class Room:
    """Drains on an adapter. What fails and who is silent is written into `failing` and `silent`."""

    adapter: SlurmAdapter
    state_dir: Path
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    site: HealthSite = field(default_factory=health_site)
    failing: dict[str, list[Finding]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    log: io.StringIO = field(default_factory=io.StringIO)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A controller that starts on what is on disk."""
        self.ledger = DrainLedger(self.state_dir)
        audit, log = Audit(self.state_dir, self.clock), Log("json", self.log, self.clock)
        self.drains = Drains(self.adapter, self.ledger, audit, log, self.clock)

    def restart(self) -> None:
        """The controller ends and another starts."""
        self.ledger.close()
        self.start()

    def fail(self, *names: str, rule: str = "ecc", text: str = ECC) -> None:
        """These nodes have a hard finding from now on."""
        for name in names:
            self.failing[name] = [finding(rule, self.clock.now(), text=text)]

    def heal(self, *names: str) -> None:
        """These nodes have none any more."""
        for name in names:
            self.failing.pop(name, None)

    def cycle(self, cluster: Cluster | None = None, *, until_s: float = 60.0) -> DrainReport:
        """One cycle of the controller on the cluster as it is now."""
        cluster = cluster or self.adapter.read_cluster()
        if not cluster.read_at:  # a cluster in memory, whose time stands still
            cluster = replace(cluster, read_at=self.clock.now())
        names = tuple(n.name for n in cluster.nodes)
        pools = [pool(*p.nodes, name=p.name) for p in cluster.partitions]
        said = judgement(names, self.failing, silent=self.silent, at=self.clock.now())
        return self.drains.apply(cluster, pools, said, self.site, self.clock.monotonic() + until_s)

    def clear(self) -> DrainReport:
        """Enough fresh reports for a node that has recovered to come back."""
        self.cycle()
        self.clock.shift += self.site.drain.clear_s + 1
        return self.cycle()

    def state(self, name: str) -> State | None:
        """Where the node's newest entry stands."""
        return next((e.state for e in self.ledger.entries() if e.node == name), None)

    def audit(self) -> list[dict[str, object]]:
        """The audit log."""
        path = self.state_dir / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def logged(self, event: str) -> list[dict[str, object]]:
        """The log's lines of an event."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]

"""The three programs on a cluster, a cloud and a clock in memory; the book is real."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hetslurm.burst.power import Power
from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer, Reservation, Wanted
from hetslurm.cloudburst.policy import (
    Cap,
    CloudPool,
    Level,
    Period,
    Policy,
    ProviderSite,
    Purchase,
)
from hetslurm.cloudburst.provider.fake import FakeProvider
from hetslurm.cloudburst.worst_case import worst_case
from hetslurm.cluster import Cluster, Node, Partition, QueuedJob
from hetslurm.daemon.log import Log
from hetslurm.slurm.fake import FakeSlurm

NOW = 1_800_000_000.0
JOB = 7
POOL = CloudPool("cloud", "p", "m5", (Purchase.SPOT,), 1_000_000, ("z1",), boot_timeout_s=300, idle_s=60)
POLICY = Policy(
    providers=(ProviderSite("p", "local"),),
    pools=(POOL,),
    caps=(Cap(Level.SITE, "", Period.TOTAL, 10_000_000),),
)


def _nodes() -> tuple[Node, ...]:
    """As slurmctld has them when it calls ResumeProgram."""
    coming = frozenset({"ALLOCATED", "CLOUD", "POWERING_UP", "NOT_RESPONDING"})
    return tuple(Node(f"cloud{i}", 4, 8000, coming) for i in (1, 2, 3))


def _cluster() -> Cluster:
    nodes = _nodes()
    job = QueuedJob(
        JOB, "CONFIGURING", "cloud", "ann", 2, 4, 100, 5, 1, NOW, NOW, None, node_names=("cloud1", "cloud2")
    )
    partition = Partition("cloud", tuple(node.name for node in nodes))
    return Cluster("c", (22, 5, 8), NOW, nodes, (partition,), (job,))


@dataclass
class Desk:
    """`cloud` and `slurm` take faults; `power` has whatever stands before them."""

    folder: Path
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    said: io.StringIO = field(default_factory=io.StringIO)
    policy: Policy = POLICY

    def __post_init__(self) -> None:
        self.cloud = FakeProvider(self.clock)
        self.slurm = FakeSlurm(_cluster(), now=NOW)
        self.book = Book(Book.path_in(self.folder), self.clock, self.policy.caps, cluster="c")
        self.book.beat()

    def power(self, over: Any = lambda thing: thing) -> Power:
        """What a program works with; `over` may stand before book, Slurm and cloud."""
        return Power(
            state_dir=self.folder,
            policy=self.policy,
            book=over(self.book),
            providers={"p": over(self.cloud)},
            slurm=over(self.slurm),
            clock=self.clock,
            log=Log(out=self.said, clock=self.clock),
            pause=self.clock.advance,
        )

    def money(self, *nodes: str, job_id: int = JOB, limit_s: float = 300.0) -> Reservation:
        """Set the worst case aside."""
        worst = worst_case(POOL, self.policy.retry, nodes=len(nodes), limit_s=limit_s)
        return self.book.reserve(
            Wanted(
                job_id,
                int(NOW),
                Payer("lab", "ann"),
                "cloud",
                nodes,
                POOL.max_price_micro,
                worst.attempts,
                worst.attempt_s,
                worst.attempt_micro,
                worst.total_micro,
                limit_s,
                self.clock.now() + 900,
            )
        )

    def reason(self, node: str) -> str:
        """What Slurm shows for a node."""
        return self.slurm.read_node(node).reason

    def state(self, node: str) -> frozenset[str]:
        """Slurm's words for it."""
        return self.slurm.read_node(node).state

    def all_down(self) -> None:
        """As slurmctld has the nodes once they are POWERED_DOWN and the job is gone."""
        for node in self.slurm.cluster.nodes:
            self.slurm.put_node(replace(node, state=frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})))
        self.slurm.cluster = replace(self.slurm.cluster, jobs=())

    def check(self) -> None:
        """At every instant: no cap is broken, nothing runs that is not in the book, nothing runs twice."""
        for usage in self.book.usage():
            assert usage.reserved_micro + usage.spent_micro <= usage.cap.limit_micro
        tokens = [seen.token for seen in self.cloud.alive()]
        assert len(tokens) == len(set(tokens))
        assert set(tokens) <= {instance.token for instance in self.book.instances()}
        assert all(count == 1 for count in self.cloud.launches.values())
        assert self.book.verify() == ()

"""A book with money for nodes, and the launch loop on a clock that only moves when it waits."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hetslurm.burst.launch import Launch
from hetslurm.burst.launch_work import NotStarted, Outcome, Started
from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Instance, Payer, Wanted
from hetslurm.cloudburst.policy import Cap, CloudPool, Level, Period, Policy, Purchase, Retry
from hetslurm.cloudburst.provider.protocol import Provider
from hetslurm.cloudburst.worst_case import worst_case
from hetslurm.daemon.log import Log

NOW = 1_800_000_000.0
POOL = CloudPool(
    partition="cloud",
    provider="sky",
    instance_type="c7",
    purchases=(Purchase.SPOT, Purchase.ON_DEMAND),
    max_price_micro=1_000_000,
    zones=("a", "b"),
    boot_s=120.0,
)
NODES_A_JOB = 16
CAP = Cap(Level.SITE, "", Period.TOTAL, 10**15)


class Rig:
    """One policy, one book, and providers by name."""

    def __init__(
        self,
        folder: Path,
        providers: Mapping[str, Provider],
        clock: FixedClock,
        *,
        pools: Sequence[CloudPool] = (POOL,),
        retry: Retry | None = None,
    ) -> None:
        self.clock = clock
        self.policy = Policy(pools=tuple(pools), caps=(CAP,), retry=retry or Retry())
        self.book = Book(folder / "burst.sqlite3", clock, (CAP,), cluster="c")
        self.providers = providers
        self.jobs = 0
        self.paused: list[float] = []
        self.on_pause: Callable[[], object] = lambda: None
        self.log = io.StringIO()

    def intend(
        self, nodes: Sequence[str], *, pool: CloudPool = POOL, limit_s: float = 36000.0
    ) -> list[Instance]:
        """Reserve for jobs on these nodes, sixteen each, and intend to boot every one."""
        for i in range(0, len(nodes), NODES_A_JOB):
            self._reserve(nodes[i : i + NODES_A_JOB], pool, limit_s)
        return [self.book.intend(node, provider=pool.provider, billed_least_s=60.0) for node in nodes]

    def _reserve(self, nodes: Sequence[str], pool: CloudPool, limit_s: float) -> None:
        case = worst_case(pool, self.policy.retry, nodes=len(nodes), limit_s=limit_s)
        self.jobs += 1
        self.book.reserve(
            Wanted(
                job_id=self.jobs,
                submit_at=int(NOW),
                payer=Payer("physics", "ada", "align"),
                partition=pool.partition,
                node_names=tuple(nodes),
                price_cap_micro=pool.max_price_micro,
                attempts=case.attempts,
                attempt_s=case.attempt_s,
                attempt_micro=case.attempt_micro,
                amount_micro=case.total_micro,
                limit_s=limit_s,
                expires_at=NOW + 900,
            )
        )

    def launch(self, intents: Sequence[Instance], *, patience_s: float = 600.0) -> dict[str, Outcome]:
        """Run the real loop."""

        def pause(seconds: float) -> None:
            self.paused.append(seconds)
            self.on_pause()
            self.clock.advance(seconds)

        launch = Launch(
            self.book,
            self.policy,
            self.providers,
            self.clock,
            Log(out=self.log, clock=self.clock),
            pause=pause,
            chance=lambda: 0.5,
        )
        return launch.run(intents, patience_s=patience_s)

    def one(self, *, patience_s: float = 600.0) -> Outcome:
        """What becomes of a single node."""
        return self.launch(self.intend(["cloud1"]), patience_s=patience_s)["cloud1"]

    def row(self, node: str = "cloud1") -> Instance:
        """What the book has of a node."""
        found = self.book.instance_of(node)
        assert found is not None
        return found


def started(outcome: Outcome) -> Started:
    """It must have been started."""
    assert isinstance(outcome, Started), outcome
    return outcome


def not_started(outcome: Outcome) -> NotStarted:
    """It must not have been started."""
    assert isinstance(outcome, NotStarted), outcome
    return outcome

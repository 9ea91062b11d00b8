"""What cloud burst works with while its policy is in force: the book, the providers, and all that acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hetslurm.burst.alerts import Alerts
from hetslurm.burst.budget_page import BudgetPage
from hetslurm.burst.funding import Funding
from hetslurm.burst.hands import Auditor
from hetslurm.burst.interrupt import Interruptions
from hetslurm.burst.power import Power
from hetslurm.burst.providers import open_providers
from hetslurm.burst.reconcile_acts import Acts
from hetslurm.burst.reconciler import Reconciler
from hetslurm.burst.spill import Spiller
from hetslurm.clock import Clock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.provider.protocol import Provider
from hetslurm.controller.burst_spill import SpillStep
from hetslurm.daemon.log import Log
from hetslurm.slurm.protocol import SlurmAdapter


@dataclass(slots=True)
class Room:
    """Everything that is open. One policy after the other, one book."""

    power: Power
    acts: Acts
    spill: SpillStep
    reconciler: Reconciler
    interruptions: Interruptions
    funding: Funding
    alerts: Alerts
    page: BudgetPage

    @classmethod
    def open(
        cls,
        state_dir: Path,
        policy: Policy,
        cluster: str,
        adapter: SlurmAdapter,
        audit: Auditor,
        *,
        log: Log,
        clock: Clock,
    ) -> Room:
        """Raises LedgerError, ConfigError; nothing is left open then."""
        book = Book(Book.path_in(state_dir), clock, policy.caps, cluster=cluster, by="hetslurm controller")
        try:
            providers = open_providers(policy, clock)
        except BaseException:
            book.close()
            raise
        power = Power(state_dir, policy, book, providers, adapter, clock, log)
        spiller = Spiller(adapter, book, audit, log=log, clock=clock)
        acts = Acts(power, homeward=spiller.mover, audit=audit)
        return cls(
            power,
            acts,
            SpillStep(spiller, log, clock, state_dir),
            Reconciler(acts),
            Interruptions(book, adapter, audit, log=log, clock=clock),
            Funding(book, adapter, audit, log=log),
            Alerts(book, log, clock),
            BudgetPage(book, log, clock),
        )

    @property
    def book(self) -> Book:
        """The ledger."""
        return self.power.book

    @property
    def providers(self) -> Mapping[str, Provider]:
        """By name."""
        return self.power.providers

    @property
    def policy(self) -> Policy:
        """In force."""
        return self.power.policy

    def follow(self, policy: Policy) -> None:
        """Another policy. Raises what opening providers raises; the old one then stays in force."""
        old = self.power
        if policy == old.policy:
            return
        same = policy.providers == old.policy.providers
        providers = old.providers if same else open_providers(policy, old.clock)
        old.book.caps = policy.caps
        self.power = Power(
            old.state_dir, policy, old.book, providers, old.slurm, old.clock, old.log, old.pause
        )
        self.acts.power = self.power
        if not same:
            close_all(old.providers)

    def close(self) -> None:
        """Let go of everything."""
        close_all(self.providers)
        self.alerts.wait(1.0)
        self.book.close()


def close_all(providers: Mapping[str, Provider]) -> None:
    """Close them."""
    for provider in providers.values():
        provider.close()

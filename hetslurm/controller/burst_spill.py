"""Admission in the controller: the spill with each scene, on prices that are asked for now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from hetslurm.burst.spill import Spiller, SpillReport
from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.provider.protocol import Provider, ProviderError, Quote
from hetslurm.cluster import Cluster
from hetslurm.controller.decisions import DecisionLog, JobKey, Noted
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError
from hetslurm.pool import Pool
from hetslurm.site import Site

QUOTES_EVERY_S = 30.0


class Quotes:
    """The newest prices by partition. A provider that does not answer has none: nothing goes there."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._known: dict[str, tuple[float, tuple[Quote, ...]]] = {}
        self._silent: set[str] = set()

    def of(self, policy: Policy, providers: Mapping[str, Provider]) -> dict[str, Sequence[Quote]]:
        """For every pool of the policy."""
        now = self._clock.monotonic()
        wanted = {pool.partition for pool in policy.pools}
        self._known = {name: known for name, known in self._known.items() if name in wanted}
        for pool in policy.pools:
            at, _ = self._known.get(pool.partition, (float("-inf"), ()))
            if now - at >= QUOTES_EVERY_S:
                provider = providers.get(pool.provider)
                self._known[pool.partition] = (now, self._ask(pool.partition, provider, policy))
        return {name: quotes for name, (_, quotes) in self._known.items()}

    def _ask(self, partition: str, provider: Provider | None, policy: Policy) -> tuple[Quote, ...]:
        pool = policy.pool_of(partition)
        if provider is None or pool is None:
            return ()
        try:
            quotes = provider.quotes(pool)
        except ProviderError as error:
            if partition not in self._silent:
                self._log.warning("burst has no prices", partition=partition, error=error)
            self._silent.add(partition)
            return ()
        self._silent.discard(partition)
        return quotes


class SpillStep:
    """One a room: it writes the room's book."""

    def __init__(self, spiller: Spiller, log: Log, clock: Clock, state_dir: Path | None = None) -> None:
        """Decisions are noted in `state_dir`; None: nowhere."""
        self.spiller = spiller
        self._state_dir = state_dir
        self._clock = clock
        self._log = log
        self._quotes = Quotes(log, clock)
        self.counts: Counter[str] = Counter()

    def step(
        self,
        policy: Policy,
        providers: Mapping[str, Provider],
        site: Site,
        cluster: Cluster,
        pools: Sequence[Pool],
        generation: int = 1,
    ) -> None:
        """What there is time for in a cycle. Raises SlurmUnavailable, LedgerError."""
        quotes = self._quotes.of(policy, providers)
        at_home = [pool for pool in pools if pool.partition not in policy.partitions]
        report = self.spiller.step(
            policy,
            site,
            cluster,
            at_home,
            quotes,
            until=self._clock.monotonic() + site.cycle_s,
            generation=generation,
        )
        self._note(report)
        self.counts["spilled"] += report.spilled
        self.counts["home"] += report.home

    def _note(self, report: SpillReport) -> None:
        """For `hetslurm explain JOBID`; a full disk costs only explanations."""
        if not report.left or self._state_dir is None:
            return
        now = self._clock.now()
        entries = [
            Noted(
                JobKey(one.job.job_id, int(one.job.submit_at)),
                now,
                "controller",
                one.generation,
                one.generation,
                one.explanation,
            )
            for one in report.left
        ]
        try:
            # Opened each time: this is another thread than the one that notes placements.
            with closing(DecisionLog(self._state_dir)) as decisions:
                decisions.add(entries)
        except HetslurmError as error:
            self._log.error("decisions not noted", error=error)

"""Admission in the controller: the spill with each scene, on prices that are asked for now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hetslurm.burst.spill import Spiller
from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.provider.protocol import Provider, ProviderError, Quote
from hetslurm.cluster import Cluster
from hetslurm.daemon.log import Log
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

    def __init__(self, spiller: Spiller, log: Log, clock: Clock) -> None:
        self.spiller = spiller
        self._clock = clock
        self._quotes = Quotes(log, clock)
        self.counts: Counter[str] = Counter()

    def step(
        self,
        policy: Policy,
        providers: Mapping[str, Provider],
        site: Site,
        cluster: Cluster,
        pools: Sequence[Pool],
    ) -> None:
        """What there is time for in a cycle. Raises SlurmUnavailable, LedgerError."""
        quotes = self._quotes.of(policy, providers)
        at_home = [pool for pool in pools if pool.partition not in policy.partitions]
        report = self.spiller.step(
            policy, site, cluster, at_home, quotes, until=self._clock.monotonic() + site.cycle_s
        )
        self.counts["spilled"] += report.spilled
        self.counts["home"] += report.home

"""Quotes of a provider's pools, asked for anew before they are too old to launch by."""

from __future__ import annotations

from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import CloudPool
from hetslurm.cloudburst.provider.protocol import Provider, Quote

ASK_EVERY_S = 60.0


class Prices:
    """Prices during one run of the launch loop."""

    def __init__(self, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._known: dict[str, tuple[float, tuple[Quote, ...]]] = {}

    def of(self, pool: CloudPool) -> tuple[Quote, ...]:
        """The pool's quotes. Raises ProviderError: there are none to be had."""
        now = self._clock.now()
        asked_at, quotes = self._known.get(pool.partition, (float("-inf"), ()))
        if now - asked_at > ASK_EVERY_S:
            quotes = self._provider.quotes(pool)
            self._known[pool.partition] = (now, quotes)
        return quotes

"""A cloud like EC2 on a clock that is moved by hand: launches come out of a bucket that refills.

A call for more than the bucket holds is refused whole, as EC2 does; with `partial` what is in it is given.
It is to measure how long many nodes take and how often a cloud is asked in vain.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.pace import Bucket
from hetslurm.cloudburst.policy import CloudPool
from hetslurm.cloudburst.provider.protocol import (
    Launched,
    Order,
    ProviderError,
    Quote,
    Seen,
    SeenState,
    Trouble,
)

_CODE = "RequestLimitExceeded"


@dataclass(slots=True)
class SimulatedCloud:
    """A Provider. Each call takes `call_s`; an instance boots in `boots_s`, evenly spread, by `seed`.

    `level` is what the bucket holds; `others_per_s` is what others of the same account take out of it.
    `calls` counts launches asked for, `throttled` those refused.
    """

    clock: FixedClock
    bucket: Bucket = Bucket()
    level: float = 1000.0
    others_per_s: float = 0.0
    partial: bool = False
    call_s: float = 2.0
    boots_s: tuple[float, float] = (60.0, 120.0)
    price_micro: int = 100_000
    seed: int = 0
    calls: int = 0
    throttled: int = 0
    usable_at: dict[str, float] = field(default_factory=dict)
    _made: dict[str, Seen] = field(default_factory=dict)
    _at: float | None = None
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Boot times are the same in each run."""
        self._chance = random.Random(self.seed)  # noqa: S311  no secret

    def quotes(self, pool: CloudPool) -> tuple[Quote, ...]:
        """See Provider."""
        zones = pool.zones or ("a",)
        return tuple(
            Quote(pool.instance_type, purchase, zone, self.price_micro, self.price_micro, self.clock.now())
            for purchase in pool.purchases
            for zone in zones
        )

    def launch(self, orders: Sequence[Order]) -> dict[str, Launched]:
        """See Provider."""
        self.calls += 1
        self.clock.advance(self.call_s)
        self._refill()
        answers: dict[str, Launched] = {}
        new = [order for order in orders if order.token not in self._made]
        given = len(new) if len(new) <= self.level else int(self.level) if self.partial else 0
        self.level -= given
        self.throttled += given < len(new)
        for order in new[:given]:
            self._make(order)
        for order in orders:
            error = ProviderError(
                "Request limit exceeded.", trouble=Trouble.THROTTLE, code="RequestLimitExceeded"
            )
            answers[order.token] = self._made.get(order.token, error)
        return answers

    def seen(self) -> tuple[Seen, ...]:
        """See Provider."""
        now = self.clock.now()
        return tuple(
            replace(made, state=SeenState.RUNNING)
            if made.state is SeenState.PENDING and self.usable_at[made.node] <= now
            else made
            for made in self._made.values()
        )

    def terminate(self, instance_ids: Sequence[str]) -> dict[str, ProviderError]:
        """See Provider."""
        now = self.clock.now()
        for token, made in self._made.items():
            if made.instance_id in instance_ids and made.ended_at is None:
                self._made[token] = replace(made, state=SeenState.ENDED, ended_at=now)
        return {}

    def extend(self, instance_id: str, deadline_at: float) -> None:
        """See Provider. Nothing ends by itself here."""

    def close(self) -> None:
        """See Provider."""

    def _make(self, order: Order) -> None:
        now = self.clock.now()
        self.usable_at[order.node] = now + self._chance.uniform(*self.boots_s)
        self._made[order.token] = Seen(
            instance_id=f"i-{len(self._made):017x}",
            state=SeenState.PENDING,
            node=order.node,
            generation=order.generation,
            token=order.token,
            zone=order.zone,
            purchase=order.purchase,
            price_micro=self.price_micro,
            launched_at=now,
        )

    def _refill(self) -> None:
        now = self.clock.now()
        passed = now - self._at if self._at is not None else 0.0
        gained = passed * (self.bucket.refill_per_s - self.others_per_s)
        self.level = min(self.bucket.size, max(0.0, self.level + gained))
        self._at = now

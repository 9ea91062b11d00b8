"""A cloud in memory, for what no machine has: no capacity, answers that never come, time that jumps.

It launches by token as the protocol says, ends instances at their deadline, and raises on what it does not
know. Every fault is injected by name; none happens by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hetslurm.clock import Clock
from hetslurm.cloudburst.money import cost_micro
from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.provider.protocol import (
    Launched,
    Order,
    ProviderError,
    Quote,
    Seen,
    SeenState,
    Trouble,
)

_ALIVE = frozenset({SeenState.PENDING, SeenState.RUNNING, SeenState.ENDING})


@dataclass(slots=True)
class FakeProvider:
    """A Provider whose instances boot in `boot_s` and end in `ending_s` seconds of `clock`.

    `prices` are micro-units per hour by purchase option; without one there is no quote. `troubles` maps a
    zone, or "*", to why launches there fail. `is_down`: every call raises UNAVAILABLE. `lost_answers`: which
    calls ("launch", "terminate") take effect, and then raise UNAVAILABLE, once each. `never_boots`: what
    is launched stays PENDING. `forgets_s`: how long ended instances are still seen.
    """

    clock: Clock
    zones: tuple[str, ...] = ("z1",)
    prices: dict[Purchase, int] = field(
        default_factory=lambda: {Purchase.SPOT: 300_000, Purchase.ON_DEMAND: 1_000_000}
    )
    boot_s: float = 20.0
    ending_s: float = 5.0
    forgets_s: float = 3600.0
    troubles: dict[str, Trouble] = field(default_factory=dict)
    is_down: bool = False
    never_boots: bool = False
    lost_answers: list[str] = field(default_factory=list)
    launches: dict[str, int] = field(default_factory=dict)
    deadlines: dict[str, float] = field(default_factory=dict)
    _made: dict[str, Seen] = field(default_factory=dict)
    _ending: dict[str, float] = field(default_factory=dict)
    _closed: bool = False

    def quotes(self, pool: CloudPool) -> tuple[Quote, ...]:
        """See Provider."""
        self._answer()
        now = self.clock.now()
        dear = self.prices.get(Purchase.ON_DEMAND, 0)
        return tuple(
            Quote(pool.instance_type, purchase, zone, self.prices[purchase], dear, now)
            for zone in (pool.zones or self.zones)
            for purchase in pool.purchases
            if purchase in self.prices
        )

    def launch(self, orders: Sequence[Order]) -> dict[str, Launched]:
        """See Provider."""
        self._answer()
        answers = {order.token: self._launch_one(order) for order in orders}
        self._lose_answer("launch")
        return answers

    def seen(self) -> tuple[Seen, ...]:
        """See Provider."""
        self._answer()
        now = self.clock.now()
        found = [self._as_of(instance_id, now) for instance_id in self._made]
        return tuple(s for s in found if s.ended_at is None or now - s.ended_at < self.forgets_s)

    def terminate(self, instance_ids: Sequence[str]) -> dict[str, ProviderError]:
        """See Provider."""
        self._answer()
        now = self.clock.now()
        for instance_id in instance_ids:
            if instance_id in self._made and self._as_of(instance_id, now).state in _ALIVE:
                known = self._ending.get(instance_id, float("inf"))
                self._ending[instance_id] = min(known, now + self.ending_s)
        self._lose_answer("terminate")
        return {}

    def extend(self, instance_id: str, deadline_at: float) -> None:
        """See Provider."""
        self._answer()
        if instance_id not in self._made:
            raise ProviderError(f"no instance {instance_id}", trouble=Trouble.CONFIGURATION, code="NotFound")
        self.deadlines[instance_id] = deadline_at

    def close(self) -> None:
        """See Provider."""
        self._closed = True

    def give_notice(self, instance_id: str, at: float) -> None:
        """Announce that an instance is taken away at `at`, Unix seconds; then it is."""
        self._made[instance_id] = replace(self._made[instance_id], notice_at=at)
        self._ending[instance_id] = min(self._ending.get(instance_id, at), at)

    def vanish(self, instance_id: str) -> None:
        """End an instance at once, without a word."""
        self._ending[instance_id] = self.clock.now()

    def alive(self) -> tuple[Seen, ...]:
        """What costs money now, whoever asks; not a call of the protocol."""
        now = self.clock.now()
        return tuple(s for i in self._made if (s := self._as_of(i, now)).state in _ALIVE)

    def spent_micro(self, least_s: float = 0.0) -> int:
        """What all instances cost until now."""
        now = self.clock.now()
        return sum(
            cost_micro(
                s.price_micro, (now if s.ended_at is None else s.ended_at) - s.launched_at, least_s=least_s
            )
            for s in (self._as_of(i, now) for i in self._made)
        )

    def _launch_one(self, order: Order) -> Launched:
        now = self.clock.now()
        for instance_id, made in self._made.items():
            if made.token == order.token:
                return self._as_of(instance_id, now)
        zone = order.zone or self.zones[0]
        trouble = self.troubles.get(zone, self.troubles.get("*"))
        if trouble is not None:
            return ProviderError(f"no instance in {zone}", trouble=trouble, code=trouble.value)
        price = self.prices.get(order.purchase)
        if price is None or price > order.max_price_micro:
            return ProviderError(f"no price in {zone} within the cap", trouble=Trouble.PRICE, code="price")
        instance_id = f"i-{len(self._made) + 1:04d}"
        self._made[instance_id] = Seen(
            instance_id,
            SeenState.PENDING,
            order.node,
            order.generation,
            order.token,
            zone,
            order.purchase,
            price,
            now,
        )
        self.deadlines[instance_id] = order.deadline_at
        self.launches[order.token] = self.launches.get(order.token, 0) + 1
        return self._made[instance_id]

    def _as_of(self, instance_id: str, now: float) -> Seen:
        made = self._made[instance_id]
        told_at = self._ending.get(instance_id)
        ends_at = min(self.deadlines[instance_id], told_at if told_at is not None else float("inf"))
        if now >= ends_at:
            return replace(made, state=SeenState.ENDED, ended_at=ends_at)
        if told_at is not None and (made.notice_at is None or told_at < made.notice_at):
            return replace(made, state=SeenState.ENDING)
        if self.never_boots or now < made.launched_at + self.boot_s:
            return made
        return replace(made, state=SeenState.RUNNING)

    def _lose_answer(self, call: str) -> None:
        if call in self.lost_answers:
            self.lost_answers.remove(call)
            raise ProviderError(f"{call}: the answer was lost", trouble=Trouble.UNAVAILABLE, code="timeout")

    def _answer(self) -> None:
        if self._closed:
            raise ProviderError("the provider was closed", trouble=Trouble.CONFIGURATION, code="closed")
        if self.is_down:
            raise ProviderError("the provider does not answer", trouble=Trouble.UNAVAILABLE, code="down")

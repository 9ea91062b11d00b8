"""The launch loop: intents of the book become instances, or a reason why not.

Used by ResumeProgram and by the reconciler. Before each call the book says which offering is about to be
tried; an intent whose call had no answer is tried again as it was, with its token, and never counted as
missing: it may exist. Safe to run twice and at once, since the token makes a launch one.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hetslurm.backoff import Chance, backoff_s
from hetslurm.burst.launch_book import LaunchBook
from hetslurm.burst.launch_prices import Prices
from hetslurm.burst.launch_tags import tags_of
from hetslurm.burst.launch_work import Lane, NotStarted, Outcome, Started, Work, choose
from hetslurm.clock import Clock
from hetslurm.cloudburst.cooldown import PAUSES, Cooldown, Reaction, Step, paused_until, react
from hetslurm.cloudburst.ledger.values import Instance, Reservation
from hetslurm.cloudburst.offerings import Offering
from hetslurm.cloudburst.pace import Bucket, Pace
from hetslurm.cloudburst.policy import EACH, CloudPool, Policy, Purchase
from hetslurm.cloudburst.provider.protocol import (
    Launched,
    Order,
    Provider,
    ProviderError,
    Seen,
    SeenState,
    Trouble,
)
from hetslurm.daemon.log import Log
from hetslurm.errors import LedgerError

Pause = Callable[[float], object]
Ordered = Mapping[str, tuple[Work, Offering]]
FIRST_BACKOFF_S = 2.0
LOUD = frozenset({Trouble.CONFIGURATION, Trouble.QUOTA})


class Launch:
    """Launches intents with the policy's providers. `pause` sleeps; what it raises ends the run safely."""

    def __init__(
        self,
        book: LaunchBook,
        policy: Policy,
        providers: Mapping[str, Provider],
        clock: Clock,
        log: Log,
        *,
        pause: Pause = time.sleep,
        chance: Chance = random.random,
        buckets: Mapping[str, Bucket] | None = None,
    ) -> None:
        self._book = book
        self._policy = policy
        self._providers = providers
        self._clock = clock
        self._log = log
        self._pause = pause
        self._chance = chance
        self._buckets = buckets or {}
        self._outcomes: dict[str, Outcome] = {}
        # No offering is tried again in a run that heard no, however short its rest is.
        self._refused: list[Cooldown] = []

    def run(self, intents: Sequence[Instance], *, patience_s: float) -> dict[str, Outcome]:
        """By node: what became of it. For `patience_s` it waits where a provider wants to be asked slower,
        or does not answer; 0: it never waits. Whoever must still wait then keeps the intent.
        """
        self._outcomes, self._refused = {}, []
        lanes = self._lanes(intents)
        until = self._clock.now() + patience_s
        while waiting := [lane for lane in lanes if lane.queue]:
            lane = min(waiting, key=lambda lane: lane.ready_at)
            now = self._clock.now()
            if lane.ready_at <= now:
                self._ask(lane, now)
            elif lane.ready_at > until:
                for work in tuple(lane.queue):
                    why = work.why or f"{lane.name} is to be asked again in {lane.ready_at - now:.0f} s"
                    self._done(lane, work, NotStarted(work.trouble or lane.waits_for, why, final=False))
            else:
                self._pause(lane.ready_at - now)
        return self._outcomes

    def _lanes(self, intents: Sequence[Instance]) -> tuple[Lane, ...]:
        lanes: dict[str, Lane] = {}
        for instance in intents:
            name = instance.provider
            pool = self._policy.pool_of(instance.partition)
            provider = self._providers.get(name)
            if pool is None or provider is None or pool.provider != name:
                why = f"burst.toml has no pool {instance.partition} at {name} any more"
                final = instance.purchase is None
                if final:
                    self._book.failed(instance.node, instance.generation, why)
                self._outcomes[instance.node] = NotStarted(Trouble.CONFIGURATION, why, final)
                continue
            if name not in lanes:
                pace = Pace(self._buckets.get(name, Bucket()))
                lanes[name] = Lane(name, provider, pace, Prices(provider, self._clock))
            lanes[name].queue.append(Work.of(instance, pool))
        return tuple(lanes.values())

    def _ask(self, lane: Lane, now: float) -> None:
        """One call, if its time has come."""
        cooled = (*self._book.cooled(), *self._refused)
        lane.ready_at = max(paused_until(cooled, work.pool.partition) for work in lane.queue)
        if lane.ready_at > now:
            return
        # Others launch, too: what they learned meanwhile counts.
        lane.pace.remember(self._book.read_note(_note(lane.name)) or "")
        count = lane.pace.batch(len(lane.queue), now)
        if count == 0:
            # A little more than that, so that rounding never makes it too early.
            lane.ready_at = now + lane.pace.ready_s(len(lane.queue), now) + 0.01
            lane.waits_for = Trouble.THROTTLE
            return
        batch: dict[str, tuple[Work, Offering]] = {}
        for work in tuple(lane.queue):
            if len(batch) == count:
                break
            try:
                chosen = choose(work, lane.prices.of(work.pool), cooled, now)
            except ProviderError as error:
                # Its prices cannot be had: nothing is ordered.
                work.heard(error)
                if error.trouble in PAUSES:
                    self._back_off(lane, error, now)
                    return
                if error.trouble is Trouble.CONFIGURATION:
                    self._cool_all(self._reaction(error, work.pool, EACH, work.pool.purchases[0], now))
                chosen = work.not_started(error.trouble, str(error))
            if isinstance(chosen, NotStarted):
                self._done(lane, work, chosen)
            else:
                batch[work.instance.token] = (work, chosen)
        if batch:
            self._judge(lane, batch, self._launch(lane, batch))

    def _launch(self, lane: Lane, batch: Ordered) -> Mapping[str, Launched]:
        orders = []
        reservations: dict[int, Reservation] = {}
        for token, (work, offering) in batch.items():
            instance = work.instance
            if instance.res_id not in reservations:
                reservations[instance.res_id] = self._book.reservation(instance.res_id)
            work.tried = offering
            orders.append(
                Order(
                    node=instance.node,
                    generation=instance.generation,
                    token=token,
                    pool=work.pool,
                    purchase=offering.purchase,
                    zone=offering.zone,
                    max_price_micro=work.cap_micro,
                    deadline_at=instance.deadline_at,
                    tags=tags_of(instance, reservations[instance.res_id]),
                )
            )
            self._book.ordered(
                instance.node,
                instance.generation,
                instance_type=work.pool.instance_type,
                purchase=offering.purchase,
                zone=offering.zone,
                price_micro=offering.price_micro,
            )
        try:
            return lane.provider.launch(orders)
        except ProviderError as error:
            return dict.fromkeys(batch, error)

    def _judge(self, lane: Lane, batch: Ordered, answers: Mapping[str, Launched]) -> None:
        now = self._clock.now()
        silent = ProviderError("the provider's answer leaves it out", trouble=Trouble.UNAVAILABLE)
        pause: ProviderError | None = None
        throttled = launched = 0
        for token, (work, offering) in batch.items():
            answer = answers.get(token, silent)
            if isinstance(answer, Seen):
                launched += 1
                self._done(lane, work, self._record(lane, work, offering, answer))
                continue
            work.heard(answer)
            if answer.trouble in PAUSES:
                pause = answer
                throttled += answer.trouble is Trouble.THROTTLE
                work.unsure |= answer.trouble is Trouble.UNAVAILABLE
                continue
            work.unsure = False
            reaction = self._reaction(answer, work.pool, offering.zone, offering.purchase, now)
            self._cool_all(reaction)
            if reaction.step is Step.GIVE_UP:
                self._done(lane, work, work.not_started(answer.trouble, str(answer)))
        lane.pace.learn(launched, throttled, now)
        self._book.note(_note(lane.name), lane.pace.text())
        if pause is None or launched:
            lane.failures = 0
        else:
            self._back_off(lane, pause, now)

    def _record(self, lane: Lane, work: Work, offering: Offering, seen: Seen) -> Outcome:
        """It exists: the book has it, and ends it when it must not be."""
        node, generation = work.instance.node, work.instance.generation
        work.unsure, work.recorded = False, True
        try:
            self._book.launched(
                node,
                generation,
                instance_id=seen.instance_id,
                zone=seen.zone,
                purchase=seen.purchase,
                instance_type=work.pool.instance_type,
                price_micro=seen.price_micro,
                on_demand_micro=offering.on_demand_micro,
                launched_at=seen.launched_at,
            )
        except LedgerError as error:
            # Another instance is known by this token, or nothing can be written: this one may not live.
            self._log.error("burst ledger", node=node, instance=seen.instance_id, why=str(error))
            self._terminate(lane, node, seen)
            return NotStarted(Trouble.UNAVAILABLE, str(error), final=False)
        if seen.state is SeenState.ENDED:
            why = f"instance {seen.instance_id} of this launch has ended already"
            if seen.ended_at is not None:
                self._book.ended(node, generation, seen.ended_at, why, price_micro=seen.price_micro)
            return work.not_started(Trouble.UNAVAILABLE, why)
        if seen.price_micro <= work.cap_micro:
            return Started(seen)
        why = f"instance {seen.instance_id} costs more than is allowed and was told to end"
        self._log.error("burst price", node=node, price_micro=seen.price_micro, cap_micro=work.cap_micro)
        self._book.terminating(node, generation, why)
        self._terminate(lane, node, seen)
        return work.not_started(Trouble.PRICE, why)

    def _terminate(self, lane: Lane, node: str, seen: Seen) -> None:
        """Once; the reconciler sees to it that it ends."""
        try:
            lane.provider.terminate([seen.instance_id])
        except ProviderError as error:
            self._log.error("burst terminate", node=node, why=str(error))

    def _done(self, lane: Lane, work: Work, outcome: Outcome) -> None:
        lane.queue.remove(work)
        node = work.instance.node
        if isinstance(outcome, NotStarted) and outcome.final and not work.recorded:
            try:
                self._book.failed(node, work.instance.generation, f"{outcome.trouble}: {outcome.why}")
            except LedgerError as error:
                # Another process launched it meanwhile, or nothing can be written.
                outcome = NotStarted(Trouble.UNAVAILABLE, str(error), final=False)
        self._outcomes[node] = outcome

    def _reaction(
        self, error: ProviderError, pool: CloudPool, zone: str, purchase: Purchase, now: float
    ) -> Reaction:
        return react(
            error,
            pool=pool,
            zone=zone,
            purchase=purchase,
            pools=self._policy.pools,
            retry=self._policy.retry,
            now=now,
        )

    def _cool_all(self, reaction: Reaction) -> None:
        """Let offerings rest; those of a whole batch that say the same are told once."""
        for one in reaction.cool:
            place = (one.partition, one.zone, one.purchase)
            if any(place == (old.partition, old.zone, old.purchase) for old in self._refused):
                continue
            self._refused.append(replace(one, until=math.inf))
            self._book.cool(*place, one.trouble, one.until, one.why)
            (self._log.error if one.trouble in LOUD else self._log.warning)(
                "burst cool-down",
                partition=one.partition,
                zone=one.zone,
                purchase=one.purchase,
                trouble=one.trouble,
                seconds=round(one.until - self._clock.now()),
                why=one.why,
            )

    def _back_off(self, lane: Lane, error: ProviderError, now: float) -> None:
        """The same again later; other processes see it and wait with us."""
        lane.failures += 1
        longest_s = self._policy.retry.cooldown_s.get(error.trouble, FIRST_BACKOFF_S)
        wait_s = backoff_s(lane.failures, first_s=FIRST_BACKOFF_S, longest_s=longest_s, chance=self._chance)
        lane.ready_at = now + wait_s
        lane.waits_for = error.trouble
        for pool in self._policy.pools:
            if pool.provider == lane.name:
                self._book.cool(pool.partition, EACH, EACH, error.trouble, lane.ready_at, str(error))
        self._log.warning(
            "burst waits", provider=lane.name, seconds=round(wait_s, 1), trouble=error.trouble, why=str(error)
        )


def _note(provider: str) -> str:
    return f"pace {provider}"

"""Every kind of no has its own reaction, and money fails closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.values import InstanceState
from hetslurm.cloudburst.pace import Pace
from hetslurm.cloudburst.policy import CloudPool, Purchase, Retry
from hetslurm.cloudburst.provider.fake import FakeProvider
from hetslurm.cloudburst.provider.protocol import (
    Launched,
    Order,
    ProviderError,
    Quote,
    Seen,
    SeenState,
    Trouble,
)

from .rig import NOW, POOL, Rig, not_started, started

Says = Callable[[Order], Trouble | None]


class Sky(FakeProvider):
    """A cloud in memory that says no where it is told to, and keeps every order it got."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock, zones=("a", "b"))
        self.orders: list[list[Order]] = []
        self.says: Says = lambda order: None
        self.quotes_age_s = 0.0
        self.quotes_say: Trouble | None = None

    def quotes(self, pool: CloudPool) -> tuple[Quote, ...]:
        """As old as a test wants them."""
        if self.quotes_say is not None:
            raise ProviderError("no prices today", trouble=self.quotes_say)
        return tuple(
            replace(quote, seen_at=quote.seen_at - self.quotes_age_s) for quote in super().quotes(pool)
        )

    def launch(self, orders: Sequence[Order]) -> dict[str, Launched]:
        """Whole, but for those that it refuses."""
        self.orders.append(list(orders))
        found: dict[str, Launched] = {}
        for order in orders:
            trouble = self.says(order)
            if trouble is None:
                found.update(super().launch([order]))
            else:
                found[order.token] = ProviderError(f"no: {trouble}", trouble=trouble)
        return found

    def tried(self) -> list[tuple[str, str]]:
        """(purchase, zone) of each order."""
        return [(order.purchase.value, order.zone) for orders in self.orders for order in orders]


@pytest.fixture
def clock() -> FixedClock:
    """It moves only while the loop waits."""
    return FixedClock(NOW)


@pytest.fixture
def sky(clock: FixedClock) -> Sky:
    """The provider."""
    return Sky(clock)


@pytest.fixture
def rig(folder: Path, sky: Sky, clock: FixedClock) -> Rig:
    """The loop with a real book."""
    return Rig(folder, {"sky": sky}, clock)


def rests(rig: Rig) -> set[tuple[str, str, str, str]]:
    """What rests now."""
    return {(one.partition, one.zone, one.purchase, one.trouble) for one in rig.book.cooled()}


def test_an_intent_becomes_an_instance_and_the_book_has_it(rig: Rig, sky: Sky) -> None:
    seen = started(rig.one()).seen
    row = rig.row()
    assert (row.state, row.instance_id, row.zone) == (InstanceState.LAUNCHED, seen.instance_id, "a")
    assert (row.purchase, row.price_micro, row.on_demand_micro) == (Purchase.SPOT, 300_000, 1_000_000)
    order = sky.orders[0][0]
    assert order.deadline_at == row.deadline_at
    assert order.max_price_micro == POOL.max_price_micro
    assert order.tags == {
        "node": "cloud1",
        "generation": "1",
        "token": "c-cloud1-1",
        "cluster": "c",
        "job": "1",
        "account": "physics",
        "user": "ada",
        "workload": "align",
    }


def test_the_book_says_what_is_about_to_be_tried_before_the_provider_hears_of_it(rig: Rig, sky: Sky) -> None:
    there = []

    def look(order: Order) -> Trouble | None:
        row = rig.row(order.node)
        there.append((row.state, row.purchase, row.zone, row.price_micro))

    sky.says = look
    started(rig.one())
    assert there == [(InstanceState.INTENT, Purchase.SPOT, "a", 300_000)]


def test_no_capacity_rests_one_zone_and_purchase_option_and_the_next_is_tried(rig: Rig, sky: Sky) -> None:
    sky.says = lambda order: Trouble.CAPACITY if order.zone == "a" else None
    assert started(rig.one()).seen.zone == "b"
    assert sky.tried() == [("spot", "a"), ("spot", "b")]
    assert rests(rig) == {("cloud", "a", "spot", "capacity")}
    assert rig.paused == []


def test_no_capacity_anywhere_is_final_and_nothing_is_owed(rig: Rig, sky: Sky) -> None:
    sky.says = lambda order: Trouble.CAPACITY
    outcome = not_started(rig.one())
    assert (outcome.trouble, outcome.final) == (Trouble.CAPACITY, True)
    assert sky.tried() == [("spot", "a"), ("spot", "b"), ("on-demand", "a"), ("on-demand", "b")]
    assert rig.row().state is InstanceState.FAILED
    assert rig.row().why.startswith("capacity: spot in a: rests: no: capacity")


def test_a_quota_rests_the_purchase_option_in_every_pool_of_the_provider(
    folder: Path, sky: Sky, clock: FixedClock
) -> None:
    other = replace(POOL, partition="big", instance_type="c7.big")
    strange = replace(POOL, partition="strange", provider="elsewhere")
    rig = Rig(folder, {"sky": sky}, clock, pools=(POOL, other, strange))
    sky.says = lambda order: Trouble.QUOTA if order.purchase is Purchase.SPOT else None
    assert started(rig.one()).seen.purchase is Purchase.ON_DEMAND
    assert sky.tried() == [("spot", "a"), ("on-demand", "a")]
    assert rests(rig) == {("cloud", "*", "spot", "quota"), ("big", "*", "spot", "quota")}
    assert " error " in rig.log.getvalue()


def test_a_throttled_call_is_repeated_as_it_was_and_never_counted_as_missing(rig: Rig, sky: Sky) -> None:
    answers = iter([Trouble.THROTTLE, Trouble.THROTTLE, None])
    sky.says = lambda order: next(answers)
    assert started(rig.one()).seen.zone == "a"
    assert sky.tried() == [("spot", "a")] * 3
    assert rig.paused
    assert sum(rig.paused) >= 4
    assert all(one[3] == "throttle" for one in rests(rig))


def test_a_throttled_launch_whose_time_is_over_stays_an_intent_for_the_next_run(rig: Rig, sky: Sky) -> None:
    sky.says = lambda order: Trouble.THROTTLE
    outcome = not_started(rig.one(patience_s=60))
    assert (outcome.trouble, outcome.final) == (Trouble.THROTTLE, False)
    assert rig.row().state is InstanceState.INTENT
    assert len(sky.orders) <= 8
    sky.says = lambda order: None
    started(rig.launch([rig.row()], patience_s=60)["cloud1"])


def test_another_process_waits_where_one_was_throttled(rig: Rig, sky: Sky) -> None:
    sky.says = lambda order: Trouble.THROTTLE
    not_started(rig.one(patience_s=0))
    asked = len(sky.orders)
    assert not_started(rig.launch([rig.row()], patience_s=0)["cloud1"]).final is False
    assert len(sky.orders) == asked


def test_what_another_process_learned_meanwhile_counts(rig: Rig, sky: Sky) -> None:
    learned = Pace()
    learned.learn(0, 101, NOW)
    answers = iter([Trouble.THROTTLE] * 300)
    sky.says = lambda order: next(answers, None)
    rig.on_pause = lambda: rig.book.note("pace sky", learned.text())
    rig.launch(rig.intend([f"cloud{i}" for i in range(300)]), patience_s=10_000)
    # The other one was refused 101: so there are 0 to 100, and what came back since.
    assert len(sky.orders[0]) == 300
    assert 50 <= len(sky.orders[1]) <= 60


def test_a_wrong_configuration_rests_the_whole_pool_loudly(rig: Rig, sky: Sky) -> None:
    sky.says = lambda order: Trouble.CONFIGURATION
    outcomes = rig.launch(rig.intend(["cloud1", "cloud2"]))
    assert {not_started(outcome).trouble for outcome in outcomes.values()} == {Trouble.CONFIGURATION}
    assert len(sky.orders) == 1
    assert rests(rig) == {("cloud", "*", "*", "configuration")}
    assert " error " in rig.log.getvalue()
    later = not_started(rig.launch(rig.intend(["cloud3"]))["cloud3"])
    assert (later.trouble, later.final, len(sky.orders)) == (Trouble.CONFIGURATION, True, 1)


def test_a_price_that_rose_meanwhile_rests_that_offering_and_the_next_is_tried(rig: Rig, sky: Sky) -> None:
    sky.says = lambda order: Trouble.PRICE if order.zone == "a" else None
    assert started(rig.one()).seen.zone == "b"
    assert rests(rig) == {("cloud", "a", "spot", "price")}


def test_a_price_above_the_cap_is_never_ordered(rig: Rig, sky: Sky) -> None:
    sky.prices = {Purchase.SPOT: 2_000_000, Purchase.ON_DEMAND: 3_000_000}
    outcome = not_started(rig.one())
    assert (outcome.trouble, outcome.final) == (Trouble.PRICE, True)
    assert "2.0000 an hour is above the 1.0000 allowed" in outcome.why
    assert sky.orders == []


def test_a_reservation_made_with_a_lower_cap_is_held_to_it(rig: Rig, sky: Sky) -> None:
    intents = rig.intend(["cloud1"], pool=replace(POOL, max_price_micro=200_000))
    assert not_started(rig.launch(intents)["cloud1"]).trouble == Trouble.PRICE
    assert sky.orders == []


@pytest.mark.parametrize("how", ["none", "old"])
def test_without_a_price_nothing_is_launched(rig: Rig, sky: Sky, how: str) -> None:
    if how == "none":
        sky.prices = {}
    else:
        sky.quotes_age_s = 301
    outcome = not_started(rig.one())
    assert (outcome.trouble, outcome.final) == (Trouble.PRICE, True)
    assert "no price to be had" in outcome.why
    assert sky.orders == []


def test_prices_that_cannot_be_asked_for_are_asked_for_again(rig: Rig, sky: Sky) -> None:
    sky.quotes_say = Trouble.UNAVAILABLE
    outcome = not_started(rig.one(patience_s=30))
    assert (outcome.trouble, outcome.final) == (Trouble.UNAVAILABLE, False)
    assert sky.orders == []
    sky.quotes_say = None
    started(rig.launch([rig.row()])["cloud1"])


def test_a_launch_without_an_answer_is_asked_for_again_and_is_one_instance(rig: Rig, sky: Sky) -> None:
    sky.lost_answers = ["launch"]
    started(rig.one())
    assert sky.launches == {"c-cloud1-1": 1}
    assert rig.row().state is InstanceState.LAUNCHED


def test_a_provider_that_is_down_leaves_the_intent_since_it_may_exist(rig: Rig, sky: Sky) -> None:
    sky.says = lambda order: Trouble.UNAVAILABLE
    outcome = not_started(rig.one(patience_s=30))
    assert (outcome.trouble, outcome.final) == (Trouble.UNAVAILABLE, False)
    assert rig.row().state is InstanceState.INTENT


def test_what_may_exist_is_asked_for_as_it_was_though_that_offering_rests(rig: Rig, sky: Sky) -> None:
    sky.lost_answers = ["launch"]
    not_started(rig.one(patience_s=0))
    rig.clock.advance(120)
    rig.book.cool("cloud", "a", "spot", "capacity", rig.clock.now() + 300, "none left")
    seen = started(rig.launch([rig.row()])["cloud1"]).seen
    assert (seen.zone, sky.launches) == ("a", {"c-cloud1-1": 1})


def test_what_may_exist_and_became_too_dear_is_left_to_the_reconciler(rig: Rig, sky: Sky) -> None:
    sky.lost_answers = ["launch"]
    not_started(rig.one(patience_s=0))
    rig.clock.advance(120)
    sky.prices = {Purchase.SPOT: 2_000_000}
    outcome = not_started(rig.launch([rig.row()])["cloud1"])
    assert (outcome.trouble, outcome.final) == (Trouble.PRICE, False)
    assert rig.row().state is InstanceState.INTENT


def test_the_loop_twice_at_the_same_intents_is_one_instance(rig: Rig, sky: Sky) -> None:
    intents = rig.intend(["cloud1"])
    first = started(rig.launch(intents)["cloud1"])
    again = started(rig.launch(intents)["cloud1"])
    assert first.seen.instance_id == again.seen.instance_id
    assert sky.launches == {"c-cloud1-1": 1}


def test_an_instance_that_costs_more_than_allowed_after_all_is_ended_at_once(rig: Rig, sky: Sky) -> None:
    def dear(order: Order) -> Trouble | None:
        sky.prices = {Purchase.SPOT: 1_000_000 + 1}
        return None

    sky.says = dear
    launch = sky._launch_one
    sky._launch_one = lambda order: launch(replace(order, max_price_micro=10**9))  # type: ignore[method-assign]
    outcome = not_started(rig.one())
    assert (outcome.trouble, outcome.final) == (Trouble.PRICE, True)
    assert rig.row().state is InstanceState.TERMINATING
    assert [seen.state for seen in sky.seen()] == [SeenState.ENDING]


def test_an_instance_that_has_ended_already_is_paid_and_not_started(rig: Rig, sky: Sky) -> None:
    intents = rig.intend(["cloud1"])
    sky.lost_answers = ["launch"]
    not_started(rig.launch(intents, patience_s=0)["cloud1"])
    sky.vanish("i-0001")
    rig.clock.advance(120)
    assert not_started(rig.launch([rig.row()])["cloud1"]).final
    assert rig.row().state is InstanceState.ENDED
    assert rig.row().cost_micro > 0


def test_nothing_is_launched_when_its_money_would_end_before_it_has_booted(rig: Rig, sky: Sky) -> None:
    intents = rig.intend(["cloud1"])
    rig.clock.advance(intents[0].deadline_at - NOW - POOL.boot_s)
    outcome = not_started(rig.launch(intents)["cloud1"])
    assert outcome.final
    assert "money would end" in outcome.why
    assert sky.orders == []


def test_a_pool_that_left_the_policy_is_final(rig: Rig) -> None:
    intents = [replace(one, partition="gone") for one in rig.intend(["cloud1"])]
    outcome = not_started(rig.launch(intents)["cloud1"])
    assert (outcome.trouble, outcome.final) == (Trouble.CONFIGURATION, True)
    assert rig.row().state is InstanceState.FAILED


def test_an_instance_too_many_under_one_token_is_ended(rig: Rig, sky: Sky) -> None:
    intents = rig.intend(["cloud1"])
    started(rig.launch(intents)["cloud1"])
    sky._made["i-0001"] = replace(sky._made["i-0001"], token="forgotten by the cloud")
    assert not not_started(rig.launch(intents)["cloud1"]).final
    assert rig.row().instance_id == "i-0001"
    assert sky.seen()[-1].state is SeenState.ENDING


def test_a_launch_that_another_process_made_is_not_called_failed(rig: Rig, sky: Sky) -> None:
    intents = rig.intend(["cloud1"])
    started(rig.launch(intents)["cloud1"])
    sky.says = lambda order: Trouble.CONFIGURATION
    assert not not_started(rig.launch(intents)["cloud1"]).final
    assert rig.row().state is InstanceState.LAUNCHED


def test_prices_that_a_wrong_configuration_hides_rest_the_pool(rig: Rig, sky: Sky) -> None:
    sky.quotes_say = Trouble.CONFIGURATION
    outcome = not_started(rig.one())
    assert (outcome.trouble, outcome.final) == (Trouble.CONFIGURATION, True)
    assert rests(rig) == {("cloud", "*", "*", "configuration")}


def test_a_call_asks_for_five_hundred_at_most(rig: Rig, sky: Sky) -> None:
    rig.launch(rig.intend([f"cloud{i}" for i in range(501)]))
    assert [len(orders) for orders in sky.orders] == [500, 1]


def test_an_offering_that_says_no_in_a_batch_rests_once_and_all_go_to_the_next(rig: Rig, sky: Sky) -> None:
    sky.says = lambda order: Trouble.CAPACITY if order.zone == "a" else None
    outcomes = rig.launch(rig.intend([f"cloud{i}" for i in range(40)]))
    assert {started(outcome).seen.zone for outcome in outcomes.values()} == {"b"}
    assert [len(orders) for orders in sky.orders] == [40, 40]
    assert rig.log.getvalue().count("cool-down") == 1


def test_a_cool_down_of_no_time_at_all_does_not_make_it_ask_for_ever(
    folder: Path, sky: Sky, clock: FixedClock
) -> None:
    rig = Rig(folder, {"sky": sky}, clock, retry=Retry(cooldown_s={"capacity": 0.0}))
    sky.says = lambda order: Trouble.CAPACITY
    assert not_started(rig.one()).trouble == Trouble.CAPACITY
    assert len(sky.orders) == 4


def test_two_providers_do_not_wait_for_each_other(folder: Path, sky: Sky, clock: FixedClock) -> None:
    slow = Sky(clock)
    slow.says = lambda order: Trouble.THROTTLE
    away = replace(POOL, partition="away", provider="slow")
    rig = Rig(folder, {"sky": sky, "slow": slow}, clock, pools=(POOL, away))
    intents = rig.intend(["away1"], pool=away) + rig.intend(["cloud1"])
    outcomes = rig.launch(intents, patience_s=100)
    assert not not_started(outcomes["away1"]).final
    assert isinstance(started(outcomes["cloud1"]).seen, Seen)
    assert rig.row("cloud1").launched_at == NOW

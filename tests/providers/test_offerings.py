"""Offerings: never dearer than the cap, never one that rests, in the order that the admin wrote."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hetslurm.cloudburst.cooldown import Cooldown, interrupted, paused_until, react
from hetslurm.cloudburst.offerings import QUOTE_MAX_AGE_S, offerings
from hetslurm.cloudburst.policy import EACH, CloudPool, Purchase, Retry
from hetslurm.cloudburst.provider.protocol import ProviderError, Quote, Trouble

NOW = 1_800_000_000.0
ZONES = ("a", "b", "c")
TROUBLES = [*(trouble.value for trouble in Trouble), "interrupted"]

purchases = st.permutations(list(Purchase)).flatmap(
    lambda order: st.integers(1, 3).map(lambda count: tuple(order[:count]))
)
pools = st.builds(
    CloudPool,
    partition=st.just("cloud"),
    provider=st.just("sky"),
    instance_type=st.just("c7"),
    purchases=purchases,
    max_price_micro=st.integers(1, 1000),
    zones=st.permutations(ZONES).flatmap(lambda zones: st.integers(0, 3).map(lambda n: tuple(zones[:n]))),
)
quotes = st.lists(
    st.builds(
        Quote,
        instance_type=st.sampled_from(["c7", "g5"]),
        purchase=st.sampled_from(Purchase),
        zone=st.sampled_from(ZONES),
        price_micro=st.integers(-1, 1200),
        on_demand_micro=st.just(1000),
        seen_at=st.floats(NOW - 2 * QUOTE_MAX_AGE_S, NOW + 2 * QUOTE_MAX_AGE_S),
    ),
    max_size=12,
)
cooldowns = st.lists(
    st.builds(
        Cooldown,
        partition=st.sampled_from(["cloud", "other"]),
        zone=st.sampled_from([*ZONES, EACH]),
        purchase=st.sampled_from([*(purchase.value for purchase in Purchase), EACH]),
        trouble=st.sampled_from(TROUBLES),
        until=st.floats(NOW - 100, NOW + 100),
        why=st.just("so"),
    ),
    max_size=4,
)


@given(pools, quotes, cooldowns, st.integers(0, 1000))
def test_every_offering_is_allowed_and_they_come_as_the_admin_wrote(
    pool: CloudPool, quotes: list[Quote], cooled: list[Cooldown], cap: int
) -> None:
    choice = offerings(pool, quotes, cooled, cap_micro=cap, now=NOW)
    for one in choice.offerings:
        assert 0 <= one.price_micro <= min(cap, pool.max_price_micro)
        assert not any(
            rest.covers("cloud", one.zone, one.purchase, NOW) and not rest.is_pause for rest in cooled
        )
        assert any(
            (quote.instance_type, quote.purchase, quote.zone, quote.price_micro)
            == (pool.instance_type, one.purchase, one.zone, one.price_micro)
            and abs(NOW - quote.seen_at) <= QUOTE_MAX_AGE_S
            for quote in quotes
        )
        assert not pool.zones or one.zone in pool.zones
    ranks = [(pool.purchases.index(one.purchase), one.price_micro) for one in choice.offerings]
    assert ranks == sorted(ranks)
    places = [(one.purchase, one.zone) for one in (*choice.offerings, *choice.refusals)]
    assert len(places) == len(set(places))
    assert {purchase for purchase, _ in places} == set(pool.purchases)


@given(pools, quotes, cooldowns)
def test_what_is_refused_says_why(pool: CloudPool, quotes: list[Quote], cooled: list[Cooldown]) -> None:
    choice = offerings(pool, quotes, cooled, cap_micro=500, now=NOW)
    assert all(refusal.why and refusal.trouble in TROUBLES for refusal in choice.refusals)
    assert choice.offerings or choice.why_none


POOL = CloudPool("cloud", "sky", "c7", (Purchase.SPOT, Purchase.ON_DEMAND), 1000, zones=("a", "b"))


def test_equal_prices_take_the_zones_as_the_admin_wrote_them() -> None:
    told = [Quote("c7", Purchase.SPOT, zone, 5, 9, NOW) for zone in ZONES]
    for zones in (("a", "b"), ("b", "a")):
        choice = offerings(replace(POOL, zones=zones), told, (), cap_micro=1000, now=NOW)
        assert tuple(one.zone for one in choice.offerings) == zones


def test_a_pause_keeps_no_offering_back_but_says_when_to_ask_again() -> None:
    told = [Quote("c7", Purchase.SPOT, "a", 5, 9, NOW)]
    pause = Cooldown("cloud", EACH, EACH, Trouble.THROTTLE, NOW + 9, "slower")
    assert offerings(POOL, told, [pause], cap_micro=1000, now=NOW).offerings
    assert paused_until([pause], "cloud") == NOW + 9
    assert paused_until([pause], "other") == 0


def test_an_interrupted_offering_rests_as_long_as_the_admin_says() -> None:
    rest = interrupted("cloud", "a", Purchase.SPOT, Retry(cooldown_s={"interrupted": 70.0}), NOW, "notice")
    assert rest.covers("cloud", "a", Purchase.SPOT, NOW + 69)
    assert not rest.covers("cloud", "a", Purchase.SPOT, NOW + 70)
    assert not rest.covers("cloud", "b", Purchase.SPOT, NOW)


def test_every_trouble_has_a_reaction() -> None:
    for trouble in Trouble:
        error = ProviderError("no", trouble=trouble)
        react(error, pool=POOL, zone="a", purchase=Purchase.SPOT, pools=(POOL,), retry=Retry(), now=NOW)

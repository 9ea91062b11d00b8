"""What clouds do to their customers can be told to the local one while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from hetslurm.clock import SystemClock
from hetslurm.cloudburst.policy import ProviderSite, Purchase
from hetslurm.cloudburst.policy_file import parse_policy
from hetslurm.cloudburst.provider.local import open_provider
from hetslurm.cloudburst.provider.local.faults import Faults, LaunchFault, change_faults, read_faults
from hetslurm.cloudburst.provider.local.settings import LocalSettings
from hetslurm.cloudburst.provider.protocol import Order, ProviderError, SeenState, Trouble
from hetslurm.errors import ConfigError

from .conftest import POOL, Here, order, wait_for


def tell(here: Here, **changes: object) -> None:
    """Put faults in force, or take them back."""
    change_faults(here.settings.faults_file, lambda faults: replace(faults, **changes))  # type: ignore[arg-type]


def refused(here: Here, wanted: Order) -> ProviderError:
    """A launch that must not work."""
    answer = here.provider.launch([wanted])[wanted.token]
    assert isinstance(answer, ProviderError), answer
    return answer


@pytest.mark.parametrize("trouble", list(Trouble))
def test_a_launch_fails_as_it_is_told_until_the_fault_is_taken_back(here: Here, trouble: Trouble) -> None:
    tell(here, launch=(LaunchFault(trouble),))
    assert refused(here, order()).trouble is trouble
    assert here.provider.seen() == ()
    tell(here, launch=())
    here.launch(order())


def test_a_counted_fault_is_used_up(here: Here) -> None:
    tell(here, launch=(LaunchFault("capacity", times=2),))
    assert refused(here, order()).trouble is Trouble.CAPACITY
    assert refused(here, order()).trouble is Trouble.CAPACITY
    here.launch(order())


def test_a_fault_of_one_offering_leaves_the_others_alone(here: Here) -> None:
    tell(here, launch=(LaunchFault("capacity", purchase="spot"),))
    assert refused(here, order()).trouble is Trouble.CAPACITY
    here.launch(order("cloud2", purchase=Purchase.ON_DEMAND))


def test_prices_rise_and_go_while_it_runs(here: Here) -> None:
    tell(here, prices={"spot": 5_000_000, "on-demand": None})
    assert [(quote.purchase, quote.price_micro) for quote in here.provider.quotes(POOL)] == [
        (Purchase.SPOT, 5_000_000)
    ]
    assert refused(here, order()).trouble is Trouble.PRICE
    assert refused(here, order("cloud2", purchase=Purchase.ON_DEMAND)).trouble is Trouble.PRICE


def test_a_bad_image_ends_at_once(here: Here) -> None:
    tell(here, launch=(LaunchFault("bad-image"),))
    launched = here.launch(order())
    here.wait_for(launched.instance_id, SeenState.ENDED)
    assert here.folder(launched.instance_id).read("ended.json")["why"] == "its image does not boot"


def test_a_boot_that_never_joins_costs_until_somebody_ends_it(here: Here) -> None:
    tell(here, launch=(LaunchFault("never-joins"),))
    launched = here.launch(order())
    folder = here.folder(launched.instance_id)
    wait_for("it begins", lambda: folder.has("begun.json"))
    assert here.state(launched.instance_id) is SeenState.PENDING
    here.provider.terminate([launched.instance_id])
    here.wait_for(launched.instance_id, SeenState.ENDED)


def test_a_provider_that_is_down_does_nothing_and_answers_nothing(here: Here) -> None:
    launched = here.launch(order())
    tell(here, down="refuse")
    calls: list[Callable[[], object]] = [
        lambda: here.provider.quotes(POOL),
        lambda: here.provider.launch([order("cloud2")]),
        here.provider.seen,
        lambda: here.provider.terminate([launched.instance_id]),
        lambda: here.provider.extend(launched.instance_id, 0.0),
    ]
    for call in calls:
        with pytest.raises(ProviderError) as caught:
            call()
        assert caught.value.trouble is Trouble.UNAVAILABLE
    tell(here, down="")
    assert [seen.node for seen in here.provider.seen()] == ["cloud1"]
    assert not here.folder(launched.instance_id).has("terminate")


def test_a_silent_provider_does_it_and_says_nothing(here: Here) -> None:
    tell(here, down="silent")
    with pytest.raises(ProviderError) as caught:
        here.provider.launch([order()])
    assert caught.value.trouble is Trouble.UNAVAILABLE
    tell(here, down="")
    (seen,) = here.provider.seen()
    assert here.launch(order()).instance_id == seen.instance_id


def test_ending_can_be_refused(here: Here) -> None:
    launched = here.launch(order())
    tell(here, terminate="refuse")
    assert set(here.provider.terminate([launched.instance_id])) == {launched.instance_id}
    assert not here.folder(launched.instance_id).has("terminate")


def test_calls_can_be_slow(here: Here) -> None:
    tell(here, launch_s=0.3, terminate_s=0.3)
    begun = time.monotonic()
    launched = here.launch(order())
    here.provider.terminate([launched.instance_id])
    assert time.monotonic() - begun >= 0.6


def test_a_faults_file_that_is_none_is_a_wrong_configuration(here: Here) -> None:
    here.settings.faults_file.write_text('{"donw": "refuse"}')
    with pytest.raises(ConfigError, match="expected an object with some of down"):
        read_faults(here.settings.faults_file)
    with pytest.raises(ProviderError) as caught:
        here.provider.seen()
    assert caught.value.trouble is Trouble.CONFIGURATION


def test_faults_survive_the_file(here: Here) -> None:
    faults = Faults("silent", (LaunchFault("quota", node="cloud7", times=3),), {"spot/a": 7}, 1.0)
    change_faults(here.settings.faults_file, lambda _: faults)
    assert read_faults(here.settings.faults_file) == faults


def test_the_policy_file_says_prices_and_capacities_of_single_offerings() -> None:
    policy = parse_policy(
        """
        [provider.here]
        kind = "local"
        dir = "/var/lib/here"
        price = 0.4
        on_demand_price = 1
        capacity = 8
        zones = ["a", "b"]
        [[provider.here.offers]]
        instance_type = "big"
        purchase = "spot"
        zone = "b"
        price = 0.2
        capacity = 1
        [[cap]]
        level = "site"
        per = "day"
        limit = 1
        """
    )
    settings = LocalSettings.of(policy.providers[0])
    assert settings.price_of("big", Purchase.SPOT, "b") == 200_000
    assert settings.price_of("big", Purchase.SPOT, "a") == 400_000
    assert settings.price_of("big", Purchase.ON_DEMAND, "b") == 1_000_000
    assert [limit for _, limit in settings.limits_on("big", Purchase.SPOT, "b")] == [1, 8]
    assert [limit for _, limit in settings.limits_on("small", Purchase.SPOT, "b")] == [8]


def test_a_local_provider_without_a_folder_is_a_mistake_of_the_policy() -> None:
    with pytest.raises(ConfigError, match="needs dir"):
        open_provider(ProviderSite("here", "local"), SystemClock())

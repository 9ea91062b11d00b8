"""What AWS shows: instances and their ends, notices, prices (botocore's Stubber checks every request)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.protocol import ProviderError, SeenState, Trouble

from .conftest import POOL
from .stubbed import NOW, SETTINGS, stubbed

ON_DEMAND = replace(POOL, purchases=(Purchase.ON_DEMAND,), zones=("eu-central-1a", "eu-central-1b"))


def _spot(instance_id: str, state: str, request: str, reason: str = "") -> dict[str, Any]:
    return {
        "InstanceId": instance_id,
        "State": {"Name": state},
        "InstanceLifecycle": "spot",
        "SpotInstanceRequestId": request,
        "StateTransitionReason": reason,
        "LaunchTime": datetime.fromtimestamp(NOW - 3600, UTC),
        "Tags": [{"Key": "hetslurm:node", "Value": f"node-of-{instance_id}"}],
    }


def test_a_spot_request_that_is_marked_is_a_notice_of_two_minutes() -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    instances = [
        _spot("i-1", "running", "sir-1"),
        _spot("i-2", "terminated", "sir-2"),
        _spot("i-3", "running", "sir-3"),
        _spot("i-4", "terminated", "sir-4", "User initiated (2027-01-15 07:30:00 GMT)"),
    ]
    requests = [
        {"SpotInstanceRequestId": f"sir-{n}", "Status": {"Code": code, "UpdateTime": at}}
        for n, code in (
            (1, "marked-for-termination"),
            (2, "instance-terminated-no-capacity"),
            (3, "fulfilled"),
            (9, "marked-for-termination"),
        )
    ]
    with stubbed() as (provider, ec2, _):
        ec2.add_response("describe_instances", {"Reservations": [{"Instances": instances}]})
        ec2.add_response("describe_spot_instance_requests", {"SpotInstanceRequests": requests})
        ec2.add_response("describe_spot_price_history", {"SpotPriceHistory": []})
        seen = {one.instance_id: one for one in provider.seen()}
    assert (seen["i-1"].notice_at, seen["i-1"].state) == (NOW + 120, SeenState.RUNNING)
    assert (seen["i-2"].notice_at, seen["i-2"].ended_at) == (NOW, NOW)
    assert (seen["i-3"].notice_at, seen["i-3"].ended_at) == (None, None)
    assert (seen["i-4"].notice_at, seen["i-4"].ended_at) == (None, NOW - 1800)


def _price(usd: str, at: float) -> dict[str, Any]:
    return {"AvailabilityZone": "a", "SpotPrice": usd, "Timestamp": datetime.fromtimestamp(at, UTC)}


def _over(instance_id: str, most: int = 0) -> dict[str, Any]:
    one = _spot(instance_id, "terminated", "", "User initiated (2027-01-15 07:50:00 GMT)")
    tags = {"hetslurm:price-micro": "40000", "hetslurm:max-price-micro": str(most)}
    return one | {
        "InstanceType": "c5.large",
        "Placement": {"AvailabilityZone": "a"},
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def test_a_spot_instance_that_became_dearer_is_paid_at_its_dearest_price_within_its_cap() -> None:
    # It lived from NOW - 3600 to NOW - 600.
    prices = [
        _price("0.50", NOW - 9000),
        _price("0.04", NOW - 7200),
        _price("0.05", NOW - 1800),
        _price("0.06", NOW - 300),
    ]
    with stubbed() as (provider, ec2, _):
        ec2.add_response(
            "describe_instances", {"Reservations": [{"Instances": [_over("i-1"), _over("i-2", 45_000)]}]}
        )
        asked = {
            "InstanceTypes": ["c5.large"],
            "ProductDescriptions": ["Linux/UNIX"],
            "AvailabilityZone": "a",
            "StartTime": NOW - 3600,
            "EndTime": NOW - 600,
            "MaxResults": 1000,
        }
        ec2.add_response("describe_spot_price_history", {"SpotPriceHistory": prices}, asked)
        assert {one.instance_id: one.price_micro for one in provider.seen()} == {"i-1": 50_000, "i-2": 45_000}
        # Asked for once: what it has cost does not change any more.
        ec2.add_response("describe_instances", {"Reservations": [{"Instances": [_over("i-1")]}]})
        assert [one.price_micro for one in provider.seen()] == [50_000]


def test_a_spot_instance_is_never_paid_below_its_price_at_launch() -> None:
    with stubbed() as (provider, ec2, _):
        ec2.add_response("describe_instances", {"Reservations": [{"Instances": [_over("i-1")]}]})
        ec2.add_response("describe_spot_price_history", {"SpotPriceHistory": [_price("0.01", NOW - 7200)]})
        (seen,) = provider.seen()
    assert (seen.price_micro, seen.state, seen.ended_at) == (40_000, SeenState.ENDED, NOW - 600)


def test_while_nobody_says_what_it_has_cost_it_is_not_over() -> None:
    with stubbed() as (provider, ec2, _):
        for _ in range(2):
            ec2.add_response("describe_instances", {"Reservations": [{"Instances": [_over("i-1")]}]})
            ec2.add_client_error(
                "describe_spot_price_history", "RequestLimitExceeded", "no", http_status_code=503
            )
            (seen,) = provider.seen()
            assert (seen.state, seen.ended_at) == (SeenState.ENDING, None)
        ec2.add_response("describe_instances", {"Reservations": [{"Instances": [_over("i-1")]}]})
        ec2.add_response("describe_spot_price_history", {"SpotPriceHistory": []})
        (seen,) = provider.seen()
    assert seen.state is SeenState.ENDED


def test_every_page_of_instances_is_read() -> None:
    with stubbed() as (provider, ec2, _):
        for n in range(3):
            one = {"InstanceId": f"i-{n}", "State": {"Name": "running"}}
            more = {"NextToken": f"t{n}"} if n < 2 else {}
            ec2.add_response("describe_instances", {"Reservations": [{"Instances": [one]}], **more})
        assert [one.instance_id for one in provider.seen()] == ["i-0", "i-1", "i-2"]


def test_a_batch_to_end_is_never_more_than_a_thousand() -> None:
    ids = [f"i-{n:08x}" for n in range(2500)]
    with stubbed() as (provider, ec2, _):
        for at in (0, 1000, 2000):
            ec2.add_response("terminate_instances", {}, {"InstanceIds": ids[at : at + 1000]})
        assert provider.terminate(ids) == {}


def test_who_may_not_end_instances_is_told_by_each_of_them() -> None:
    with stubbed() as (provider, ec2, _):
        ec2.add_client_error("terminate_instances", "UnauthorizedOperation", "no", http_status_code=403)
        refused = provider.terminate(["i-00000001", "i-00000002"])
    assert {key: error.trouble for key, error in refused.items()} == dict.fromkeys(
        ("i-00000001", "i-00000002"), Trouble.CONFIGURATION
    )


def test_a_gone_id_that_is_not_named_does_not_loop() -> None:
    with stubbed() as (provider, ec2, _):
        ec2.add_client_error("terminate_instances", "InvalidInstanceID.NotFound", "some id")
        assert set(provider.terminate(["i-00000001"])) == {"i-00000001"}


def _product(usd: str, unit: str = "Hrs") -> str:
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
    return json.dumps({"terms": {"OnDemand": {"a": {"priceDimensions": {"b": dimension}}}}})


def test_the_price_list_is_asked_once_for_hours_and_wins_over_the_admins_table() -> None:
    clock = FixedClock(NOW)
    with stubbed(clock=clock, with_prices=True) as (provider, _, pricing):
        products = [_product("0.0000000000"), _product("0.0970000001"), _product("12", "Quantity"), "garbage"]
        pricing.add_response("get_products", {"PriceList": products})
        for _ in range(3):
            assert {quote.price_micro for quote in provider.quotes(ON_DEMAND)} == {97_001}
        clock.advance(7 * 3600)
        pricing.add_response("get_products", {"PriceList": [_product("0.11")]})
        assert {quote.price_micro for quote in provider.quotes(ON_DEMAND)} == {110_000}


def test_a_price_list_that_cannot_be_read_leaves_the_admins_table_and_is_not_asked_at_once_again() -> None:
    with stubbed(with_prices=True) as (provider, _, pricing):
        pricing.add_client_error("get_products", "AccessDeniedException", "no", http_status_code=403)
        for _ in range(3):
            assert {quote.price_micro for quote in provider.quotes(ON_DEMAND)} == {85_000}


def test_no_price_list_and_no_table_is_no_quote() -> None:
    with stubbed(replace(SETTINGS, prices={}), with_prices=True) as (provider, _, pricing):
        pricing.add_response("get_products", {"PriceList": []})
        assert provider.quotes(ON_DEMAND) == ()


def test_spot_prices_that_cannot_be_read_are_an_error_and_no_price() -> None:
    with stubbed() as (provider, ec2, _):
        ec2.add_client_error(
            "describe_spot_price_history", "RequestLimitExceeded", "no", http_status_code=503
        )
        with pytest.raises(ProviderError) as raised:
            provider.quotes(replace(POOL, zones=("eu-central-1a",)))
    assert raised.value.trouble is Trouble.THROTTLE

"""Launches, and what AWS may refuse of them, word by word (botocore's Stubber checks every request)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.ec2.fleet import client_token
from hetslurm.cloudburst.provider.protocol import Launched, ProviderError, Seen, SeenState, Trouble

from .conftest import POOL, order
from .stubbed import NOW, SETTINGS, stubbed

ON_DEMAND = replace(POOL, purchases=(Purchase.ON_DEMAND,), zones=("eu-central-1a", "eu-central-1b"))


def _order(node: str, **more: Any) -> Any:
    return order(node, **{"pool": ON_DEMAND, "purchase": Purchase.ON_DEMAND} | more)


def _nothing_there(ec2: Stubber) -> None:
    ec2.add_response("describe_instances", {"Reservations": []})


def _fleet(ec2: Stubber, *ids: str, errors: tuple[tuple[str, str], ...] = ()) -> None:
    answer = {
        "FleetId": "fleet-1",
        "Instances": [{"InstanceIds": [one], "InstanceType": "c5.large"} for one in ids],
        "Errors": [{"ErrorCode": code, "ErrorMessage": text} for code, text in errors],
    }
    ec2.add_response("create_fleet", answer)


def _trouble(launched: Launched) -> Trouble:
    assert isinstance(launched, ProviderError)
    return launched.trouble


def test_a_request_has_a_token_a_price_and_every_tag() -> None:
    one = order("c1", zone="eu-central-1a", pool=replace(POOL, zones=("eu-central-1a",)))
    with stubbed() as (provider, ec2, _):
        _nothing_there(ec2)
        history = [
            {
                "AvailabilityZone": "eu-central-1a",
                "SpotPrice": price,
                "Timestamp": datetime.fromtimestamp(at, UTC),
            }
            for price, at in (("0.09", NOW - 7200), ("0.0312345678", NOW - 60), ("0.02", NOW - 3600))
        ]
        ec2.add_response(
            "describe_spot_price_history",
            {"SpotPriceHistory": history},
            {
                "InstanceTypes": ["c5.large"],
                "ProductDescriptions": ["Linux/UNIX"],
                "StartTime": NOW,
                "MaxResults": 1000,
            },
        )
        override = {
            "InstanceType": "c5.large",
            "AvailabilityZone": "eu-central-1a",
            "MaxPrice": "0.150000",
        }
        expected = {
            "Type": "instant",
            "ClientToken": client_token(one, "hpc"),
            "LaunchTemplateConfigs": [
                {
                    "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "$Default"},
                    "Overrides": [override],
                }
            ],
            "TargetCapacitySpecification": {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"},
            "SpotOptions": {
                "AllocationStrategy": "price-capacity-optimized",
                "InstanceInterruptionBehavior": "terminate",
            },
            "TagSpecifications": ANY,
        }
        ec2.add_response("create_fleet", {"Instances": [{"InstanceIds": ["i-1"]}], "Errors": []}, expected)
        _nothing_there(ec2)
        launched = provider.launch([one])[one.token]
    assert isinstance(launched, Seen)
    # The newest price, rounded up to a micro-unit.
    assert (launched.instance_id, launched.price_micro) == ("i-1", 31_235)
    assert (launched.state, launched.launched_at, launched.address) == (SeenState.PENDING, NOW, "")


def test_a_token_is_the_same_for_the_same_try_only() -> None:
    first = order("c1")
    assert client_token(first, "hpc") == client_token(
        replace(first, max_price_micro=1, deadline_at=1.0), "hpc"
    )
    others = (
        replace(first, zone="eu-central-1b"),
        replace(first, purchase=Purchase.ON_DEMAND),
        replace(first, token="hpc-c1-2"),
        replace(first, pool=replace(POOL, instance_type="c5.xlarge")),
    )
    tokens = {client_token(one, "hpc") for one in (first, *others)} | {client_token(first, "other")}
    assert len(tokens) == 6
    assert all(len(token) == 64 and token.isascii() for token in tokens)


def _with_client_token(ec2: Stubber, token: str, *ids: str) -> None:
    request = dict.fromkeys(
        (
            "Type",
            "LaunchTemplateConfigs",
            "TargetCapacitySpecification",
            "OnDemandOptions",
            "TagSpecifications",
        ),
        ANY,
    )
    errors = [] if ids else [{"ErrorCode": "RequestLimitExceeded", "ErrorMessage": "no"}]
    answer = {"Instances": [{"InstanceIds": list(ids)}] if ids else [], "Errors": errors}
    ec2.add_response("create_fleet", answer, {**request, "ClientToken": token})


def test_a_fleet_that_started_nothing_is_not_asked_about_again_but_another_one_made() -> None:
    one = _order("c1")
    with stubbed() as (provider, ec2, _):
        for answered in range(2):
            _nothing_there(ec2)
            _with_client_token(ec2, client_token(one, "hpc", answered))
            assert _trouble(provider.launch([one])[one.token]) is Trouble.THROTTLE
        _nothing_there(ec2)
        _with_client_token(ec2, client_token(one, "hpc", 2), "i-1")
        _nothing_there(ec2)
        assert isinstance(provider.launch([one])[one.token], Seen)


def test_a_call_without_an_answer_is_made_again_with_the_same_token() -> None:
    one = _order("c1")
    with stubbed() as (provider, ec2, _):
        _nothing_there(ec2)
        ec2.add_client_error("create_fleet", "InternalError", "no", http_status_code=500)
        assert _trouble(provider.launch([one])[one.token]) is Trouble.UNAVAILABLE
        _nothing_there(ec2)
        _with_client_token(ec2, client_token(one, "hpc"), "i-1")
        _nothing_there(ec2)
        assert isinstance(provider.launch([one])[one.token], Seen)


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        ("InsufficientInstanceCapacity", Trouble.CAPACITY),
        ("UnfulfillableCapacity", Trouble.CAPACITY),
        ("SpotMaxPriceTooLow", Trouble.PRICE),
        ("MaxSpotInstanceCountExceeded", Trouble.QUOTA),
        ("VcpuLimitExceeded", Trouble.QUOTA),
        ("RequestLimitExceeded", Trouble.THROTTLE),
        ("InvalidAMIID.NotFound", Trouble.CONFIGURATION),
        ("InternalError", Trouble.UNAVAILABLE),
    ],
)
def test_a_fleet_without_an_instance_says_why(code: str, trouble: Trouble) -> None:
    with stubbed() as (provider, ec2, _):
        _nothing_there(ec2)
        _fleet(ec2, errors=((code, "said so"),))
        launched = provider.launch([_order("c1")])["hpc-c1-1"]
    assert _trouble(launched) is trouble
    assert code in str(launched)


def test_an_instance_that_is_there_counts_whatever_else_is_said() -> None:
    with stubbed() as (provider, ec2, _):
        _nothing_there(ec2)
        _fleet(ec2, "i-1", errors=(("InsufficientInstanceCapacity", "for another"),))
        _nothing_there(ec2)
        launched = provider.launch([_order("c1")])["hpc-c1-1"]
    assert isinstance(launched, Seen)


def test_a_fleet_that_says_nothing_at_all_is_no_instance() -> None:
    with stubbed() as (provider, ec2, _):
        _nothing_there(ec2)
        _fleet(ec2)
        assert _trouble(provider.launch([_order("c1")])["hpc-c1-1"]) is Trouble.CAPACITY


@pytest.mark.parametrize(
    ("code", "status", "trouble"),
    [
        ("RequestLimitExceeded", 503, Trouble.THROTTLE),
        ("UnauthorizedOperation", 403, Trouble.CONFIGURATION),
        ("ServiceUnavailable", 503, Trouble.UNAVAILABLE),
    ],
)
def test_what_holds_for_all_is_asked_once_and_no_storm(code: str, status: int, trouble: Trouble) -> None:
    with stubbed() as (provider, ec2, _):
        _nothing_there(ec2)
        ec2.add_client_error("create_fleet", code, "no", http_status_code=status)
        launched = provider.launch([_order(f"c{n}") for n in range(50)])
    assert {_trouble(one) for one in launched.values()} == {trouble}
    assert len(launched) == 50


def test_a_zone_without_capacity_is_asked_once_and_another_still_serves() -> None:
    here, there = "eu-central-1a", "eu-central-1b"
    with stubbed() as (provider, ec2, _):
        _nothing_there(ec2)
        _fleet(ec2, errors=(("InsufficientInstanceCapacity", "none"),))
        _fleet(ec2, "i-1")
        _nothing_there(ec2)
        orders = [_order("c1", zone=here), _order("c2", zone=here), _order("c3", zone=there)]
        launched = provider.launch(orders)
    assert _trouble(launched["hpc-c1-1"]) is Trouble.CAPACITY
    assert _trouble(launched["hpc-c2-1"]) is Trouble.CAPACITY
    assert isinstance(launched["hpc-c3-1"], Seen)


def test_where_it_cannot_be_known_what_is_there_nothing_is_started() -> None:
    with stubbed() as (provider, ec2, _):
        ec2.add_client_error("describe_instances", "RequestLimitExceeded", "no", http_status_code=503)
        launched = provider.launch([_order("c1"), _order("c2")])
    assert {_trouble(one) for one in launched.values()} == {Trouble.THROTTLE}


def test_the_look_up_is_for_this_clusters_tokens_only() -> None:
    with stubbed() as (provider, ec2, _):
        filters = [
            {"Name": "tag:hetslurm:cluster", "Values": ["hpc"]},
            {"Name": "tag:hetslurm:token", "Values": ["hpc-c1-1"]},
        ]
        ec2.add_response("describe_instances", {"Reservations": []}, {"Filters": filters, "MaxResults": 1000})
        _fleet(ec2, "i-1")
        _nothing_there(ec2)
        provider.launch([_order("c1")])


def test_what_does_not_come_in_time_is_told_to_come_again() -> None:
    slow = replace(SETTINGS, calls_per_s=0.1)
    with stubbed(slow) as (provider, ec2, _):
        _nothing_there(ec2)
        for n in range(50):
            _fleet(ec2, f"i-{n}")
        # The clock stands still, so that turns 51 to 62 are within two minutes, and wait.
        provider._pace._sleep = lambda seconds: None
        for n in range(50, 62):
            _fleet(ec2, f"i-{n}")
        _nothing_there(ec2)
        launched = provider.launch([_order(f"c{n}") for n in range(70)])
    refused = [one for one in launched.values() if isinstance(one, ProviderError)]
    assert len(refused) == 8
    assert {(one.trouble, one.code) for one in refused} == {(Trouble.THROTTLE, "Paced")}


def test_a_deleted_template_is_looked_for_again_in_the_next_launch() -> None:
    ours = replace(SETTINGS, launch_template="", image="ami-1", conf_server="c:6817", slurm_key="ssm:/k")
    with stubbed(ours) as (provider, ec2, _):
        for n in (1, 2):
            _nothing_there(ec2)
            ec2.add_client_error(
                "describe_launch_template_versions", "InvalidLaunchTemplateName.NotFoundException", "no"
            )
            made = {"LaunchTemplateId": f"lt-{n}", "LatestVersionNumber": 1}
            ec2.add_response("create_launch_template", {"LaunchTemplate": made})
            if n == 1:
                ec2.add_client_error("create_fleet", "InvalidLaunchTemplateId.NotFound", "no")
                assert _trouble(provider.launch([_order("c1")])["hpc-c1-1"]) is Trouble.CONFIGURATION
        _fleet(ec2, "i-1")
        _nothing_there(ec2)
        assert isinstance(provider.launch([_order("c1")])["hpc-c1-1"], Seen)

"""A provider whose AWS says what a test wants, call by call; any other call is an error of the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.stub import Stubber

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.provider.ec2 import Ec2Provider
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings

NOW = 1_800_000_000.0
SETTINGS = Ec2Settings(
    name="aws",
    cluster="hpc",
    region="eu-central-1",
    launch_template="lt-1",
    usd_rate=1_000_000,
    prices={"c5.large": 85_000},
    pricing_api=False,
    calls_at_once=1,
)
_NOBODY = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "eu-central-1"}
_ONCE = Config(retries={"total_max_attempts": 1})


@contextmanager
def stubbed(
    settings: Ec2Settings = SETTINGS, clock: FixedClock | None = None, *, with_prices: bool = False
) -> Iterator[tuple[Ec2Provider, Stubber, Stubber]]:
    """The provider, its EC2, its price list. Afterwards everything must have been asked for."""
    ec2, pricing = _client("ec2"), _client("pricing")
    with Stubber(ec2) as of_ec2, Stubber(pricing) as of_pricing:
        provider = Ec2Provider(
            settings, ec2=ec2, pricing=pricing if with_prices else None, clock=clock or FixedClock(NOW)
        )
        try:
            yield provider, of_ec2, of_pricing
        finally:
            provider.close()
        of_ec2.assert_no_pending_responses()
        of_pricing.assert_no_pending_responses()


def _client(service: str) -> Any:
    return boto3.client(service, config=_ONCE, **_NOBODY)  # type: ignore[call-overload]

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from hetslurm.clock import SystemClock
from hetslurm.cloudburst.policy import CloudPool, ProviderSite, Purchase
from hetslurm.cloudburst.provider.ec2 import Ec2Provider, open_provider
from hetslurm.cloudburst.provider.protocol import Order

from .fake_imds import FakeImds, fake_imds

# Each test has a cluster of its own in the one AWS.
CLUSTERS = itertools.count(1)
REGION = "eu-central-1"
KIND = "c5.large"
POOL = CloudPool("cloud", "aws", KIND, (Purchase.SPOT, Purchase.ON_DEMAND), max_price_micro=200_000)


@pytest.fixture
def imds() -> Iterator[FakeImds]:
    with fake_imds() as service:
        yield service


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """A whole AWS on loopback; it ends with the tests."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass
class Cloud:
    """One test's AWS, empty at first: what our provider needs of it, and a client to look with."""

    cluster: str
    client: Any
    image: str
    subnets: dict[str, str]
    open: Callable[..., Ec2Provider]

    def instances(self) -> list[dict[str, Any]]:
        """All of this cluster's."""
        filters = [{"Name": "tag:hetslurm:cluster", "Values": [self.cluster]}]
        reservations = self.client.describe_instances(Filters=filters)["Reservations"]
        return [instance for reservation in reservations for instance in reservation["Instances"]]

    def order(self, node: str, generation: int = 1, **more: Any) -> Order:
        """An order of this cluster's."""
        return order(node, generation, **{"token": f"{self.cluster}-{node}-{generation}"} | more)


@pytest.fixture(scope="session")
def ground(moto_endpoint: str) -> Iterator[tuple[Any, dict[str, str], str]]:
    """A client to look with, the subnets by zone, an image."""
    import boto3

    client = boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=moto_endpoint,
        aws_access_key_id="AKIA-looks",
        aws_secret_access_key="nothing",
    )
    subnets = {one["AvailabilityZone"]: one["SubnetId"] for one in client.describe_subnets()["Subnets"]}
    yield client, subnets, client.describe_images()["Images"][0]["ImageId"]
    client.close()


@pytest.fixture
def cloud(
    moto_endpoint: str, ground: tuple[Any, dict[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    client, subnets, image = ground
    own = f"hpc{next(CLUSTERS)}"
    opened: list[Ec2Provider] = []

    def open_it(**more: object) -> Ec2Provider:
        provider = open_provider(site(moto_endpoint, image, subnets, {"cluster": own} | more), SystemClock())
        opened.append(provider)
        return provider

    yield Cloud(own, client, image, subnets, open_it)
    for provider in opened:
        provider.close()


def site(at: str, image_id: str, subnets: dict[str, str], more: dict[str, object]) -> ProviderSite:
    """[provider.aws], with no price list to ask."""
    settings: dict[str, object] = {
        "region": REGION,
        "endpoint": at,
        "image": image_id,
        "subnets": tuple(subnets.values()),
        "usd_rate": 900_000,
        "prices": {KIND: 85_000},
        "pricing_api": False,
        "calls_per_s": 1000.0,
        "conf_server": "ctl1:6817",
        "slurm_key": "ssm:/hpc/munge",
        "tags": {"project": "genomes"},
    }
    return ProviderSite("aws", "ec2", settings | more)


def order(node: str, generation: int = 1, **more: Any) -> Order:
    """One instance for a node, on spot in the first zone unless `more` says otherwise."""
    return Order(
        **{
            "node": node,
            "generation": generation,
            "token": f"hpc-{node}-{generation}",
            "pool": POOL,
            "purchase": Purchase.SPOT,
            "zone": f"{REGION}a",
            "max_price_micro": 150_000,
            "deadline_at": 1_900_000_000.9,
            "tags": {"job": "17", "account": "lab", "user": "ada"},
        }
        | more
    )

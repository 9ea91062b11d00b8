"""What an admin writes about EC2, and what is said when it is wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from hetslurm.cloudburst.policy import ProviderSite
from hetslurm.cloudburst.policy_file import parse_policy, read_policy
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings, ec2_settings
from hetslurm.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs/burst-ec2.md"
CAP = '[[cap]]\nlevel = "site"\nper = "day"\nlimit = 1\n'
WHOLE = """
[provider.aws]
kind = "ec2"
cluster = "hpc"
region = "eu-central-1"
profile = "p"
endpoint = "http://e"
launch_template = "lt-1"
launch_template_version = "3"
image = "ami-1"
subnets = ["subnet-2", "subnet-1"]
security_groups = ["sg-1"]
instance_profile = "nodes"
key_name = "k"
disk_gb = 100
disk_device = "/dev/sda1"
usd_rate = 0.93
prices = { "c5.large" = 0.085 }
reserved_prices = { "c5.large" = 0 }
pricing_api = false
pricing_endpoint = "http://p"
calls_per_s = 10
calls_at_once = 4
tags = { project = "genomes" }
conf_server = "ctl1:6817"
auth = "slurm"
slurm_key = "ssm:/k"
slurmd = "/opt/slurm/sbin/slurmd"
bus_connect = ["tcp://ctl1:6836"]
bus_key = "ssm:/b/{node}"
"""
LEAST = """
[provider.aws]
kind = "ec2"
cluster = "hpc"
region = "eu-central-1"
usd_rate = 1
image = "ami-1"
conf_server = "ctl1:6817"
slurm_key = "ssm:/k"
"""


def test_every_key_arrives_as_it_was_written() -> None:
    (site,) = parse_policy(WHOLE + CAP).providers
    settings = ec2_settings(site)
    assert set(site.settings) == {each.name for each in fields(Ec2Settings)} - {"name"}
    assert settings == Ec2Settings(
        name="aws",
        cluster="hpc",
        region="eu-central-1",
        profile="p",
        endpoint="http://e",
        launch_template="lt-1",
        launch_template_version="3",
        image="ami-1",
        subnets=("subnet-2", "subnet-1"),
        security_groups=("sg-1",),
        instance_profile="nodes",
        key_name="k",
        disk_gb=100,
        disk_device="/dev/sda1",
        usd_rate=930_000,
        prices={"c5.large": 85_000},
        reserved_prices={"c5.large": 0},
        pricing_api=False,
        pricing_endpoint="http://p",
        calls_per_s=10,
        calls_at_once=4,
        tags={"project": "genomes"},
        conf_server="ctl1:6817",
        auth="slurm",
        slurm_key="ssm:/k",
        slurmd="/opt/slurm/sbin/slurmd",
        bus_connect=("tcp://ctl1:6836",),
        bus_key="ssm:/b/{node}",
    )


def test_every_key_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for each in fields(Ec2Settings):
        assert each.name == "name" or f"`{each.name}" in page, each.name


def test_what_is_left_out_is_as_documented() -> None:
    (site,) = parse_policy(LEAST + CAP).providers
    assert ec2_settings(site).auth == "munge"
    assert ec2_settings(site).calls_per_s == 5


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('cluster = "hpc"', "provider.aws.cluster: expected a name that instances carry"),
        ('region = "eu-central-1"', "provider.aws.region: expected a region"),
        ("usd_rate = 1", "provider.aws.usd_rate: expected what one US dollar is"),
        ('image = "ami-1"', "provider.aws.image: expected the id of an image"),
        ('conf_server = "ctl1:6817"', "provider.aws.conf_server: expected where slurmd"),
        ('slurm_key = "ssm:/k"', "provider.aws.slurm_key: expected where instances get"),
    ],
)
def test_a_key_that_is_needed_and_missing_is_named(line: str, said: str) -> None:
    _, problems = read_policy(LEAST.replace(line, "") + CAP)
    assert any(said in problem.render("burst.toml") for problem in problems)


def test_a_key_written_down_itself_is_refused_and_not_repeated() -> None:
    _, problems = read_policy(LEAST.replace("ssm:/k", "THE-KEY-ITSELF") + CAP)
    (problem,) = problems
    assert "not the key itself" in problem.render("burst.toml")
    assert "THE-KEY" not in problem.render("burst.toml")


def test_a_price_of_nothing_is_refused() -> None:
    _, problems = read_policy(LEAST + '[provider.aws.prices]\n"c5.large" = 0\n' + CAP)
    assert "above 0" in problems[0].render("burst.toml")


@pytest.mark.parametrize("missing", ["region", "cluster", "image", "slurm_key"])
def test_settings_that_no_file_has_checked_are_checked(missing: str) -> None:
    given: dict[str, object] = {
        "region": "eu-central-1",
        "cluster": "hpc",
        "image": "ami-1",
        "conf_server": "c:1",
        "slurm_key": "ssm:/k",
    }
    del given[missing]
    with pytest.raises(ConfigError, match=rf"provider\.aws\.{missing}"):
        ec2_settings(ProviderSite("aws", "ec2", given))

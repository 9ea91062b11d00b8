"""The least that AWS must allow, as documents that AWS can read."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from hetslurm.cloudburst.policy import CloudPool, Policy, Purchase
from hetslurm.cloudburst.provider.ec2.iam import READS, controller_policy, instance_policy
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings

SETTINGS = Ec2Settings(
    name="aws",
    cluster="hpc",
    region="eu-central-1",
    image="ami-1",
    subnets=("subnet-1", "subnet-2"),
    security_groups=("sg-1",),
    instance_profile="hpc-node",
    conf_server="ctl1:6817",
    slurm_key="ssm:/hpc/munge.key",
    bus_key="ssm:/hpc/bus/{node}",
)
POLICY = Policy(pools=(CloudPool("cloud", "aws", "c7i.large", (Purchase.SPOT,), 1),))
# Every call that the provider makes.
CALLS = {
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
    "ec2:CreateFleet",
    "ec2:RunInstances",
    "ec2:CreateTags",
    "ec2:TerminateInstances",
    "ec2:CreateLaunchTemplate",
    "ec2:CreateLaunchTemplateVersion",
    "pricing:GetProducts",
    "iam:PassRole",
}


def _actions(document: dict[str, Any]) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"]}


def _of(document: dict[str, Any], sid: str) -> dict[str, Any]:
    (statement,) = [one for one in document["Statement"] if one["Sid"] == sid]
    return dict(statement)


def test_it_allows_what_the_provider_calls_and_nothing_else() -> None:
    document = controller_policy(POLICY, SETTINGS)
    assert _actions(document) == CALLS
    assert document["Version"] == "2012-10-17"
    assert {one["Effect"] for one in document["Statement"]} == {"Allow"}
    assert not any("*" in action for action in _actions(document))
    assert len({one["Sid"] for one in document["Statement"]}) == len(document["Statement"])
    assert all(one["Sid"].isalnum() for one in document["Statement"])


def test_only_reading_is_allowed_on_everything() -> None:
    for statement in controller_policy(POLICY, SETTINGS)["Statement"]:
        if statement["Resource"] == "*":
            assert set(statement["Action"]) <= {*READS, "pricing:GetProducts"}
            assert statement["Sid"] == "ReadPrices" or statement["Condition"]["StringEquals"] == {
                "aws:RequestedRegion": "eu-central-1"
            }


def test_launches_are_bound_to_our_tag_and_the_pools_types() -> None:
    launch = _of(controller_policy(POLICY, SETTINGS, account="1234"), "LaunchOurs")
    assert launch["Resource"] == "arn:aws:ec2:eu-central-1:1234:instance/*"
    assert launch["Condition"]["StringEquals"] == {
        "aws:RequestTag/hetslurm:cluster": "hpc",
        "ec2:InstanceType": ["c7i.large"],
    }


def test_what_is_not_ours_can_be_neither_ended_nor_tagged() -> None:
    document = controller_policy(POLICY, SETTINGS)
    ours = {"aws:ResourceTag/hetslurm:cluster": "hpc"}
    assert _of(document, "EndOurs")["Condition"] == {"StringEquals": ours}
    assert _of(document, "MoveDeadlines")["Condition"] == {
        "StringEquals": ours,
        "ForAllValues:StringEquals": {"aws:TagKeys": ["hetslurm:deadline"]},
    }
    for statement in document["Statement"]:
        if "ec2:CreateTags" in statement["Action"]:
            assert statement["Condition"]


def test_only_our_subnets_groups_image_and_role_may_be_used() -> None:
    document = controller_policy(POLICY, SETTINGS, account="1234")
    used = _of(document, "LaunchWith")["Resource"]
    for wanted in ("*:subnet/subnet-1", "*:subnet/subnet-2", "*:security-group/sg-1", "*::image/ami-1"):
        assert any(fnmatchcase(arn, wanted) for arn in used)
    assert any(arn.endswith("spot-instances-request/*") for arn in used)
    assert not any(arn.endswith("capacity-reservation/*") for arn in used)
    assert not any(arn.endswith(("subnet/*", "security-group/*", "image/*", "key-pair/*")) for arn in used)
    role = _of(document, "GiveInstancesTheirRole")
    assert role["Resource"] == "arn:aws:iam::1234:role/hpc-node"
    assert role["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}


def test_what_is_not_used_is_not_allowed() -> None:
    own = replace(
        SETTINGS, launch_template="lt-9", subnets=(), instance_profile="", pricing_api=False, image=""
    )
    document = controller_policy(POLICY, own)
    gone = {
        "ec2:DescribeSubnets",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:CreateLaunchTemplate",
        "ec2:CreateLaunchTemplateVersion",
        "pricing:GetProducts",
        "iam:PassRole",
    }
    assert _actions(document) == CALLS - gone
    assert _of(document, "LaunchByTemplate")["Resource"].endswith(":launch-template/lt-9")


@pytest.mark.parametrize(
    ("region", "begins", "service"),
    [
        ("cn-north-1", "arn:aws-cn:", "ec2.amazonaws.com.cn"),
        ("us-gov-west-1", "arn:aws-us-gov:", "ec2.amazonaws.com"),
    ],
)
def test_other_partitions_have_their_own_names(region: str, begins: str, service: str) -> None:
    document = controller_policy(POLICY, replace(SETTINGS, region=region))
    assert _of(document, "EndOurs")["Resource"].startswith(begins)
    role = _of(document, "GiveInstancesTheirRole")
    assert role["Condition"]["StringEquals"]["iam:PassedToService"] == service


def test_an_instance_may_read_its_keys_and_nothing_else() -> None:
    document = instance_policy(SETTINGS, account="1234")
    assert _actions(document) == {"ssm:GetParameter"}
    assert [one["Resource"] for one in document["Statement"]] == [
        "arn:aws:ssm:eu-central-1:1234:parameter/hpc/munge.key",
        "arn:aws:ssm:eu-central-1:1234:parameter/hpc/bus/*",
    ]
    kept = instance_policy(replace(SETTINGS, slurm_key="secretsmanager:hpc", bus_key="command:x"))
    assert [one["Resource"] for one in kept["Statement"]] == [
        "arn:aws:secretsmanager:eu-central-1:*:secret:hpc-??????"
    ]


def test_policies_fit_into_what_iam_takes() -> None:
    document = json.dumps(controller_policy(POLICY, SETTINGS, account="123456789012"), separators=(",", ":"))
    # A managed policy has at most 6,144 characters.
    assert len(document) < 6144


BURST = """
[provider.aws]
kind = "ec2"
region = "eu-central-1"
cluster = "hpc"
image = "ami-1"
conf_server = "ctl1:6817"
slurm_key = "ssm:/hpc/munge.key"
usd_rate = 0.93
[provider.here]
kind = "local"
[[pool]]
partition = "cloud"
provider = "aws"
instance_type = "c7i.large"
purchases = ["spot"]
max_price = 0.5
[[cap]]
level = "site"
per = "day"
limit = 100
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "burst.toml").write_text(BURST)
    path = tmp_path / "hetslurm.toml"
    path.write_text(f'[burst]\npolicy = "{tmp_path}/burst.toml"\n')
    return path


def _burst(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "hetslurm", "burst", *words, "--config", str(config)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_line_prints_both_policies(config: Path) -> None:
    controller = json.loads(_burst(config, "iam-policy", "--account", "1234").stdout)
    assert "ec2:TerminateInstances" in _actions(controller)
    instance = json.loads(_burst(config, "iam-policy", "aws", "--for", "instance").stdout)
    assert _actions(instance) == {"ssm:GetParameter"}


def test_the_command_line_prints_user_data(config: Path) -> None:
    text = _burst(config, "cloud-init", "cloud").stdout
    assert text.startswith("#cloud-config\n")
    document = json.loads(_burst(config, "cloud-init", "cloud", "--json").stdout)
    assert (document["pool"], document["provider"]) == ("cloud", "aws")
    assert document["user_data"] == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cloud-init", "nowhere"), "nowhere is no pool of burst.toml; there are cloud"),
        (("iam-policy", "here"), "has no [provider.here]"),
    ],
)
def test_what_is_not_there_is_said(config: Path, words: tuple[str, ...], said: str) -> None:
    done = _burst(config, *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())

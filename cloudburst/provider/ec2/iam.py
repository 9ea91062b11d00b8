"""The least that AWS must allow: to the controller, and to an instance. Pure; printed for the admin.

What AWS can bind to our tag, to the region and to the pools' instance types, is bound. Where an action knows
no such condition (Describe…, price lists), it only reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hetslurm.cloudburst.policy import Policy, Purchase
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.cloudburst.provider.ec2.tags import CLUSTER, DEADLINE

Statement = dict[str, Any]
VERSION = "2012-10-17"
READS = (
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
)

_BY_PURCHASE = {Purchase.SPOT: "spot-instances-request/*", Purchase.RESERVED: "capacity-reservation/*"}


def controller_policy(policy: Policy, settings: Ec2Settings, *, account: str = "*") -> dict[str, Any]:
    """For whoever runs the controller and the power-saving programs. `account`: the account's number."""
    pools = [pool for pool in policy.pools if pool.provider == settings.name]
    types = sorted({pool.instance_type for pool in pools})
    purchases = frozenset(purchase for pool in pools for purchase in pool.purchases)
    where = _Where(settings, account)
    reads = READS if settings.subnets else tuple(each for each in READS if each != "ec2:DescribeSubnets")
    if settings.launch_template:
        reads = tuple(each for each in reads if "LaunchTemplate" not in each)
    statements = [
        _statement("Look", reads, "*", {"StringEquals": {"aws:RequestedRegion": settings.region}}),
        *_launching(where, settings, types, purchases),
        _statement(
            "TagWhatIsLaunched",
            ["ec2:CreateTags"],
            [
                where.arn("instance/*"),
                where.arn("fleet/*"),
                where.arn("volume/*"),
                where.arn("network-interface/*"),
            ],
            {"StringEquals": {"ec2:CreateAction": ["CreateFleet", "RunInstances"]}},
        ),
        _statement(
            "MoveDeadlines",
            ["ec2:CreateTags"],
            where.arn("instance/*"),
            {**_ours("ResourceTag", settings), "ForAllValues:StringEquals": {"aws:TagKeys": [DEADLINE]}},
        ),
        _statement(
            "EndOurs", ["ec2:TerminateInstances"], where.arn("instance/*"), _ours("ResourceTag", settings)
        ),
    ]
    if not settings.launch_template:
        statements += _templates(where, settings)
    if settings.pricing_api:
        # Price lists know neither resources nor our region.
        statements.append(_statement("ReadPrices", ["pricing:GetProducts"], "*"))
    if settings.instance_profile:
        statements.append(
            _statement(
                "GiveInstancesTheirRole",
                ["iam:PassRole"],
                f"arn:{where.partition}:iam::{account}:role/{settings.instance_profile}",
                {"StringEquals": {"iam:PassedToService": f"ec2.{where.suffix}"}},
            )
        )
    return {"Version": VERSION, "Statement": statements}


def instance_policy(settings: Ec2Settings, *, account: str = "*") -> dict[str, Any]:
    """For the role of the instances: to read their keys, and nothing else."""
    where = _Where(settings, account)
    statements = []
    for sid, source in (("ReadSlurmsKey", settings.slurm_key), ("ReadBusKey", settings.bus_key)):
        kind, _, name = source.replace("{node}", "*").partition(":")
        if kind == "ssm":
            arn = f"arn:{where.partition}:ssm:{settings.region}:{account}:parameter/{name.lstrip('/')}"
            statements.append(_statement(sid, ["ssm:GetParameter"], arn))
        elif kind == "secretsmanager":
            arn = (
                name
                if name.startswith("arn:")
                else f"arn:{where.partition}:secretsmanager:{settings.region}:{account}:secret:{name}-??????"
            )
            statements.append(_statement(sid, ["secretsmanager:GetSecretValue"], arn))
    return {"Version": VERSION, "Statement": statements}


class _Where:
    """Names of resources in the provider's region."""

    def __init__(self, settings: Ec2Settings, account: str) -> None:
        region = settings.region
        self.partition = "aws"
        if region.startswith("cn-"):
            self.partition = "aws-cn"
        elif region.startswith("us-gov-"):
            self.partition = "aws-us-gov"
        self.suffix = "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"
        self._region = region
        self._account = account

    def arn(self, resource: str, *, account: str | None = None) -> str:
        """EC2's name of a resource. Images have no account."""
        owner = self._account if account is None else account
        return f"arn:{self.partition}:ec2:{self._region}:{owner}:{resource}"


def _launching(
    where: _Where, settings: Ec2Settings, types: list[str], purchases: frozenset[Purchase]
) -> Iterable[Statement]:
    template = settings.launch_template
    templates = where.arn(f"launch-template/{template if template.startswith('lt-') else '*'}")
    used = [
        where.arn("network-interface/*"),
        where.arn("volume/*"),
        *(where.arn(f"subnet/{one}") for one in settings.subnets or ("*",)),
        *(where.arn(f"security-group/{one}") for one in settings.security_groups or ("*",)),
        where.arn(f"image/{settings.image or '*'}", account=""),
        where.arn("snapshot/*", account=""),
        *(where.arn(kind) for purchase, kind in _BY_PURCHASE.items() if purchase in purchases),
    ]
    if settings.key_name or template:
        used.append(where.arn(f"key-pair/{settings.key_name or '*'}"))
    ours = _ours("RequestTag", settings)
    of_types = {**ours["StringEquals"], **({"ec2:InstanceType": types} if types else {})}
    bound = {} if template else _ours("ResourceTag", settings)
    launch = ["ec2:CreateFleet", "ec2:RunInstances"]
    yield _statement("LaunchOurs", launch, where.arn("instance/*"), {"StringEquals": of_types})
    yield _statement("LaunchAsFleets", ["ec2:CreateFleet"], where.arn("fleet/*"), ours)
    yield _statement("LaunchByTemplate", launch, templates, bound)
    yield _statement("LaunchWith", launch, used)


def _templates(where: _Where, settings: Ec2Settings) -> Iterable[Statement]:
    templates = where.arn("launch-template/*")
    yield _statement("MakeTemplate", ["ec2:CreateLaunchTemplate"], templates, _ours("RequestTag", settings))
    yield _statement(
        "ChangeTemplate", ["ec2:CreateLaunchTemplateVersion"], templates, _ours("ResourceTag", settings)
    )
    yield _statement(
        "TagTemplate",
        ["ec2:CreateTags"],
        templates,
        {"StringEquals": {"ec2:CreateAction": "CreateLaunchTemplate"}},
    )


def _ours(kind: str, settings: Ec2Settings) -> dict[str, dict[str, Any]]:
    return {"StringEquals": {f"aws:{kind}/{CLUSTER}": settings.cluster}}


def _statement(
    sid: str, actions: Iterable[str], resources: str | list[str], condition: dict[str, Any] | None = None
) -> Statement:
    statement: Statement = {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resources}
    if condition:
        statement["Condition"] = condition
    return statement

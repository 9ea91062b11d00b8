"""`hetslurm burst iam-policy|cloud-init`: what an admin gives to AWS, as the policy in force needs it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hetslurm.cli.output import ConfigOption, JsonOption, print_json, say
from hetslurm.errors import ConfigError

if TYPE_CHECKING:
    from hetslurm.cloudburst.policy import Policy
    from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings


class Whose(StrEnum):
    """Who is allowed."""

    CONTROLLER = "controller"
    INSTANCE = "instance"


def mount(app: typer.Typer) -> None:
    """Add the commands to `hetslurm burst`."""
    app.command("iam-policy")(iam_policy)
    app.command("cloud-init")(cloud_init)


def iam_policy(
    provider: Annotated[str, typer.Argument(help="Which [provider.NAME]; needless where one is EC2's.")] = "",
    whose: Annotated[Whose, typer.Option("--for", help="Who is allowed.")] = Whose.CONTROLLER,
    account: Annotated[str, typer.Option(help="The AWS account's number; else any.")] = "*",
    config: ConfigOption = None,
) -> None:
    """Print the least that IAM must allow, as a policy document (JSON)."""
    from hetslurm.cloudburst.provider.ec2.iam import controller_policy, instance_policy  # noqa: PLC0415

    policy = _policy(config)
    settings = _settings(policy, provider)
    if whose is Whose.INSTANCE:
        document = instance_policy(settings, account=account)
    else:
        document = controller_policy(policy, settings, account=account)
    say(json.dumps(document, indent=2))


def cloud_init(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="The partition of a [[pool]].")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the user data of a pool's instances: for a launch template of your own, or to read it."""
    from hetslurm.cloudburst.provider.ec2.cloud_init import user_data  # noqa: PLC0415

    policy = _policy(config)
    found = policy.pool_of(pool)
    if found is None:
        names = ", ".join(sorted(policy.partitions)) or "none"
        raise typer.BadParameter(f"{pool} is no pool of burst.toml; there are {names}")
    text = user_data(_settings(policy, found.provider))
    if as_json:
        print_json({"pool": pool, "provider": found.provider, "user_data": text})
    else:
        say(text.rstrip("\n"))


def _settings(policy: Policy, name: str) -> Ec2Settings:
    from hetslurm.cloudburst.provider.ec2.settings import ec2_settings  # noqa: PLC0415

    sites = [site for site in policy.providers if site.kind == "ec2" and name in ("", site.name)]
    if len(sites) == 1:
        return ec2_settings(sites[0])
    if sites:
        raise typer.BadParameter(f"say which: {', '.join(site.name for site in sites)}")
    raise ConfigError(f'burst.toml has no [provider.{name or "NAME"}] with kind = "ec2"')


def _policy(config: Path | None) -> Policy:
    from hetslurm.cloudburst.policy_file import load_policy  # noqa: PLC0415
    from hetslurm.config import find_config, load_site  # noqa: PLC0415

    path = find_config(config)
    if path is None:
        raise ConfigError("there is no hetslurm.toml; say --config")
    site = load_site(path)
    if not site.burst.policy:
        raise ConfigError(f'{path}: [burst] names no policy; write policy = "/etc/hetslurm/burst.toml"')
    return load_policy(Path(site.burst.policy), site.currency)

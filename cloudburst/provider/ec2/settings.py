"""[provider.NAME] with kind = "ec2", as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from hetslurm.cloudburst.policy import ProviderSite
from hetslurm.errors import ConfigError
from hetslurm.units import MICRO


@dataclass(frozen=True, slots=True)
class Ec2Settings:
    """What the admin says of EC2. Credentials are boto3's own business.

    `cluster` is in the tags of all that we make; what has another one, or none, is never touched.
    `launch_template` (a name or id) is the admin's own; "": one is made from `image` and what follows it.
    `usd_rate` is one US dollar in micro-units of the site's currency; `prices` and `reserved_prices` are an
    hour's by instance type, in them, too. `slurm_key`, `bus_key`: `ssm:NAME`, `secretsmanager:ID` or
    `command:SHELL`, run on the instance; `{node}` in them is its node's name.
    """

    name: str = "ec2"
    cluster: str = ""
    region: str = ""
    profile: str = ""
    endpoint: str = ""
    launch_template: str = ""
    launch_template_version: str = "$Default"
    image: str = ""
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    instance_profile: str = ""
    key_name: str = ""
    disk_gb: int = 0
    disk_device: str = "/dev/xvda"
    usd_rate: int = MICRO
    prices: dict[str, int] = field(default_factory=dict)
    reserved_prices: dict[str, int] = field(default_factory=dict)
    pricing_api: bool = True
    pricing_endpoint: str = ""
    calls_per_s: float = 5.0
    calls_at_once: int = 16
    tags: dict[str, str] = field(default_factory=dict)
    conf_server: str = ""
    auth: str = "munge"
    slurm_key: str = ""
    slurmd: str = "/usr/sbin/slurmd"
    bus_connect: tuple[str, ...] = ()
    bus_key: str = ""


def ec2_settings(site: ProviderSite) -> Ec2Settings:
    """The settings of a provider whose keys `policy_file` has checked. ConfigError: one that is missing."""
    known = {each.name for each in fields(Ec2Settings)} - {"name"}
    given: dict[str, Any] = {key: value for key, value in site.settings.items() if key in known}
    settings = Ec2Settings(name=site.name, **given)
    where = f"provider.{site.name}"
    if not settings.region:
        raise ConfigError(f'{where}.region: expected a region such as "eu-central-1"')
    if not settings.cluster:
        raise ConfigError(f"{where}.cluster: expected the name that its instances carry")
    if settings.usd_rate <= 0:
        raise ConfigError(f"{where}.usd_rate: expected what one US dollar is in the site's currency")
    if not settings.launch_template:
        for key in ("image", "conf_server", "slurm_key"):
            if not getattr(settings, key):
                raise ConfigError(f"{where}.{key}: expected one, or a launch_template of your own")
    return settings

"""The keys of [provider.NAME] in burst.toml that one kind of provider has of its own.

Each reader takes the known keys out of the table and returns those that the admin gave, as plain values;
`policy_file` refuses the rest. The defaults are the provider's own. Money is in whole micro-units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.local.settings import LocalOffer
from hetslurm.config.table import Table

Settings = dict[str, object]
_DAY_S = 86400.0


def read_local(table: Table) -> Settings:
    """kind = "local": an instance is a slurmd started on this machine."""
    texts = partial(table.ordered_texts, default=())
    return _given(
        table,
        {
            "dir": partial(table.absolute_path, default="/"),
            "slurm_conf": partial(table.absolute_path, default="/"),
            "start_command": texts,
            "agent_command": texts,
            "capacity": partial(table.whole, default=0, low=0, high=100_000),
            "boot_s": partial(table.number, default=0.0, low=0, high=_DAY_S),
            "price": partial(table.micro, default=0),
            "on_demand_price": partial(table.micro, default=0),
            "zones": texts,
            "faults": partial(table.absolute_path, default="/"),
            "offers": lambda key: tuple(map(_offer, table.tables(key))),
        },
    )


def _offer(table: Table) -> LocalOffer:
    """[[provider.NAME.offers]]."""
    given = set(table.items())
    price = table.micro("price", 0)
    capacity = table.whole("capacity", 0, low=0, high=100_000)
    offer = LocalOffer(
        instance_type=table.text("instance_type", ""),
        purchase=table.choice("purchase", "", tuple(purchase.value for purchase in Purchase)),
        zone=table.text("zone", ""),
        price_micro=price if "price" in given else None,
        capacity=capacity if "capacity" in given else None,
    )
    table.done()
    return offer


def read_ec2(table: Table) -> Settings:
    """kind = "ec2": Amazon EC2. Credentials are boto3's own business and never in this file."""
    text, texts = partial(table.text, default=""), partial(table.ordered_texts, default=())
    settings = _given(
        table,
        {
            "region": text,
            "cluster": text,
            "profile": text,
            "endpoint": text,
            "launch_template": text,
            "launch_template_version": text,
            "image": text,
            "subnets": texts,
            "security_groups": texts,
            "instance_profile": text,
            "key_name": text,
            "disk_gb": partial(table.whole, default=0, low=1, high=16384),
            "disk_device": partial(table.absolute_path, default="/"),
            "usd_rate": partial(table.micro, default=0),
            "prices": lambda key: _micro_by_name(table.table(key)),
            "reserved_prices": lambda key: _micro_by_name(table.table(key)),
            "pricing_api": partial(table.flag, default=True),
            "pricing_endpoint": text,
            "calls_per_s": partial(table.number, default=5.0, low=0.1, high=1000),
            "calls_at_once": partial(table.whole, default=16, low=1, high=64),
            "tags": lambda key: _texts_by_name(table.table(key)),
            "conf_server": text,
            "auth": partial(table.choice, default="munge", choices=("munge", "slurm")),
            "slurm_key": text,
            "slurmd": partial(table.absolute_path, default="/"),
            "bus_connect": texts,
            "bus_key": text,
        },
    )
    if "region" not in settings:
        table.refuse("region", "expected a region, found nothing")
    if "cluster" not in settings:
        table.refuse("cluster", "expected a name that instances carry, such as Slurm's ClusterName")
    if not settings.get("usd_rate"):
        table.refuse("usd_rate", "expected what one US dollar is in the site's currency (1 where that is it)")
    prices = settings.get("prices")
    for name, price in prices.items() if isinstance(prices, dict) else ():
        if price == 0:
            table.refuse(f"prices.{name}", "expected a price an hour above 0")
    if "launch_template" not in settings:
        for key, what in _OF_OUR_TEMPLATE.items():
            if key not in settings:
                table.refuse(key, f"expected {what}, or a launch_template of your own, found nothing")
    for key in ("slurm_key", "bus_key"):
        if key in settings and not str(settings[key]).startswith(("ssm:", "secretsmanager:", "command:")):
            # What is wrong here may be a key itself: it is not repeated.
            table.refuse(
                key, 'expected "ssm:NAME", "secretsmanager:ID" or "command:SHELL", not the key itself'
            )
    return settings


_OF_OUR_TEMPLATE = {
    "image": 'the id of an image ("ami-…") with Slurm in it',
    "conf_server": 'where slurmd gets its configuration ("HOST:6817")',
    "slurm_key": 'where instances get the cluster\'s key ("ssm:NAME")',
}


def read_exec(table: Table) -> Settings:
    """kind = "exec": the admin's own program, JSON in and out."""
    settings = _given(
        table,
        {
            "command": partial(table.ordered_texts, default=()),
            "timeout_s": partial(table.number, default=1.0, low=1, high=3600),
        },
    )
    command = settings.get("command")
    program = command[0] if isinstance(command, tuple) and command else ""
    if not program.startswith("/"):
        found = f'"{program}"' if program else "nothing"
        table.refuse("command", f"expected a list that begins with a path from /, found {found}")
    return settings


KINDS: dict[str, Callable[[Table], Settings]] = {"local": read_local, "ec2": read_ec2, "exec": read_exec}


def _given(table: Table, readers: Mapping[str, Callable[[str], object]]) -> Settings:
    """Every key is read, so that it is known and checked; those that are there are kept."""
    values = {key: read(key) for key, read in readers.items()}
    there = set(table.items())
    return {key: value for key, value in values.items() if key in there}


def _texts_by_name(table: Table) -> dict[str, str]:
    return {name: table.text(name, "") for name in table.items()}


def _micro_by_name(table: Table) -> dict[str, int]:
    return {name: table.micro(name, 0) for name in table.items()}

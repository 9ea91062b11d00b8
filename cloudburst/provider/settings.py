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
            "profile": text,
            "endpoint": text,
            "launch_template": text,
            "launch_template_version": text,
            "subnets": texts,
            "security_groups": texts,
            "tags": lambda key: _texts_by_name(table.table(key)),
        },
    )
    for key, example in (("region", "a region"), ("launch_template", "the id or name of a launch template")):
        if key not in settings:
            table.refuse(key, f"expected {example}, found nothing")
    return settings


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

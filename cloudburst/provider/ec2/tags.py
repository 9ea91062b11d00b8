"""What our instances carry: who they are and whose money they are, in the launch call. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hetslurm.cloudburst.provider.protocol import Order

PREFIX = "hetslurm:"
CLUSTER = f"{PREFIX}cluster"
NODE = f"{PREFIX}node"
GENERATION = f"{PREFIX}generation"
TOKEN = f"{PREFIX}token"
# Unix seconds; the instance's guard reads it again and again.
DEADLINE = f"{PREFIX}deadline"
# Micro-units of the site's currency an hour, as quoted when it was launched.
PRICE = f"{PREFIX}price-micro"
# What EC2 was told that it may cost at most.
MOST = f"{PREFIX}max-price-micro"
PURCHASE = f"{PREFIX}purchase"

# An instance's metadata service shows only tags whose keys are of these.
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9+\-=.,_:@]")
_NOT_IN_VALUES = re.compile(r"[^\w +\-=.:/@]")


def launch_tags(order: Order, cluster: str, price_micro: int, site: Mapping[str, str]) -> dict[str, str]:
    """All tags of one instance. `site` are the admin's own; ours win over them."""
    ours = {
        **{key if ":" in key else PREFIX + key: value for key, value in order.tags.items()},
        "Name": order.node,
        CLUSTER: cluster,
        NODE: order.node,
        GENERATION: str(order.generation),
        TOKEN: order.token,
        DEADLINE: deadline_text(order.deadline_at),
        PRICE: str(price_micro),
        MOST: str(order.max_price_micro),
        PURCHASE: str(order.purchase),
    }
    return {
        _NOT_IN_KEYS.sub("_", key)[:128]: _NOT_IN_VALUES.sub("_", value)[:256]
        for key, value in {**site, **ours}.items()
        if value
    }


def deadline_text(deadline_at: float) -> str:
    """Whole Unix seconds, never later than the deadline."""
    return str(int(deadline_at))


def as_aws(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As AWS takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def from_aws(tags: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    """As AWS gives them."""
    return {str(tag.get("Key", "")): str(tag.get("Value", "")) for tag in tags or ()}

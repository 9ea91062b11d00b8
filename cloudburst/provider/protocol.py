"""What every provider of instances can do. Calls are made by `hetslurm.burst`; a provider decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.errors import HetslurmError


class Trouble(StrEnum):
    """Why a call failed, by what helps: each has its own reaction (see `cooldown`)."""

    CAPACITY = "capacity"  # none there now: another zone, type, purchase option
    QUOTA = "quota"  # the account may not have more: people must act
    THROTTLE = "throttle"  # asked too fast: the same again, later
    PRICE = "price"  # dearer than allowed, or no price to be had
    CONFIGURATION = "configuration"  # a wrong image, key, template: nothing helps but an admin
    UNAVAILABLE = "unavailable"  # no answer: it may or may not have happened


class ProviderError(HetslurmError):
    """A provider said no, or nothing. `code` is its own word for it."""

    def __init__(self, message: str, *, trouble: Trouble, code: str = "") -> None:
        super().__init__(message)
        self.trouble = trouble
        self.code = code


@dataclass(frozen=True, slots=True)
class Order:
    """One instance to launch. `token` makes it idempotent: twice the same token is one instance.

    `max_price_micro` per hour; `deadline_at` Unix seconds: the instance ends itself then, whoever else lives.
    `tags` go into the launch call; they hold node, generation, token, job, account, user and cluster.
    """

    node: str
    generation: int
    token: str
    pool: CloudPool
    purchase: Purchase
    zone: str
    max_price_micro: int
    deadline_at: float
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    """What an offering costs now, per instance and hour. `seen_at` Unix seconds."""

    instance_type: str
    purchase: Purchase
    zone: str
    price_micro: int
    on_demand_micro: int
    seen_at: float


class SeenState(StrEnum):
    """What the provider says of an instance."""

    PENDING = "pending"
    RUNNING = "running"
    ENDING = "ending"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance as the provider has it. `ended_at` None: still there, or the provider forgot when.

    `node`, `generation`, `token` are from its tags, so that ours are known without our own records.
    `notice_at`: when it will be taken away (Unix seconds), None: no notice. `address` "": Slurm needs none.
    """

    instance_id: str
    state: SeenState
    node: str
    generation: int
    token: str
    zone: str
    purchase: Purchase
    price_micro: int
    launched_at: float
    ended_at: float | None = None
    notice_at: float | None = None
    address: str = ""


Launched = Seen | ProviderError


class Provider(Protocol):
    """One account with one cloud. Any call raises ProviderError; each ends within a deadline of its own."""

    def quotes(self, pool: CloudPool) -> tuple[Quote, ...]:
        """Prices of the pool's offerings now, as far as they can be had: no quote, no launch."""
        ...

    def launch(self, orders: Sequence[Order]) -> dict[str, Launched]:
        """By token: the instance, or why there is none. A token used before gives the instance of then."""
        ...

    def seen(self) -> tuple[Seen, ...]:
        """Every instance that carries this cluster's tag, those that ended lately included."""
        ...

    def terminate(self, instance_ids: Sequence[str]) -> dict[str, ProviderError]:
        """Tell them to end; who refused, by id. To end what is gone is no error. Verify with `seen`."""
        ...

    def extend(self, instance_id: str, deadline_at: float) -> None:
        """Its money was topped up: it ends itself only then."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...

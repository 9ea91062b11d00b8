"""One `launch`: order by order, and what one refusal means for the next."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import CloudPool
from hetslurm.cloudburst.provider.ec2 import tags as names
from hetslurm.cloudburst.provider.ec2.errors import error_of
from hetslurm.cloudburst.provider.ec2.fleet import client_token, fleet_request, launched_id
from hetslurm.cloudburst.provider.ec2.pace import Pace
from hetslurm.cloudburst.provider.ec2.prices import micro_to_text, usd_of_micro
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings
from hetslurm.cloudburst.provider.ec2.templates import Templates
from hetslurm.cloudburst.provider.protocol import (
    Launched,
    Order,
    ProviderError,
    Quote,
    Seen,
    SeenState,
    Trouble,
)

# What is true of every order of the call, not only of those for the same offering.
FOR_ALL = frozenset({Trouble.THROTTLE, Trouble.UNAVAILABLE, Trouble.CONFIGURATION})


@dataclass(slots=True)
class Launch:
    """`one` is called by several threads; `until` (monotonic) is when no further call begins."""

    settings: Ec2Settings
    ec2: Any
    templates: Templates
    pace: Pace
    clock: Clock
    until: float
    quotes: Callable[[CloudPool], tuple[Quote, ...]]
    subnet_of: Callable[[Order], str]
    # By client token: how often AWS said that it started nothing. Lives as long as the provider.
    answered: Counter[str]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _refused: dict[tuple[str, ...], ProviderError] = field(default_factory=dict)

    def one(self, order: Order) -> Launched:
        """The instance, or why there is none. Never raises."""
        place = (order.pool.instance_type, str(order.purchase), order.zone)
        try:
            self._spare(place)
            quote = self._quote(order)
            template = self.templates.spec()
            subnet = self.subnet_of(order)
            if not self.pace.take(self.until):
                said = f"more than {self.settings.calls_per_s:g} launches a second: the rest comes later"
                return ProviderError(said, trouble=Trouble.THROTTLE, code="Paced")
            self._spare(place)
            launched = self._ask(order, quote, template, subnet)
        except ProviderError as error:
            launched = error
        except Exception as error:
            launched = error_of(error, "launching")
        if isinstance(launched, ProviderError):
            self._remember(place, launched)
        return launched

    def _ask(self, order: Order, quote: Quote, template: dict[str, str], subnet: str) -> Launched:
        tags = names.launch_tags(order, self.settings.cluster, quote.price_micro, self.settings.tags)
        first = client_token(order, self.settings.cluster)
        request = fleet_request(
            order,
            template=template,
            subnet=subnet,
            max_price=usd_of_micro(order.max_price_micro, self.settings.usd_rate),
            tags=tags,
            answered=self.answered[first],
        )
        begun = self.clock.now()
        try:
            answer = self.ec2.create_fleet(**request)
        except Exception as error:
            raise error_of(error, f"launching {order.pool.instance_type} for {order.node}") from error
        found = launched_id(answer, order)
        if isinstance(found, ProviderError):
            self.answered[first] += 1
            return found
        return Seen(
            instance_id=found,
            state=SeenState.PENDING,
            node=order.node,
            generation=order.generation,
            token=order.token,
            zone=order.zone,
            purchase=order.purchase,
            price_micro=quote.price_micro,
            launched_at=begun,
        )

    def _quote(self, order: Order) -> Quote:
        """The offering's price now. ProviderError: none, or above the order's: nothing is launched."""
        offering = (order.pool.instance_type, order.purchase, order.zone)
        for quote in self.quotes(order.pool):
            if (quote.instance_type, quote.purchase, quote.zone) == offering:
                break
        else:
            said = f"{order.pool.instance_type}, {order.purchase}, {order.zone}: no price to be had"
            raise ProviderError(said, trouble=Trouble.PRICE, code="NoPrice")
        if quote.price_micro > order.max_price_micro:
            said = (
                f"{order.pool.instance_type}, {order.purchase}, {order.zone}: "
                f"{micro_to_text(quote.price_micro)} an hour is above {micro_to_text(order.max_price_micro)}"
            )
            raise ProviderError(said, trouble=Trouble.PRICE, code="TooDear")
        return quote

    def _spare(self, place: tuple[str, ...]) -> None:
        """Raise what a call before this one was told, where it would be told the same."""
        with self._lock:
            error = self._refused.get(()) or self._refused.get(place)
        if error is not None:
            raise error

    def _remember(self, place: tuple[str, ...], error: ProviderError) -> None:
        if error.trouble is Trouble.CONFIGURATION:
            self.templates.forget()
        if error.trouble is Trouble.PRICE and error.code in ("NoPrice", "TooDear"):
            return
        scope = () if error.trouble in FOR_ALL and error.code != "NoSubnet" else place
        with self._lock:
            self._refused.setdefault(scope, error)

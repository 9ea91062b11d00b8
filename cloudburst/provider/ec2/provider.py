"""The provider "ec2" at work. One object for one region of one account; it decides nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hetslurm.clock import Clock
from hetslurm.cloudburst.policy import CloudPool, ProviderSite, Purchase
from hetslurm.cloudburst.provider.ec2 import tags as names
from hetslurm.cloudburst.provider.ec2.bills import Bills
from hetslurm.cloudburst.provider.ec2.errors import error_of
from hetslurm.cloudburst.provider.ec2.gone import ids_in
from hetslurm.cloudburst.provider.ec2.launch import Launch
from hetslurm.cloudburst.provider.ec2.listing import (
    TELLING,
    Mark,
    by_token,
    instances_of,
    marks_of,
    seen_of,
    terms_of,
)
from hetslurm.cloudburst.provider.ec2.pace import Pace
from hetslurm.cloudburst.provider.ec2.quotes import Quotes
from hetslurm.cloudburst.provider.ec2.session import clients
from hetslurm.cloudburst.provider.ec2.settings import Ec2Settings, ec2_settings
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

# What AWS takes in one call.
TERMINATE_AT_ONCE = 1000
FILTER_VALUES = 200
# Calls that change something: EC2 lets so many pass at once, before it counts by the second.
CALL_BURST = 50
# All of one `launch`; orders whose turn has not come by then are told to come again.
LAUNCH_S = 120.0


def open_provider(site: ProviderSite, clock: Clock) -> Ec2Provider:
    """The provider of a [provider.NAME]. ConfigError: a key is missing; ProviderError: no boto3."""
    settings = ec2_settings(site)
    ec2, pricing = clients(settings)
    return Ec2Provider(settings, ec2=ec2, pricing=pricing, clock=clock)


class Ec2Provider:
    """`ec2` and `pricing` are boto3's clients; `pricing` None: only the admin's own prices count."""

    def __init__(self, settings: Ec2Settings, *, ec2: Any, pricing: Any, clock: Clock) -> None:
        self.settings = settings
        self._ec2 = ec2
        self._pricing = pricing
        self._clock = clock
        self._bills = Bills(settings, ec2)
        self._quotes = Quotes(settings, ec2, pricing, clock)
        self._templates = Templates(settings, ec2)
        self._pace = Pace(settings.calls_per_s, CALL_BURST, clock)
        self._pool = ThreadPoolExecutor(settings.calls_at_once, "hetslurm-ec2")
        self._answered: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._subnet_of: dict[str, str] | None = None

    def quotes(self, pool: CloudPool) -> tuple[Quote, ...]:
        """Prices of the pool's purchase options, in its zones that have a subnet."""
        return self._quotes.of_pool(pool, self._zones(pool))

    def launch(self, orders: Sequence[Order]) -> dict[str, Launched]:
        """A call an order, at the pace of `calls_per_s`. One refusal that holds for others spares theirs."""
        try:
            before = by_token(self._with_tokens([order.token for order in orders]))
        except ProviderError as error:
            # Without knowing what is there, nothing is started.
            return {order.token: error for order in orders}
        results: dict[str, Launched] = {
            order.token: before[order.token] for order in orders if order.token in before
        }
        wanted = {order.token: order for order in orders if order.token not in results}
        launch = Launch(
            settings=self.settings,
            ec2=self._ec2,
            templates=self._templates,
            pace=self._pace,
            clock=self._clock,
            until=self._clock.monotonic() + LAUNCH_S,
            quotes=self.quotes,
            subnet_of=self._subnet,
            answered=self._answered,
        )
        results |= self._prepared(wanted)
        asked = [order for order in wanted.values() if order.token not in results]
        for order, launched in zip(asked, self._pool.map(launch.one, asked), strict=True):
            results[order.token] = launched
        return self._with_addresses(results, frozenset(wanted))

    def seen(self) -> tuple[Seen, ...]:
        """Every instance with this cluster's tag; EC2 shows one that ended for about an hour.

        A spot instance counts as ended only when it is known what it has cost.
        """
        instances = self._describe([self._ours()])
        has_spot = any(instance.get("SpotInstanceRequestId") for instance in instances)
        marks = self._marks() if has_spot else {}
        return self._billed(instances, [seen_of(instance, marks) for instance in instances])

    def terminate(self, instance_ids: Sequence[str]) -> dict[str, ProviderError]:
        """In batches. Ids that EC2 does not know (any more) are left out and the rest is tried again."""
        refused: dict[str, ProviderError] = {}
        for at in range(0, len(instance_ids), TERMINATE_AT_ONCE):
            left = list(instance_ids[at : at + TERMINATE_AT_ONCE])
            while left:
                try:
                    self._ec2.terminate_instances(InstanceIds=left)
                except Exception as raised:
                    error = error_of(raised, "ending instances")
                    unknown = ids_in(str(error)) if error.code.startswith("InvalidInstanceID") else set()
                    rest = [one for one in left if one not in unknown]
                    if len(rest) < len(left):
                        left = rest
                        continue
                    refused |= dict.fromkeys(left, error)
                break
        return refused

    def extend(self, instance_id: str, deadline_at: float) -> None:
        """A new deadline in its tag; its guard reads it within half a minute."""
        tag = {names.DEADLINE: names.deadline_text(deadline_at)}
        try:
            self._ec2.create_tags(Resources=[instance_id], Tags=names.as_aws(tag))
        except Exception as error:
            raise error_of(error, f"extending {instance_id}") from error

    def close(self) -> None:
        """End threads and connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for client in (self._ec2, self._pricing):
            if client is not None:
                with suppress(Exception):
                    client.close()

    def _billed(self, instances: Sequence[Any], seen: Sequence[Seen]) -> tuple[Seen, ...]:
        terms = {str(one["InstanceId"]): terms_of(one) for one in instances}
        bills = self._bills.of(seen, terms, self._clock.now())
        found = []
        for one in seen:
            if one.instance_id in bills:
                found.append(replace(one, price_micro=bills[one.instance_id]))
            elif one.state is SeenState.ENDED and one.purchase is Purchase.SPOT:
                found.append(replace(one, state=SeenState.ENDING, ended_at=None))
            else:
                found.append(one)
        return tuple(found)

    def _prepared(self, orders: Mapping[str, Order]) -> dict[str, Launched]:
        """Ask for what orders share, once and before they go apart; those that it fails, with the error."""
        failed: dict[str, Launched] = {}
        if not orders:
            return failed
        try:
            self._templates.spec()
        except ProviderError as error:
            return dict.fromkeys(orders, error)
        for pool in {order.pool.partition: order.pool for order in orders.values()}.values():
            try:
                self.quotes(pool)
            except ProviderError as error:
                of_pool = (token for token, order in orders.items() if order.pool.partition == pool.partition)
                failed |= dict.fromkeys(of_pool, error)
        return failed

    def _ours(self) -> dict[str, Any]:
        return {"Name": f"tag:{names.CLUSTER}", "Values": [self.settings.cluster]}

    def _zones(self, pool: CloudPool) -> tuple[str, ...]:
        if pool.region and pool.region != self.settings.region:
            said = f"pool {pool.partition} is in {pool.region}, its provider in {self.settings.region}"
            raise ProviderError(
                f"{said}: one provider is one region", trouble=Trouble.CONFIGURATION, code="Region"
            )
        subnets = self._subnets()
        if not subnets:
            return pool.zones or ("",)
        return tuple(zone for zone in pool.zones or tuple(sorted(subnets)) if zone in subnets)

    def _subnet(self, order: Order) -> str:
        """ "": the launch template, or EC2, has one. ProviderError: the zone has none of ours."""
        subnets = self._subnets()
        if not subnets:
            return ""
        if order.zone not in subnets:
            said = f"zone {order.zone}: none of provider.{self.settings.name}.subnets is there"
            raise ProviderError(said, trouble=Trouble.CONFIGURATION, code="NoSubnet")
        return subnets[order.zone]

    def _subnets(self) -> dict[str, str]:
        """By zone: the first of the admin's subnets there. Asked for once."""
        with self._lock:
            if self._subnet_of is None:
                found: dict[str, str] = {}
                if self.settings.subnets:
                    try:
                        answer = self._ec2.describe_subnets(SubnetIds=list(self.settings.subnets))
                    except Exception as error:
                        raise error_of(error, "subnets") from error
                    zones = {
                        str(one["SubnetId"]): str(one["AvailabilityZone"])
                        for one in answer.get("Subnets", ())
                    }
                    for subnet in self.settings.subnets:
                        found.setdefault(zones.get(subnet, ""), subnet)
                self._subnet_of = found
            return self._subnet_of

    def _with_tokens(self, tokens: Sequence[str]) -> list[Seen]:
        found = []
        for at in range(0, len(tokens), FILTER_VALUES):
            values = list(tokens[at : at + FILTER_VALUES])
            found += self._describe([self._ours(), {"Name": f"tag:{names.TOKEN}", "Values": values}])
        # What one that ended has cost is for `seen` to find out.
        return [replace(seen_of(instance), ended_at=None) for instance in found]

    def _with_addresses(self, results: dict[str, Launched], fresh: frozenset[str]) -> dict[str, Launched]:
        """EC2 tells addresses when asked again. Where it does not know a new instance yet, `seen` will."""
        ids = {
            one.instance_id: token
            for token, one in results.items()
            if token in fresh and isinstance(one, Seen)
        }
        wanted = list(ids)
        for at in range(0, len(wanted), FILTER_VALUES):
            values = wanted[at : at + FILTER_VALUES]
            with suppress(ProviderError):
                for instance in self._describe([{"Name": "instance-id", "Values": values}]):
                    one = seen_of(instance)
                    if one.instance_id in ids and one.token == ids[one.instance_id]:
                        results[one.token] = one
        return results

    def _describe(self, filters: list[dict[str, Any]]) -> list[Any]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=filters, PaginationConfig={"PageSize": 1000}
        )
        try:
            return list(instances_of(pages))
        except Exception as error:
            raise error_of(error, "listing instances") from error

    def _marks(self) -> dict[str, Mark]:
        """By spot request: those whose instances EC2 takes, or took, away. They are few."""
        pages = self._ec2.get_paginator("describe_spot_instance_requests").paginate(
            Filters=[{"Name": "status-code", "Values": list(TELLING)}], PaginationConfig={"PageSize": 1000}
        )
        try:
            return marks_of(one for page in pages for one in page.get("SpotInstanceRequests") or ())
        except Exception as error:
            raise error_of(error, "spot requests") from error

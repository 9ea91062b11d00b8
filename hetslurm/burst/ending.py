"""Instances end: told to, seen to have ended, paid. What cannot be seen in time stays for the reconciler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hetslurm.burst.addresses import forget_addresses
from hetslurm.burst.power import Power
from hetslurm.cloudburst.ledger.values import Instance
from hetslurm.cloudburst.provider.protocol import Provider, ProviderError, Seen, SeenState
from hetslurm.errors import SlurmError

FIRST_LOOK_S = 0.2
LONGEST_LOOK_S = 8.0


def end_instances(
    power: Power, instances: Sequence[Instance], why: str, *, patience_s: float
) -> frozenset[str]:
    """Tell live instances to end, and pay those that are seen to have ended within `patience_s`.

    The names of the nodes whose instances are paid. One that was never launched, as far as the provider
    shows, is left to the reconciler: whoever launches it may be at work.
    """
    paid: set[str] = set()
    by_provider: dict[str, list[Instance]] = {}
    for instance in instances:
        by_provider.setdefault(instance.provider, []).append(instance)
    for name, of_provider in by_provider.items():
        provider = power.providers.get(name)
        if provider is None:
            power.log.error("burst end", provider=name, why="burst.toml does not have this provider")
        else:
            paid.update(_end_at(power, provider, of_provider, why, patience_s))
    # Only now: slurmctld may have had a word to say to its slurmd until then.
    _forget(power, [instance.node for instance in instances])
    return frozenset(paid)


def _forget(power: Power, nodes: Sequence[str]) -> None:
    try:
        forget_addresses(power.book, power.slurm, nodes)
    except SlurmError as error:
        power.log.warning("burst address", why=str(error))


def _end_at(
    power: Power, provider: Provider, instances: Sequence[Instance], why: str, patience_s: float
) -> Iterator[str]:
    waiting = {instance.token: instance for instance in instances}
    ids = {i.token: i.instance_id for i in instances if i.instance_id}
    if len(ids) < len(waiting):
        # Launched perhaps by somebody who could not write it down.
        seen = _look(power, provider)
        ids |= {token: seen[token].instance_id for token in waiting if seen and token in seen}
    for token in ids:
        power.book.terminating(waiting[token].node, waiting[token].generation, why)
    if not ids or not _terminate(power, provider, list(ids.values())):
        return
    until = power.clock.now() + patience_s
    look_s = FIRST_LOOK_S
    while True:
        ended = [one for token, one in _look(power, provider).items() if token in ids and _is_over(one)]
        for one in ended:
            instance = waiting[one.token]
            ended_at = one.ended_at if one.ended_at is not None else power.clock.now()
            _pay(power, instance, one, ended_at, why)
            del ids[one.token]
            yield instance.node
        if not ids or power.clock.now() + look_s > until:
            return
        power.pause(look_s)
        look_s = min(2 * look_s, LONGEST_LOOK_S)


def _pay(power: Power, instance: Instance, seen: Seen, ended_at: float, why: str) -> None:
    if not instance.instance_id:
        power.book.launched(
            instance.node,
            instance.generation,
            instance_id=seen.instance_id,
            zone=seen.zone,
            purchase=seen.purchase,
            instance_type=instance.instance_type,
            price_micro=seen.price_micro,
            on_demand_micro=instance.on_demand_micro,
            launched_at=seen.launched_at,
        )
    power.book.ended(instance.node, instance.generation, ended_at, why, price_micro=seen.price_micro)


def _terminate(power: Power, provider: Provider, ids: list[str]) -> bool:
    try:
        refused = provider.terminate(ids)
    except ProviderError as error:
        power.log.warning("burst terminate", instances=len(ids), why=str(error))
        return False
    for instance_id, refusal in refused.items():
        power.log.error("burst terminate", instance=instance_id, why=str(refusal))
    return True


def _look(power: Power, provider: Provider) -> dict[str, Seen]:
    """By token; nothing when the provider does not answer."""
    try:
        return {one.token: one for one in provider.seen()}
    except ProviderError as error:
        power.log.warning("burst look", why=str(error))
        return {}


def _is_over(seen: Seen) -> bool:
    return seen.state is SeenState.ENDED

"""The life of an instance: on disk before the provider hears of it, paid when it is gone.

intend ──▶ INTENT ──launched──▶ LAUNCHED ──terminating──▶ TERMINATING ──ended──▶ ENDED (paid)
             │ failed ▶ FAILED (nothing owed); one that turns up after all is LAUNCHED again
"""

from __future__ import annotations

from math import isfinite

from hetslurm.cloudburst.ledger import costs, instances, reservations
from hetslurm.cloudburst.ledger.caps import MOST_MICRO
from hetslurm.cloudburst.ledger.journal import Act
from hetslurm.cloudburst.ledger.values import EntryKind, Instance, InstanceState
from hetslurm.cloudburst.money import cost_micro, text_of
from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.worst_case import SLACK_S
from hetslurm.errors import LedgerError, NoReservation


def intend(act: Act, node: str, *, cluster: str, provider: str, billed_least_s: float) -> Instance:
    """Commit the money of one attempt to a new boot of the node. A live one is the answer as it is.

    NoReservation when no open reservation holds the node, or what it holds does not cover one more instance
    beside those of it that live.
    """
    current = instances.instance_of(act.db, node)
    if current is not None and current.state.is_live:
        return current
    held = reservations.reservation_of_node(act.db, node)
    if held is None:
        raise NoReservation(f"{node}: no money is set aside for it; nothing is started")
    one = reservations.attempt_of_node(held.wanted.attempt_micro, len(held.wanted.node_names))
    live = instances.count_live(act.db, held.res_id)
    if held.held_micro < (live + 1) * one:
        raise NoReservation(
            f"{node}: reservation {held.res_id} holds {text_of(held.held_micro)}, {live} other instances may "
            f"need {text_of(live * one)} of it, and one more attempt may cost {text_of(one)}; "
            "nothing is started"
        )
    generation = instances.newest_generation(act.db, node) + 1
    token = f"{cluster}-{node}-{generation}"
    act.db.execute(
        "INSERT INTO instances (node, generation, res_id, partition, provider, token, state, price_cap_micro,"
        " billed_least_s, intended_at, deadline_at) VALUES (?, ?, ?, ?, ?, ?, 'intent', ?, ?, ?, ?)",
        (
            *(node, generation, held.res_id, held.wanted.partition, provider, token),
            *(held.wanted.price_cap_micro, billed_least_s),
            *(act.now, act.now + held.wanted.attempt_s - SLACK_S),
        ),
    )
    act.db.execute(
        "UPDATE reservations SET state = 'committed', changed_at = ? WHERE res_id = ?",
        (act.now, held.res_id),
    )
    act.append(EntryKind.COMMIT, held.res_id, held.wanted.payer, what=token)
    return instances.must(act.db, node, generation)


def ordered(
    act: Act,
    node: str,
    generation: int,
    *,
    instance_type: str,
    purchase: Purchase,
    zone: str,
    price_micro: int,
) -> Instance:
    """Which offering is about to be tried, for whoever must look it up after a crash."""
    old = instances.must(act.db, node, generation)
    if old.state is InstanceState.INTENT:
        act.db.execute(
            "UPDATE instances SET instance_type = ?, purchase = ?, zone = ?, price_micro = ?"
            " WHERE node = ? AND generation = ?",
            (instance_type, purchase, zone, _price(price_micro), node, generation),
        )
    return instances.must(act.db, node, generation)


def launched(
    act: Act,
    node: str,
    generation: int,
    *,
    instance_id: str,
    zone: str,
    purchase: Purchase,
    instance_type: str,
    price_micro: int,
    on_demand_micro: int,
    launched_at: float,
) -> Instance:
    """It exists. LedgerError where another one is known under the same token: end that other one."""
    old = instances.must(act.db, node, generation)
    if not instance_id:
        raise LedgerError(f"{old.token} cannot be launched without an id")
    if old.instance_id and old.instance_id != instance_id:
        raise LedgerError(f"{old.token} is {old.instance_id}; {instance_id} is one too many: end it")
    if old.instance_id or old.state is InstanceState.ENDED:
        return old
    state = InstanceState.TERMINATING if old.state is InstanceState.TERMINATING else InstanceState.LAUNCHED
    act.db.execute(
        "UPDATE instances SET state = ?, instance_id = ?, zone = ?, purchase = ?, instance_type = ?,"
        " price_micro = ?, on_demand_micro = ?, launched_at = ? WHERE node = ? AND generation = ?",
        (
            *(state, instance_id, zone, purchase, instance_type, _price(price_micro)),
            *(_price(on_demand_micro), launched_at, node, generation),
        ),
    )
    return instances.must(act.db, node, generation)


def terminating(act: Act, node: str, generation: int, why: str) -> Instance:
    """It was told to end, or is about to be. The first reason stays."""
    old = instances.must(act.db, node, generation)
    if old.state in (InstanceState.INTENT, InstanceState.LAUNCHED):
        _set_state(act, old, InstanceState.TERMINATING, why)
    return instances.must(act.db, node, generation)


def failed(act: Act, node: str, generation: int, why: str) -> Instance:
    """It never existed: nothing is owed. LedgerError for one that has an id: that one ends, and is paid."""
    old = instances.must(act.db, node, generation)
    if old.instance_id and old.state.is_live:
        raise LedgerError(f"{old.token} is {old.instance_id}: it exists, so end it and let it be paid")
    if old.state.is_live:
        _set_state(act, old, InstanceState.FAILED, why)
    return instances.must(act.db, node, generation)


def ended(
    act: Act, node: str, generation: int, ended_at: float, why: str, *, price_micro: int | None = None
) -> Instance:
    """It is gone: what it cost is spent out of its reservation, and more than that holds is an overrun.

    A spot instance may have become dearer: the dearer of its price at launch and `price_micro` is paid. One
    whose launch was never noted is paid from its intent on, and one without a price at its price cap:
    what is not known is never taken for nothing.
    """
    old = instances.must(act.db, node, generation)
    if not old.state.is_live:
        return old
    begun_at = old.intended_at if old.launched_at is None else old.launched_at
    if not isfinite(ended_at):
        raise LedgerError(f"{old.token} cannot have ended at {ended_at}")
    price = old.price_micro if old.launched_at is not None else max(old.price_micro, old.price_cap_micro)
    if price_micro is not None:
        price = max(price, _price(price_micro))
    cost = cost_micro(price, max(0.0, ended_at - begun_at), least_s=old.billed_least_s)
    act.db.execute(
        "UPDATE instances SET state = 'ended', ended_at = ?, cost_micro = ?, price_micro = ?,"
        " why = CASE WHEN why = '' THEN ? ELSE why END WHERE node = ? AND generation = ?",
        (ended_at, cost, price, why, node, generation),
    )
    costs.end_runs(act.db, node, generation, ended_at)
    held = reservations.must(act.db, old.res_id)
    paid = min(cost, held.held_micro)
    act.db.execute(
        "UPDATE reservations SET spent_micro = spent_micro + ?, changed_at = ? WHERE res_id = ?",
        (cost, act.now, old.res_id),
    )
    payer, what = held.wanted.payer, f"{old.token} {old.instance_id}".rstrip()
    act.append(EntryKind.SPEND, old.res_id, payer, reserved_micro=-paid, spent_micro=paid, what=what)
    if cost > paid:
        act.append(EntryKind.OVERRUN, old.res_id, payer, spent_micro=cost - paid, what=what)
    return instances.must(act.db, node, generation)


def _set_state(act: Act, old: Instance, state: InstanceState, why: str) -> None:
    act.db.execute(
        "UPDATE instances SET state = ?, why = ? WHERE node = ? AND generation = ?",
        (state, why, old.node, old.generation),
    )


def _price(price_micro: int) -> int:
    if (
        isinstance(price_micro, bool)
        or not isinstance(price_micro, int)
        or not 0 <= price_micro <= MOST_MICRO
    ):
        raise LedgerError(f"a price is a whole number of micro-units per hour, not {price_micro!r}")
    return price_micro

"""What the policy would do with the queue as it is, without doing it: the judgement of admission, as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hetslurm.burst.verdicts import NEVER, Judge, Judged, Verdict, instead
from hetslurm.cloudburst.admission import asks
from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.market import Market, open_market
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.provider.protocol import Quote
from hetslurm.cloudburst.purse import Purse
from hetslurm.cluster import Cluster
from hetslurm.errors import SlurmRefused
from hetslurm.pool import Pool
from hetslurm.site import Site
from hetslurm.slurm.protocol import SlurmAdapter


@dataclass(frozen=True, slots=True)
class Money:
    """What a look at the ledger gave. `taken` are nodes of open reservations and live instances."""

    purse: Purse
    cooled: Sequence[Cooldown]
    taken: frozenset[str]


@dataclass(frozen=True, slots=True)
class BurstPlan:
    """The market, and a verdict for every job whose author does not say burst=never."""

    market: Market
    judged: tuple[Judged, ...]


def make_plan(
    policy: Policy,
    site: Site,
    cluster: Cluster,
    pools: Sequence[Pool],
    quotes: Mapping[str, Sequence[Quote]],
    money: Money,
    adapter: SlurmAdapter,
    now: float,
) -> BurstPlan:
    """Judge job after job, as admission does; each sees what those before it would take. Reads only."""
    market = open_market(policy, cluster, quotes, money.cooled, money.taken, now)
    judge = Judge(policy, site, cluster, pools, market, now)
    found = []
    for one in judge.waiting:
        judged = judge.judge(one)
        if judged.verdict is Verdict.SPILL:
            try:
                judged = judge.judge(one, adapter.read_job(one.job.job_id))
            except SlurmRefused:
                continue  # it has gone
        if judged.verdict is Verdict.SPILL and judged.move is not None:
            wanted = judged.move.wanted
            if why := money.purse.why_not(wanted.payer, wanted.amount_micro):
                judged = instead(judged, why)
            else:
                money.purse.promise(wanted.payer, wanted.amount_micro)
        judge.settle(judged)
        found.append(judged)
    return BurstPlan(market, tuple(found))


def plan_json(plan: BurstPlan, policy: Policy) -> dict[str, Any]:
    """The object that `hetslurm burst plan --json` prints. A contract: keys are only ever added."""
    return {
        "currency": policy.currency,
        "pools": [_pool_json(pool.partition, plan.market) for pool in policy.pools],
        "jobs": [_job_json(judged) for judged in plan.judged],
        "counts": counts(plan.judged),
    }


def counts(judged: Iterable[Judged]) -> dict[str, int]:
    """How many of each verdict."""
    found = dict.fromkeys((verdict.value for verdict in Verdict), 0)
    for one in judged:
        found[one.verdict.value] += 1
    return found


def _pool_json(partition: str, market: Market) -> dict[str, Any]:
    offer = market.offers.get(partition)
    if offer is None:
        return {"partition": partition, "offering": None, "free": 0, "why": market.closed.get(partition)}
    offering = {
        "instance_type": offer.pool.instance_type,
        "purchase": offer.offering.purchase.value,
        "zone": offer.offering.zone,
        "price_micro": offer.offering.price_micro,
        "on_demand_micro": offer.offering.on_demand_micro,
    }
    return {"partition": partition, "offering": offering, "free": len(offer.free), "why": None}


def _job_json(judged: Judged) -> dict[str, Any]:
    one = judged.waiting
    return {
        "job_id": one.job.job_id,
        "name": one.job.name,
        "user": one.job.user,
        "account": one.job.account,
        "app": one.request.app,
        "burst": asks(one.request),
        "verdict": judged.verdict.value,
        "why": judged.why,
        "partition": one.job.partition,
        "wait_s": None if one.is_only or judged.wait_s == NEVER else judged.wait_s,
        "cloud": _cloud_json(judged),
    }


def _cloud_json(judged: Judged) -> dict[str, Any] | None:
    move = judged.move
    if move is None:
        return None
    return {
        "target": move.chosen.target,
        "partition": move.wanted.partition,
        "node_names": list(move.wanted.node_names),
        "instance_type": move.offer.pool.instance_type,
        "purchase": move.offer.offering.purchase.value,
        "zone": move.offer.offering.zone,
        "price_micro": move.offer.offering.price_micro,
        "run_s": move.chosen.terms["run_s"].value,
        "expected_micro": round(move.chosen.terms["money"].value * 1e6),
        "limit_s": move.wanted.limit_s,
        "attempts": move.wanted.attempts,
        "attempt_micro": move.wanted.attempt_micro,
        "worst_case_micro": move.wanted.amount_micro,
    }

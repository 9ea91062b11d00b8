"""What becomes of every job that may burst: it spills, stays, or waits for something, and why. Reads only.

The same judgement serves the controller, which carries it out, and `hetslurm burst plan`, which shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from hetslurm.burst.views import Views, cloud_pools
from hetslurm.burst.waiting import Waiting, movable, waiting_jobs
from hetslurm.cloudburst.admission import limit_of, refusals, trigger
from hetslurm.cloudburst.ledger.values import Payer, Wanted
from hetslurm.cloudburst.market import Market, Offer
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.reconcile_values import OURS
from hetslurm.cloudburst.worst_case import WorstCase, worst_case
from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.estimates import estimate_waits
from hetslurm.native.kernel import View
from hetslurm.placement import Asked, Candidate, Decision, Tier, decision_json
from hetslurm.pool import Pool
from hetslurm.scoring import decide, explain
from hetslurm.site import Site
from hetslurm.slurm.asked import asked_of
from hetslurm.slurm.binding import bind, needed_nodes, needed_units
from hetslurm.slurm.protocol import JobDetail, JobUpdate

NEVER = float("inf")


class Verdict(StrEnum):
    """SPILL: it goes now. STAY: better where it is. WAIT: it would go, and something stands in the way.

    NEVER: it may not.
    """

    SPILL = "spill"
    STAY = "stay"
    WAIT = "wait"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Move:
    """Everything that takes a job to the cloud, money included."""

    chosen: Candidate
    decision: Decision
    offer: Offer
    update: JobUpdate
    worst: WorstCase
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Judged:
    """A job's verdict. `wait_s` is what it would wait on-premises (infinite: nothing can run it there)."""

    waiting: Waiting
    verdict: Verdict
    why: str
    wait_s: float = NEVER
    move: Move | None = None


class Judge:
    """One look at the queue. Jobs are judged in order: each sees the queue and the nodes others left."""

    def __init__(
        self,
        policy: Policy,
        site: Site,
        cluster: Cluster,
        pools: Sequence[Pool],
        market: Market,
        now: float,
        generation: int = 1,
    ) -> None:
        """`pools` are the on-premises ones; `now` Unix seconds; `generation` the snapshot's."""
        self._policy = policy
        self._cluster = cluster
        self._market = market
        self._now = now
        self.waiting = waiting_jobs(cluster, policy)
        ours = {one.job.job_id for one in self.waiting}
        others = replace(cluster, jobs=tuple(job for job in cluster.jobs if job.job_id not in ours))
        self._depth = sum(
            job.state == "PENDING" and job.priority > 0 and job.partition not in policy.partitions
            for job in cluster.jobs
        )
        self._views = Views(
            cluster,
            site,
            estimate_waits(pools, others) if ours else (),
            cloud_pools(market, cluster, site),
            market,
            generation,
        )
        self._given: set[str] = set()

    def judge(self, one: Waiting, detail: JobDetail | None = None) -> Judged:
        """The verdict; `detail` None: --constraint, --nodelist, --reservation count as not given."""
        job, request = one.job, one.request
        if detail is not None:
            job = detail.job
        pins = _pins(one)
        refused = refusals(self._policy.spill, job, request, pins, placeholder=one.is_placeholder)
        refused += _refused_details(detail)
        if refused:
            return Judged(one, Verdict.NEVER, "; ".join(refused))
        asked = asked_of(job, pins, self._cluster, detail)
        at_home = None if one.is_only else self._decide(one, asked, job.partition, cloud=False)
        wait_s = _wait_s(at_home)
        why = trigger(
            self._policy.spill,
            request,
            wait_s=wait_s,
            depth=self._depth,
            finish_at=self._now + _finish_s(at_home),
        )
        return self._judge_cloud(one, job, asked, why, wait_s)

    def settle(self, judged: Judged) -> None:
        """The next jobs see what this one takes: nodes in the cloud, or its place in the queue."""
        one = judged.waiting
        if judged.verdict is Verdict.SPILL and judged.move is not None:
            self._given |= set(judged.move.wanted.node_names)
        elif not one.is_only:
            asked = asked_of(one.job, one.record.pins, self._cluster)
            at_home = self._decide(one, asked, one.job.partition, cloud=False)
            if at_home.chosen is not None:
                units = needed_units(one.request.targets[at_home.chosen.alt], asked)
                self._views.count(at_home.chosen.pool, units, at_home.chosen.terms["run_s"].value)

    def explain(self, one: Waiting, detail: JobDetail) -> dict[str, Any]:
        """The JSON of `hetslurm explain` for what was decided on: where it waits, and the cloud's pools."""
        asked = asked_of(detail.job, _pins(one), self._cluster, detail)
        view = self._view(one, "" if one.is_only else one.job.partition, cloud=True)
        decision = explain(view, one.request, asked, self._now)
        return {**decision_json(decision), "job_id": one.job.job_id, "currency": view.currency}

    def _judge_cloud(self, one: Waiting, job: QueuedJob, asked: Asked, why: str, wait_s: float) -> Judged:
        able = movable(one.request, job, one.record.pins, self._cluster.version)
        if isinstance(able, str):
            return Judged(one, Verdict.NEVER, able, wait_s)
        left = replace(one, request=replace(one.request, targets=tuple(one.request.targets[i] for i in able)))
        best = self._decide(left, asked, "" if one.is_only else job.partition, cloud=True)
        chosen = best.chosen and replace(best.chosen, alt=able[best.chosen.alt])
        if chosen is None or best.tier is not Tier.FEASIBLE:
            if chosen is not None and chosen.partition not in self._market.offers:
                return Judged(one, Verdict.STAY, "no cloud pool can run it now", wait_s)
            closed = self._market.why_closed
            reasons = (
                "; ".join(filter(None, ("; ".join(best.reasons), closed))) or "no cloud pool is declared"
            )
            return Judged(one, Verdict.WAIT, reasons, wait_s)
        if chosen.partition not in self._market.offers:
            closed = f" ({self._market.why_closed})" if self._market.closed else ""
            return Judged(one, Verdict.STAY, f"{chosen.pool} scores better{closed}", wait_s)
        if not why:
            return Judged(
                one, Verdict.STAY, f"{chosen.pool} scores better, but nothing asks for a spill", wait_s
            )
        return self._plan_move(one, job, asked, best, chosen, why, wait_s)

    def _plan_move(
        self,
        one: Waiting,
        job: QueuedJob,
        asked: Asked,
        decision: Decision,
        chosen: Candidate,
        why: str,
        wait_s: float,
    ) -> Judged:
        offer = self._market.offers[chosen.partition]
        target = one.request.targets[chosen.alt]
        count = max(needed_nodes(target, asked), job.nodes if "n" in one.record.pins else 1)
        update = replace(bind(one.request, asked, one.record.pins, chosen), nodes=count)
        update = without_leftovers(update, one, chosen)
        limit_s = limit_of(job, update.time_limit_min)
        pool = next(pool for pool in self._views.cloud if pool.name == chosen.pool)
        # A node that failed lately last of all: Slurm may still have a word for its last run of this job.
        failed = {node.name for node in self._cluster.nodes if node.reason.startswith(OURS)}
        free = [name for name in pool.node_names if name not in self._given]
        free.sort(key=lambda name: name in failed)
        # What a target of before asked for stays where this one asks for nothing.
        mem_mb = update.mem_mb_per_node or job.mem_mb_per_node
        most = self._policy.spill.max_nodes_per_job
        worst = worst_case(offer.pool, self._policy.retry, nodes=count, limit_s=limit_s or 0.0)
        max_cost = one.request.max_cost_micro
        stops = (
            ("it has no time limit", limit_s is None),
            (f"it wants {count} nodes, and {most} may go", count > most),
            (
                f"it wants {mem_mb} MiB, and a node there has {pool.mem_mb_per_node}",
                mem_mb > pool.mem_mb_per_node,
            ),
            (f"it wants {count} nodes of {chosen.partition}, {len(free)} are free", len(free) < count),
            (
                f"a run may cost {text_of(worst.attempt_micro)}, and max_cost is {text_of(max_cost or 0)}",
                max_cost is not None and worst.attempt_micro > max_cost,
            ),
        )
        stop = next((text for text, holds in stops if holds and text), "")
        names = tuple(free[:count])
        wanted = Wanted(
            job_id=job.job_id,
            submit_at=int(job.submit_at),
            payer=Payer(job.account.lower(), job.user, one.request.app or ""),
            partition=chosen.partition,
            node_names=names,
            price_cap_micro=offer.pool.max_price_micro,
            attempts=worst.attempts,
            attempt_s=worst.attempt_s,
            attempt_micro=worst.attempt_micro,
            amount_micro=worst.total_micro,
            limit_s=limit_s or 0.0,
            expires_at=self._now + self._policy.retry.reservation_s,
        )
        move = Move(chosen, decision, offer, replace(update, node_names=names), worst, wanted)
        if stop:
            return Judged(one, Verdict.WAIT, stop, wait_s, move)
        return Judged(one, Verdict.SPILL, why, wait_s, move)

    def _decide(self, one: Waiting, asked: Asked, partition: str, *, cloud: bool) -> Decision:
        view = self._view(one, partition, cloud=cloud)
        return decide(view, one.request, asked, self._now, backlog=self._views.backlog(view))

    def _view(self, one: Waiting, partition: str, *, cloud: bool) -> View:
        longest = max((target.time_s for target in one.request.targets), default=0)
        named = frozenset(filter(None, one.record.cloud.split(",")))
        return self._views.view(partition, cloud=cloud, named=named, run_s=float(longest or 3600))


def _pins(one: Waiting) -> str:
    """A burst=only job that names cloud partitions waits in another one, which its author did not name."""
    return one.record.pins.replace("p", "") if one.record.cloud else one.record.pins


def instead(judged: Judged, why: str) -> Judged:
    """It would have gone, and something stands in the way."""
    return replace(judged, verdict=Verdict.WAIT, why=why)


def without_leftovers(update: JobUpdate, one: Waiting, chosen: Candidate) -> JobUpdate:
    """A target that asks for no cpus gets one a node, not those of the target that the job was bound to."""
    was, now = one.record, one.request.targets[chosen.alt]
    bound_cpus = one.request.targets[was.alt].cpus if was.alt < len(one.request.targets) else 0
    if was.state == "held" or was.alt == chosen.alt or now.cpus or not bound_cpus or "c" in was.pins:
        return update
    return replace(update, tasks=update.nodes, cpus_per_task=1, cpus_per_node=1)


def _refused_details(detail: JobDetail | None) -> tuple[str, ...]:
    """What only a second look at the job tells."""
    if detail is None:
        return ()
    found = (
        ("it is not pending any more", detail.job.state != "PENDING"),
        ("it waits for other jobs", bool(detail.dependency)),
        ("it has a reservation", bool(detail.reservation)),
        ("its author named nodes", bool(detail.required_nodes)),
    )
    return tuple(text for text, holds in found if holds)


def _wait_s(decision: Decision | None) -> float:
    chosen = decision.chosen if decision else None
    return NEVER if chosen is None else chosen.terms["wait_s"].value


def _finish_s(decision: Decision | None) -> float:
    chosen = decision.chosen if decision else None
    if chosen is None:
        return NEVER
    return sum(chosen.terms[name].value for name in ("wait_s", "startup_s", "transfer_s", "run_s"))

"""Admission, once a cycle: ends what was begun, brings home what lost its money, lets go who may.

Level-triggered: everything follows from the queue, the book and the market as they are now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from hetslurm.burst.hands import Auditor
from hetslurm.burst.move import Mover
from hetslurm.burst.telling import Telling
from hetslurm.burst.verdicts import Judge, Judged, Verdict, instead
from hetslurm.clock import Clock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Reservation, ReservationState
from hetslurm.cloudburst.market import Market, open_market
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.provider.protocol import Quote
from hetslurm.cloudburst.purse import Purse
from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.daemon.log import Log
from hetslurm.errors import BudgetExceeded, LedgerError, SlurmError, SlurmUnavailable
from hetslurm.pool import Pool
from hetslurm.site import Site
from hetslurm.slurm.protocol import SlurmAdapter
from hetslurm.slurm.record import parse_record

TRY_AGAIN_S = 30.0
# Slurm 22.05 says so of an --exclusive job that was requeued on cloud nodes, and holds it for ever.
NEVER_RUNS = "BadConstraints"

Quotes = Mapping[str, Sequence[Quote]]


@dataclass(frozen=True, slots=True)
class Spilled:
    """A job that left, as it was; `generation` is its record's, `explanation` the JSON of explain."""

    job: QueuedJob
    generation: int
    explanation: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpillReport:
    """What a step did: jobs that left, came home, and would leave but for something in the way."""

    spilled: int = 0
    home: int = 0
    waiting: int = 0
    left: tuple[Spilled, ...] = ()


class Spiller:
    """One a controller; the book is its own to write."""

    def __init__(self, adapter: SlurmAdapter, book: Book, audit: Auditor, *, log: Log, clock: Clock) -> None:
        self._adapter = adapter
        self._book = book
        self._log = log
        self._clock = clock
        self.mover = Mover(adapter, book, audit, log, clock)
        self._telling = Telling(adapter, log, clock)
        self._later: dict[int, tuple[float, str]] = {}  # job → when to try again (monotonic), and why not now
        self._open: frozenset[int] = frozenset()
        self._over: frozenset[int] = frozenset()
        self._left: list[Spilled] = []

    def step(
        self,
        policy: Policy,
        site: Site,
        cluster: Cluster,
        pools: Sequence[Pool],
        quotes: Quotes,
        *,
        until: float,
        generation: int = 1,
    ) -> SpillReport:
        """What there is time for (`until`: monotonic seconds). `pools` are the on-premises ones.

        `generation` is that of the snapshot which the cluster made.

        Raises SlurmUnavailable and LedgerError; what was begun is ended by the next step.
        """
        ended = self.mover.under_way
        self.mover.finish()
        market = self._market(policy, cluster, quotes)
        home = self._bring_home(policy, cluster, market, ended, until)
        purse = Purse.of(self._book.caps_in_force(), self._book.usage(), policy.currency)
        judge = Judge(policy, site, cluster, pools, market, self._clock.now(), generation)
        ids = {one.job.job_id for one in judge.waiting}
        self._telling.keep(ids)
        there = {job.job_id for job in cluster.jobs}
        self._later = {job: later for job, later in self._later.items() if job in there}
        waiting = 0
        self._left = []
        for one in judge.waiting:
            if self._clock.monotonic() > until:
                break
            try:
                judged = self._with_money(judge.judge(one), purse)
                if judged.verdict is Verdict.SPILL:
                    judged = self._try(judge, judged, purse)
                judge.settle(judged)
            except ValueError as error:  # one record that nobody can read keeps no other job waiting
                if one.job.job_id not in self._later:
                    self._put_off(one.job.job_id, "job not judged", error)
                continue
            waiting += judged.verdict is Verdict.WAIT
            if one.is_placeholder and judged.verdict is not Verdict.SPILL:
                self._telling.tell(one.job, judged.why)
        return SpillReport(len(self._left), home, waiting, tuple(self._left))

    def _market(self, policy: Policy, cluster: Cluster, quotes: Quotes) -> Market:
        taken = {name for r in self._book.open_reservations() for name in r.wanted.node_names}
        taken |= {instance.node for instance in self._book.instances()}
        return open_market(policy, cluster, quotes, self._book.cooled(), frozenset(taken), self._clock.now())

    def _try(self, judge: Judge, judged: Judged, purse: Purse) -> Judged:
        """Look again, closer, and go. What Slurm or the ledger refuses waits."""
        job_id = judged.waiting.job.job_id
        at, why = self._later.get(job_id, (0.0, ""))
        if at > self._clock.monotonic():
            return instead(judged, why)
        try:
            detail = self._adapter.read_job(job_id)
            if _has_changed(judged.waiting.job, detail.job):
                return instead(judged, "it changed a moment ago")
            judged = self._with_money(judge.judge(judged.waiting, detail), purse)
            if judged.verdict is not Verdict.SPILL or judged.move is None:
                return judged
            reservation = self.mover.spill(judged, detail)
        except SlurmUnavailable:
            raise
        except BudgetExceeded as error:
            return instead(judged, str(error))
        except (SlurmError, LedgerError) as error:
            self._put_off(job_id, "job not spilled", error)
            return instead(judged, str(error))
        explanation = judge.explain(judged.waiting, detail)
        self._left.append(Spilled(detail.job, judged.move.decision.generation, explanation))
        purse.promise(judged.move.wanted.payer, judged.move.wanted.amount_micro)
        self._log.info(
            "spilled job",
            job=job_id,
            target=judged.move.chosen.target,
            partition=reservation.wanted.partition,
            nodes=",".join(reservation.wanted.node_names),
            why=judged.why,
            res_id=reservation.res_id,
        )
        return judged

    def _put_off(self, job_id: int, event: str, error: Exception) -> None:
        self._later[job_id] = (self._clock.monotonic() + TRY_AGAIN_S, str(error))
        self._log.warning(event, job=job_id, why=error, again_in_s=TRY_AGAIN_S)

    def _with_money(self, judged: Judged, purse: Purse) -> Judged:
        """A cap that stands in the way, seen before anything is asked of Slurm."""
        if judged.verdict is not Verdict.SPILL or judged.move is None:
            return judged
        wanted = judged.move.wanted
        why = purse.why_not(wanted.payer, wanted.amount_micro)
        return instead(judged, why) if why else judged

    def _bring_home(
        self, policy: Policy, cluster: Cluster, market: Market, ended: frozenset[int], until: float
    ) -> int:
        """Jobs that wait in the cloud without money or hope, and money whose job never got there.

        Not those whose move ended since the cluster was read.
        """
        reservations = {r.res_id: r for r in self._book.open_reservations()}
        self._forget(reservations.keys(), cluster)
        busy, live = self.mover.under_way | ended, {one.res_id for one in self._book.instances()}
        waits = {job.job_id for job in cluster.jobs}
        arrived: set[int] = set()
        home = 0
        for job in cluster.jobs:
            own = res_of(job) if job.partition in policy.partitions else None
            if own is None:
                continue
            arrived.add(own)
            if job.state != "PENDING" or own in busy | live:
                continue
            paid = reservations.get(own) or self._closed(own)
            if paid is None:
                continue
            why = _why_home(job, paid, market)
            if why and self._clock.monotonic() <= until:
                home += self._send_home(paid, why)
        for res_id, reservation in reservations.items():
            if reservation.state is not ReservationState.RESERVED or res_id in arrived | busy | live:
                continue
            # Set aside by a controller that ended before it touched the job.
            if reservation.wanted.job_id in waits and reservation.created_at < cluster.read_at:
                self.mover.give_up(reservation, "its job never left")
        return home

    def _forget(self, open_now: AbstractSet[int], cluster: Cluster) -> None:
        """Where jobs came from, once they are over and so is their money."""
        self._over = (self._over | self._open) - open_now
        self._open = frozenset(open_now)
        if self._over:
            there = {res_of(job) for job in cluster.jobs}
            for res_id in self._over - there:
                self.mover.forget(res_id)
            self._over &= frozenset(res_id for res_id in there if res_id is not None)

    def _closed(self, res_id: int) -> Reservation | None:
        """A reservation that is over; None: this ledger never had it."""
        try:
            return self._book.reservation(res_id)
        except LedgerError:
            return None

    def _send_home(self, reservation: Reservation, why: str) -> bool:
        job_id = reservation.wanted.job_id
        if self._later.get(job_id, (0.0, ""))[0] > self._clock.monotonic():
            return False
        try:
            self.mover.return_home(reservation, why)
        except SlurmUnavailable:
            raise
        except SlurmError as error:
            self._put_off(job_id, "job not brought home", error)
            return False
        self._log.info("job brought home", job=job_id, res_id=reservation.res_id, why=why)
        return True


def res_of(job: QueuedJob) -> int | None:
    """The reservation that a job's record names."""
    record = parse_record(job.admin_comment) if '"res"' in job.admin_comment else None
    return record.res if record else None


def _has_changed(seen: QueuedJob, now: QueuedJob) -> bool:
    """Since the cluster was read, which may be a while ago."""
    return (seen.partition, seen.admin_comment, seen.priority > 0) != (
        now.partition,
        now.admin_comment,
        now.priority > 0,
    )


def _why_home(job: QueuedJob, reservation: Reservation, market: Market) -> str:
    if not reservation.state.is_open:
        return f"its money is {reservation.state}: {reservation.why}"
    if job.reason == NEVER_RUNS:
        return f"Slurm finds no node there that fits it any more ({NEVER_RUNS})"
    if job.partition in market.no_offering and job.priority > 0:
        return f"nothing is to be had there: {market.closed[job.partition]}"
    return ""

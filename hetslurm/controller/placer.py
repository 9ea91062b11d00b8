"""Places the jobs that the plugin held for want of a snapshot: decide, bind, read back, release."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hetslurm.clock import Clock
from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.controller.audit import Audit
from hetslurm.controller.cycle import Plan, RecordedJob
from hetslurm.controller.decisions import DecisionLog
from hetslurm.controller.event import Event, What
from hetslurm.controller.events import EventLog
from hetslurm.controller.life import facts_about, task_of
from hetslurm.daemon.log import Log
from hetslurm.daemon.stop import Stop
from hetslurm.errors import DirectiveError, SlurmError, SlurmUnavailable
from hetslurm.native import parser
from hetslurm.native.kernel import View, order_points
from hetslurm.placement import Candidate, Decision, Tier
from hetslurm.scoring import decide
from hetslurm.slurm.asked import asked_of, since_submit
from hetslurm.slurm.binding import (
    bind,
    differences,
    held_record,
    needed_units,
    placed_record,
    refused_record,
)
from hetslurm.slurm.protocol import JobUpdate, SlurmAdapter
from hetslurm.slurm.update import HET_LEADER

FIRST_RETRY_S, LAST_RETRY_S = 5.0, 300.0
# A job is bound once: where every pool is down (slurmctld has just started, say), patience pays.
SOFT_PATIENCE_S = 60.0

Backlog = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many held jobs were placed, and how many nothing here can run."""

    placed: int = 0
    for_good: int = 0


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What went wrong with a job, how often, and when to try again (monotonic seconds)."""

    text: str
    times: int
    again_at: float


class Placer:
    """Works through held jobs in submit order; each sees those before it in the pools' queues."""

    def __init__(
        self,
        adapter: SlurmAdapter,
        decisions: DecisionLog,
        audit: Audit,
        *,
        log: Log,
        clock: Clock,
        events: EventLog | None = None,
    ) -> None:
        self._adapter = adapter
        self._decisions = decisions
        self._audit = audit
        self._events = events
        self._log = log
        self._clock = clock
        self._trouble: dict[int, _Trouble] = {}
        self._refused: dict[int, str] = {}
        self._seen_at: dict[int, float] = {}

    def place(self, plan: Plan, cluster: Cluster, view: View, *, until: float, stop: Stop) -> Outcome:
        """Place what there is time for (`until`: monotonic seconds), the rest in the next cycle."""
        self._finish_intents(plan)
        waiting = {one.job.job_id for one in plan.held}
        self._trouble = {job: trouble for job, trouble in self._trouble.items() if job in waiting}
        self._refused = {job: why for job, why in self._refused.items() if job in waiting}
        self._seen_at = {job: self._seen_at.get(job, self._clock.monotonic()) for job in waiting}
        backlog: Backlog = (np.zeros(view.n_pools), np.zeros(view.n_pools))
        placed = 0
        for one in plan.held:
            now = self._clock.monotonic()
            if stop.requested or now > until:
                break
            trouble = self._trouble.get(one.job.job_id)
            if trouble and now < trouble.again_at:
                continue
            placed += self._try_one(one, cluster, view, backlog)
        return Outcome(placed, len(self._refused))

    def _try_one(self, one: RecordedJob, cluster: Cluster, view: View, backlog: Backlog) -> bool:
        try:
            return self._place_one(one, cluster, view, backlog)
        except SlurmUnavailable:
            raise
        except (SlurmError, DirectiveError, ValueError) as error:
            before = self._trouble.get(one.job.job_id)
            times = before.times + 1 if before else 1
            pause = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** (times - 1))
            self._trouble[one.job.job_id] = _Trouble(str(error), times, self._clock.monotonic() + pause)
            if before is None or before.text != str(error):
                self._log.warning("held job not placed", job=one.job.job_id, why=error, again_in_s=pause)
            return False

    def _place_one(self, one: RecordedJob, cluster: Cluster, view: View, backlog: Backlog) -> bool:
        request = parser.parse(None, one.record.het.encode())
        if request is None:
            raise ValueError("its record holds no request")
        request = since_submit(request, one.job.submit_at)
        asked = asked_of(one.job, one.record.pins, cluster, self._adapter.read_job(one.job.job_id))
        decision = decide(view, request, asked, self._clock.now(), backlog=backlog)
        chosen = decision.chosen
        if chosen is None:
            self._refuse(one, "no pool can run it: " + "; ".join(decision.reasons))
            return False
        update = _ordered(bind(request, asked, one.record.pins, chosen), chosen, view)
        if one.job.leads_het_job and update.nodes not in (None, 1):
            self._refuse(
                one, f"Slurm cannot give {update.nodes} nodes to {HET_LEADER} later: submit it again now"
            )
            return False
        self._refused.pop(one.job.job_id, None)
        waited = self._clock.monotonic() - self._seen_at[one.job.job_id]
        if decision.tier == Tier.SOFT and waited < SOFT_PATIENCE_S:
            return False
        self._carry_out(one, update, decision, chosen)
        units = needed_units(request.targets[chosen.alt], asked)
        backlog[0][chosen.pool_index] += units
        backlog[1][chosen.pool_index] += units * chosen.terms["run_s"].value
        return True

    def _carry_out(self, one: RecordedJob, update: JobUpdate, decision: Decision, chosen: Candidate) -> None:
        """Bind, read back, release. The intent is on disk first: no crash leaves a job bound and held."""
        job_id, held_by_author = one.job.job_id, "h" in one.record.pins
        record = placed_record(one.job.admin_comment, decision, chosen)
        why = f"held without a snapshot; generation {decision.generation}: {chosen.target} on {chosen.pool}"
        if not held_by_author:
            self._decisions.intend(one.key, self._clock.now())
        try:
            self._bind(one.job, replace(update, admin_comment=record))
        except SlurmUnavailable:
            raise
        except SlurmError as error:
            self._audit.note("bind", job_id=job_id, why=why, result=f"failed: {error}", update=update)
            self._put_back(one)
            self._decisions.fulfilled(one.key)
            raise
        self._audit.note("bind", job_id=job_id, why=why, result="verified", update=update)
        self._tell(one, What.PLACED, why, _facts(decision, chosen))
        if not held_by_author:
            self._release(one, why)
        self._trouble.pop(job_id, None)
        self._log.info(
            "placed held job", job=job_id, target=chosen.target, pool=chosen.pool, score=chosen.score
        )

    def _bind(self, job: QueuedJob, update: JobUpdate) -> None:
        self._update(job, update)
        wrong = differences(update, self._adapter.read_job(job.job_id).job)
        if wrong:
            raise SlurmError(f"Slurm made something else of it: {'; '.join(wrong)}")

    def _release(self, one: RecordedJob, why: str) -> None:
        try:
            self._adapter.release(one.job.job_id, leads_het_job=one.job.leads_het_job)
        except SlurmError as error:
            self._audit.note("release", job_id=one.job.job_id, why=why, result=f"failed: {error}")
            raise
        self._audit.note("release", job_id=one.job.job_id, why=why, result="done")
        self._tell(one, What.RELEASED, why)
        self._decisions.fulfilled(one.key)

    def _put_back(self, one: RecordedJob) -> None:
        """The record as it was: the job still waits to be placed."""
        try:
            self._update(one.job, JobUpdate(admin_comment=one.job.admin_comment))
        except SlurmUnavailable:
            raise
        except SlurmError as error:
            self._log.warning("record not put back", job=one.job.job_id, why=error)

    def _update(self, job: QueuedJob, update: JobUpdate) -> None:
        self._adapter.update_job(job.job_id, update, leads_het_job=job.leads_het_job)

    def _refuse(self, one: RecordedJob, why: str) -> None:
        """It cannot be placed: it stays held and says why, until it can."""
        job_id = one.job.job_id
        if self._refused.get(job_id) == why:
            return
        self._refused[job_id] = why
        record = refused_record(one.job.admin_comment, why)
        if record == one.job.admin_comment:
            return
        self._update(one.job, JobUpdate(admin_comment=record))
        self._audit.note("refuse", job_id=job_id, why=why, result="stays held")
        self._tell(one, What.REFUSED, why)
        self._log.warning("held job refused", job=job_id, why=why)

    def _tell(self, one: RecordedJob, what: What, why: str, facts: dict[str, object] | None = None) -> None:
        if self._events is not None:
            event = Event(
                one.key, self._clock.now(), what, why, task_of(one), facts_about(one) | (facts or {})
            )
            self._events.add([event])

    def _finish_intents(self, plan: Plan) -> None:
        """Release what an earlier controller bound and did not get to release."""
        jobs = {one.key: one for one in plan.recorded}
        for key in self._decisions.intents():
            one = jobs.get(key)
            if one is None or not one.is_held or one.record.state != "placed":
                self._decisions.fulfilled(key)
            else:
                self._finish(one)

    def _finish(self, one: RecordedJob) -> None:
        try:
            if one.job.partition == one.record.partition:
                self._release(one, "bound by a controller that ended before it could release")
            else:
                record = held_record(one.job.admin_comment)
                self._update(one.job, JobUpdate(admin_comment=record))
                self._decisions.fulfilled(one.key)
        except SlurmUnavailable:
            raise
        except SlurmError as error:  # one job that Slurm will not let go keeps no other waiting
            self._log.warning("bound job not released", job=one.job.job_id, why=error)


def _ordered(update: JobUpdate, chosen: Candidate, view: View) -> JobUpdate:
    """With what a short job gets, where the site has short jobs first: as the plugin would have."""
    points = order_points(chosen.terms["run_s"].value, *view.order) if view.order[0] else 0
    return replace(update, site_factor=points) if points else update


def _facts(decision: Decision, chosen: Candidate) -> dict[str, object]:
    terms = {name: chosen.terms[name].value for name in ("wait_s", "run_s", "money")}
    place = {"target": chosen.target, "pool": chosen.pool, "partition": chosen.partition}
    return {**place, "score": chosen.score, **terms, "generation": decision.generation}

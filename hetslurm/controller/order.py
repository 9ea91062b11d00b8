"""Short jobs first: the controller's part. The plugin gives new jobs their points.

This keeps the rest in line: jobs that were pending when the switch was turned, whose prediction changed with
a move, or that were submitted on a stale snapshot, at a bounded rate. Slurm keeps a job's site factor over
hold, release, requeue and a restart of slurmctld (seen on 22.05.8), so that nothing is to be done there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hetslurm.clock import Clock
from hetslurm.controller.audit import Audit
from hetslurm.controller.cycle import RecordedJob
from hetslurm.controller.order_rules import Order, order_in_force, out_of_line
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmError, SlurmRefused, SlurmUnavailable
from hetslurm.site import OrderSite
from hetslurm.slurm.protocol import JobUpdate, SlurmAdapter

EVERY_S = 10.0
# An update takes slurmctld some milliseconds under its write locks.
MOST_A_CYCLE = 50
# A job that Slurm would not change is left alone so long.
AGAIN_S = 300.0


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """How the order is: what is in force, how many jobs got points or lost them, how many still wait to."""

    order: Order = Order()
    set_total: int = 0
    out_of_line: int = 0


class Ordering:
    """One a controller. A file in the state folder remembers that there may be points to take back."""

    def __init__(
        self, adapter: SlurmAdapter, audit: Audit, state_dir: Path, *, log: Log, clock: Clock
    ) -> None:
        self._adapter = adapter
        self._audit = audit
        self._log = log
        self._clock = clock
        self._mark = state_dir / "short-first"
        self._at = float("-inf")
        self._done: Order | None = None
        self._said: str | None = None
        self._failed = ""
        self._refused: dict[int, float] = {}
        self.facts = OrderFacts()

    def in_force(self, wanted: OrderSite) -> Order:
        """What the snapshot and the placer go by. Says once why less is given."""
        if wanted.mode == "off" and not self._mark.exists():
            order = Order("off", 0, wanted.shortest_s, wanted.longest_s)
        else:
            order = order_in_force(wanted, self._adapter.read_priority())
        if order.problem != self._said:
            self._said = order.problem
            if order.problem:
                self._log.warning("order", why=order.problem)
        self.facts = OrderFacts(order, self.facts.set_total, self.facts.out_of_line)
        return order

    def apply(self, order: Order, jobs: Iterable[RecordedJob], *, until: float) -> None:
        """Bring pending jobs in line, as many as there is time for (`until`: monotonic seconds)."""
        now = self._clock.monotonic()
        due = order != self._done or self.facts.out_of_line or now - self._at >= EVERY_S
        if not due or (order.mode == "off" and not self._mark.exists()) or not order.rules.has_factors:
            return
        self._at = now
        try:
            self._bring_in_line(order, jobs, until)
        except SlurmUnavailable:
            raise
        except (SlurmError, OSError) as error:  # priorities that cannot be set keep no job from its place
            if str(error) != self._failed:
                self._log.error("the order of jobs is not kept", error=error)
            self._failed = str(error)
        else:
            self._failed = ""

    def _bring_in_line(self, order: Order, jobs: Iterable[RecordedJob], until: float) -> None:
        now = self._clock.monotonic()
        if order.mode != "off":
            self._mark.touch(mode=0o600)
        jobs = [one for one in jobs if one.job.state == "PENDING"]
        wrong = out_of_line(jobs, self._adapter.read_site_factors(), order) if jobs else []
        wrong = [each for each in wrong if self._refused.get(each[0].job.job_id, now) <= now]
        done = 0
        for one, points in wrong[:MOST_A_CYCLE]:
            if self._clock.monotonic() > until:
                break
            self._give(one, points)
            done += 1
        self._done = order
        self.facts = OrderFacts(order, self.facts.set_total + done, len(wrong) - done)
        if order.mode == "off" and done == len(wrong) and all(one.job.priority for one in jobs):
            self._mark.unlink(missing_ok=True)
            self._refused.clear()

    def _give(self, one: RecordedJob, points: int) -> None:
        job = one.job
        why = f"predicted run {one.record.run_s or 0:.0f} s" if points else "no points for its run"
        try:
            self._adapter.update_job(
                job.job_id, JobUpdate(site_factor=points), leads_het_job=job.leads_het_job
            )
        except SlurmUnavailable:
            raise
        except SlurmError as error:
            if isinstance(error, SlurmRefused):  # it has started, or is gone: nothing to be sorry for
                self._refused[job.job_id] = self._clock.monotonic() + AGAIN_S
            self._audit.note("order", job_id=job.job_id, why=why, result=f"failed: {error}")
            return
        self._audit.note("order", job_id=job.job_id, why=why, result=f"site factor {points}")


def order_status(facts: OrderFacts) -> dict[str, Any]:
    """For `state_dir/controller.json` and `hetslurm explain`."""
    order = facts.order
    shown = asdict(order)
    rules = shown.pop("rules")
    return {
        **shown,
        "priority_type": rules["type"],
        "weight_age": rules["weight_age"],
        "max_age_s": rules["max_age_s"],
        "has_database": rules["has_database"],
        "halving_points": round(order.halving_points, 3),
        "halving_age_s": order.halving_age_s,
        "set_total": facts.set_total,
        "out_of_line": facts.out_of_line,
    }

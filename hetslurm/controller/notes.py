"""Notes, for `hetslurm explain JOBID`, the candidates of every job that carries a record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hetslurm.clock import Clock
from hetslurm.cluster import Cluster
from hetslurm.controller.cycle import RecordedJob
from hetslurm.controller.decisions import KEEP_S, DecisionLog, JobKey, Noted
from hetslurm.daemon.log import Log
from hetslurm.errors import DirectiveError, HetslurmError, SlurmError
from hetslurm.native import parser
from hetslurm.native.kernel import View
from hetslurm.placement import decision_json
from hetslurm.scoring import explain
from hetslurm.slurm.asked import asked_of, since_submit

FORGET_EVERY_S = 3600.0


class Notes:
    """Fills the decision log with jobs that are not in it yet."""

    def __init__(self, decisions: DecisionLog, *, log: Log, clock: Clock) -> None:
        self._decisions = decisions
        self._log = log
        self._clock = clock
        self._noted: set[JobKey] = set()
        self._forgot_at = clock.monotonic()

    def note(
        self, jobs: Sequence[RecordedJob], cluster: Cluster, views: Sequence[View], *, until: float
    ) -> None:
        """Note what there is time for (`until`: monotonic seconds). A full disk costs only explanations."""
        decided = {one.key: one for one in jobs if one.record.state != "held"}
        self._noted &= decided.keys()
        fresh = [key for key in decided if key not in self._noted]
        try:
            self._noted |= self._decisions.known(fresh)
            entries = []
            for key in fresh:
                if key in self._noted:
                    continue
                if self._clock.monotonic() > until:
                    break
                self._noted.add(key)
                entry = self._explained(decided[key], cluster, views)
                if entry is not None:
                    entries.append(entry)
            if entries:
                self._decisions.add(entries)
            self._forget()
        except HetslurmError as error:
            self._log.error("decisions not noted", error=error)

    def _explained(self, one: RecordedJob, cluster: Cluster, views: Sequence[View]) -> Noted | None:
        view = min(views, key=lambda v: abs(v.generation - one.record.gen))
        try:
            explanation = explain_recorded(one, cluster, view)
        except (DirectiveError, SlurmError, ValueError) as error:
            self._log.warning("decision not explained", job=one.job.job_id, why=error)
            return None
        by = "controller" if '"by":"controller"' in one.job.admin_comment else "plugin"
        return Noted(one.key, self._clock.now(), by, one.record.gen, view.generation, explanation)

    def _forget(self) -> None:
        now = self._clock.monotonic()
        if now - self._forgot_at >= FORGET_EVERY_S:
            self._forgot_at = now
            self._decisions.forget_before(self._clock.now() - KEEP_S)


def explain_recorded(one: RecordedJob, cluster: Cluster, view: View) -> dict[str, Any]:
    """The JSON of `hetslurm explain` for a job as it was submitted, scored against this view."""
    request = parser.parse(None, one.record.het.encode())
    if request is None:
        raise ValueError("its record holds no request")
    asked = asked_of(one.job, one.record.pins, cluster)
    decision = explain(view, since_submit(request, one.job.submit_at), asked, one.job.submit_at)
    return {**decision_json(decision), "job_id": one.job.job_id, "currency": view.currency}

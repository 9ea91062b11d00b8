"""A raised time limit gets more money, or goes back to the funded one, and the job is told."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hetslurm.burst.hands import Auditor
from hetslurm.burst.job_note import tell_why
from hetslurm.cloudburst.funding import Raised, raised_limits
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import InstanceState
from hetslurm.cloudburst.provider.protocol import Provider
from hetslurm.cloudburst.reconcile_values import Sight
from hetslurm.daemon.log import Log
from hetslurm.errors import BudgetError, BudgetExceeded, HetslurmError
from hetslurm.slurm.protocol import JobUpdate, SlurmAdapter

_NOTE = "extended"


class Funding:
    """Compares every funded job's limit with its money, look by look."""

    def __init__(self, book: Book, adapter: SlurmAdapter, audit: Auditor, *, log: Log) -> None:
        self._book = book
        self._adapter = adapter
        self._audit = audit
        self._log = log

    def look(self, sight: Sight, providers: Mapping[str, Provider]) -> int:
        """Top up or put back; then tell instances how long they may live. How many acts failed."""
        failed = 0
        for raised in raised_limits(sight):
            try:
                self._fund(raised)
            except (HetslurmError, OSError) as error:
                failed += 1
                self._log.warning("burst funding", job=raised.job.job_id, error=error)
        return failed + self._extend(providers)

    def _fund(self, raised: Raised) -> None:
        why = self._top_up(raised)
        job, held = raised.job, raised.reservation
        if why is None:
            text = f"its money now lasts for {raised.limit_s / 60:.0f} min"
            self._audit.note("burst-top-up", why=text, result="done", job_id=job.job_id)
            self._log.info("burst top-up", job=job.job_id, reservation=held.res_id, limit_s=raised.limit_s)
            return
        text = f"its time limit is {raised.funded_min} min again: {why}"
        self._adapter.update_job(job.job_id, JobUpdate(time_limit_min=raised.funded_min))
        tell_why(self._adapter, job, text)
        self._audit.note("burst-limit-back", why=text, result="done", job_id=job.job_id)
        self._log.warning("burst top-up refused", job=job.job_id, reservation=held.res_id, why=why)

    def _top_up(self, raised: Raised) -> str | None:
        """None: there is money for it; else why not."""
        if raised.full is None:
            return "no money lasts for ever"
        why = ""
        # For all its runs, or for the one that runs.
        for amount in (raised.full.total_micro, raised.least_micro):
            try:
                self._book.top_up(
                    raised.reservation.res_id,
                    amount_micro=amount,
                    attempt_micro=raised.full.attempt_micro,
                    attempt_s=raised.full.attempt_s,
                    limit_s=raised.limit_s,
                )
            except BudgetExceeded as error:
                why = str(error)
            except BudgetError as error:
                return str(error)
            else:
                return None
        return why

    def _extend(self, providers: Mapping[str, Provider]) -> int:
        """Instances that were launched for less are told of their new end; noted, so that it is done once."""
        longer = {r.res_id for r in self._book.open_reservations() if r.limit_s > r.wanted.limit_s}
        rows = [
            row
            for row in self._book.instances()
            if row.res_id in longer and row.state is InstanceState.LAUNCHED
        ]
        if not rows:
            return 0
        told = self._read()
        known = {row.token: told[row.token] for row in rows if row.token in told}
        failed = 0
        for row in rows:
            provider = providers.get(row.provider)
            if known.get(row.token) == row.deadline_at or provider is None:
                continue
            try:
                provider.extend(row.instance_id, row.deadline_at)
            except HetslurmError as error:
                failed += 1
                self._log.warning("burst extend", node=row.node, instance=row.instance_id, error=error)
            else:
                known[row.token] = row.deadline_at
                self._audit.note(
                    "burst-extend",
                    why="its money was topped up",
                    result="done",
                    node=row.node,
                    until=row.deadline_at,
                )
        if known != told:
            self._book.note(_NOTE, msgspec.json.encode(known).decode())
        return failed

    def _read(self) -> dict[str, float]:
        try:
            return msgspec.json.decode(self._book.read_note(_NOTE) or "{}", type=dict[str, float])
        except msgspec.MsgspecError:
            return {}

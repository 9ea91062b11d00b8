"""Interruptions carried out: drains, signals, requeues, told to the book at every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from hetslurm.burst.hands import Auditor
from hetslurm.burst.job_note import tell_why
from hetslurm.clock import Clock
from hetslurm.cloudburst.cooldown import interrupted
from hetslurm.cloudburst.interruption import (
    Do,
    Interruption,
    Scene,
    Stage,
    follow,
    reason_at,
    reason_of,
)
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Instance, InstanceState
from hetslurm.cloudburst.policy import Purchase
from hetslurm.cloudburst.provider.protocol import Provider
from hetslurm.cloudburst.reconcile_values import COMING_UP, Sight
from hetslurm.cluster import QueuedJob
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError, SlurmRefused
from hetslurm.health.notices import Notice
from hetslurm.slurm.protocol import SlurmAdapter

_NOTE = "interruptions"
_MOST_STEPS = 8


class Interruptions:
    """Follows every instance that is taken away, look by look."""

    def __init__(self, book: Book, adapter: SlurmAdapter, audit: Auditor, *, log: Log, clock: Clock) -> None:
        self._book = book
        self._adapter = adapter
        self._audit = audit
        self._log = log
        self._clock = clock
        self.total = 0

    def look(
        self, sight: Sight, providers: Mapping[str, Provider], told: Mapping[str, Notice] | None = None
    ) -> tuple[Interruption, ...]:
        """One step, or a few, of each. `told` are notices by node from the agents.

        Returns those under way. Raises LedgerError; an act that fails is tried again in the next look.
        """
        known = {one.token: one for one in self._read()}
        before = dict(known)
        for row, at in self._notices(sight, told or {}):
            if row.token not in known:
                known[row.token] = Interruption(row.token, row.node, at, sight.now)
                self.total += 1
                self._write(known.values())
                self._log.warning("burst interruption", node=row.node, instance=row.instance_id, at=at)
        live = {row.token: row for row in sight.instances}
        for token in list(known):
            if known[token].stage is Stage.OVER:
                if token not in live:
                    del known[token]
                continue
            self._go_on(token, known, live.get(token), sight, providers)
        if known != before:
            self._write(known.values())
        return tuple(one for one in known.values() if one.stage is not Stage.OVER)

    def _go_on(
        self,
        token: str,
        known: dict[str, Interruption],
        row: Instance | None,
        sight: Sight,
        providers: Mapping[str, Provider],
    ) -> None:
        for _ in range(_MOST_STEPS):
            one = known[token]
            if sight.slurm is None:
                return
            after = follow(one, self._scene(one, row, sight))
            try:
                for act in after.acts:
                    self._do(act, one, row, sight, providers)
            except (HetslurmError, OSError) as error:
                self._log.error("burst interruption", node=one.node, step=one.stage, error=error)
                return
            if after.progress == one:
                return
            known[token] = after.progress
            self._write(known.values())
            if after.progress.stage in (Stage.SIGNALLED, Stage.OVER):
                return  # what Slurm makes of it is seen in the next look

    def _notices(self, sight: Sight, told: Mapping[str, Notice]) -> Iterator[tuple[Instance, float]]:
        by_token = {
            seen.token: seen.notice_at
            for found in sight.seen.values()
            for seen in found or ()
            if seen.notice_at is not None
        }
        for row in sight.instances:
            if row.state is not InstanceState.LAUNCHED:
                continue
            node = sight.slurm.nodes.get(row.node) if sight.slurm is not None else None
            since = row.launched_at if row.launched_at is not None else row.intended_at
            at = by_token.get(row.token)
            notice = told.get(row.node)
            if at is None and notice is not None and notice.said_at >= since:
                at = notice.at
            if at is None and node is not None and node.reason_at is not None:
                at = reason_at(node.reason) if node.reason_at >= since else None
            if at is not None:
                yield row, at

    def _scene(self, one: Interruption, row: Instance | None, sight: Sight) -> Scene:
        held = sight.reservation_of_node(one.node)
        jobs = sight.slurm.jobs if sight.slurm is not None else {}
        job = jobs.get(one.job_id) if one.job_id else None
        if job is None:
            job = next((j for j in jobs.values() if one.node in j.node_names), None)
        res_id = held.res_id if held is not None else None
        others = sum(other.res_id == res_id and other.token != one.token for other in sight.instances)
        node = sight.slurm.nodes.get(one.node) if sight.slurm is not None else None
        return Scene(sight.now, sight.policy.retry, row, node, job, held, others)

    def _do(
        self,
        act: Do,
        one: Interruption,
        row: Instance | None,
        sight: Sight,
        providers: Mapping[str, Provider],
    ) -> None:
        why = f"instance of {one.node} is taken away"
        job = self._job(one, sight)
        node = sight.slurm.nodes.get(one.node) if sight.slurm is not None else None
        result = "done"
        match act:
            case Do.COOL:
                self._cool(one, row, sight, why)
            case Do.DRAIN if node is not None and not node.state & COMING_UP:
                # To drain what boots would requeue its job twice.
                self._adapter.drain_node(one.node, reason_of(one.at))
            case Do.SIGNAL if job is not None:
                self._adapter.signal(job.job_id, sight.policy.retry.checkpoint_signal, batch=True)
            case Do.TELL_POOR if job is not None:
                tell_why(
                    self._adapter, job, f"{why}, and what is left of its money does not cover another run"
                )
            case Do.REQUEUE if job is not None:
                result = self._requeue(job, why)
            case Do.TERMINATE if row is not None:
                self._terminate(row, providers, why)
        job_id = job.job_id if job is not None and act not in (Do.COOL, Do.DRAIN, Do.TERMINATE) else None
        self._log.info("burst interruption", step=act, node=one.node, job=job_id, result=result)
        self._audit.note(f"burst-interruption-{act}", why=why, result=result, node=one.node, job_id=job_id)

    def _requeue(self, job: QueuedJob, why: str) -> str:
        try:
            self._adapter.requeue(job.job_id)
        except SlurmRefused as refused:
            tell_why(self._adapter, job, f"{why}, and Slurm will not run it again: {refused}")
            return f"refused: {refused}"
        return "done"

    def _terminate(self, row: Instance, providers: Mapping[str, Provider], why: str) -> None:
        """Its SuspendProgram ends and pays it, or the reconciler."""
        self._book.terminating(row.node, row.generation, why)
        self._adapter.power_down([row.node])
        provider = providers.get(row.provider)
        if provider is not None:
            provider.terminate([row.instance_id])

    def _cool(self, one: Interruption, row: Instance | None, sight: Sight, why: str) -> None:
        last = row if row is not None else self._book.instance_of(one.node)
        if last is not None:
            rest = interrupted(
                last.partition,
                last.zone,
                last.purchase or Purchase.SPOT,
                sight.policy.retry,
                self._clock.now(),
                why,
            )
            self._book.cool(rest.partition, rest.zone, rest.purchase, rest.trouble, rest.until, rest.why)

    @staticmethod
    def _job(one: Interruption, sight: Sight) -> QueuedJob | None:
        jobs = sight.slurm.jobs if sight.slurm is not None else {}
        if one.job_id:
            return jobs.get(one.job_id)
        return next((job for job in jobs.values() if one.node in job.node_names), None)

    def _read(self) -> tuple[Interruption, ...]:
        text = self._book.read_note(_NOTE)
        try:
            return msgspec.json.decode(text or "[]", type=tuple[Interruption, ...])
        except msgspec.MsgspecError as error:
            self._log.error("burst interruptions cannot be read; begun anew", error=error)
            return ()

    def _write(self, found: Iterable[Interruption]) -> None:
        self._book.note(_NOTE, msgspec.json.encode(list(found)).decode())

"""Moves one pending job in steps, so that a crash between any two of them is made good later.

The intent goes to disk, one update changes the job and its record together, the job is read back. slurmctld
takes the whole of an update that names another partition, or refuses it of a job that began meanwhile (seen
on 22.05), so a hold is needed only where a move takes two updates. `finish` ends what an earlier call or
controller began: by what the job is now, it was moved, or never was, or it is put back as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from hetslurm.clock import Clock
from hetslurm.cluster import QueuedJob
from hetslurm.controller.audit import Audit
from hetslurm.controller.rebind_ledger import Move, RebindLedger, Who
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmError, SlurmRefused, SlurmUnavailable
from hetslurm.rebinding.capability import Holding, Moves
from hetslurm.slurm.binding import differences
from hetslurm.slurm.protocol import JobDetail, JobUpdate, SlurmAdapter
from hetslurm.slurm.rebound import NEVER_RUNS, restore_update
from hetslurm.slurm.record import parse_record
from hetslurm.slurm.routes import steps


class End(StrEnum):
    """What became of a move."""

    MOVED = "moved"
    STARTED = "it had started"
    GONE = "it was over"
    UNTOUCHED = "Slurm refused"
    PUT_BACK = "put back"
    BROKEN = "not put back yet"


class Mover:
    """Any call may raise SlurmUnavailable, HetslurmError, OSError (the audit): `finish` does the rest."""

    def __init__(
        self, adapter: SlurmAdapter, ledger: RebindLedger, audit: Audit, log: Log, clock: Clock
    ) -> None:
        self._adapter = adapter
        self._ledger = ledger
        self._audit = audit
        self._log = log
        self._clock = clock
        self.moves = Moves((0, 0, 0))

    def move(self, move: Move, updates: Sequence[JobUpdate]) -> tuple[End, str]:
        """Carry out `updates`, whose last is `move.after`. What became of it, and in which words."""
        self._ledger.intend(move)
        words = ""
        try:
            if move.needs_hold:
                self._adapter.hold(move.who.key.job_id)
            for update in updates:
                self.update(move.who, update)
        except SlurmUnavailable:
            raise
        except SlurmError as error:
            words = str(error)
        return self._settle(move, words)

    def finish(self) -> list[tuple[Move, End, str]]:
        """End what was begun, and say how."""
        return [(move, *self._settle(move, "")) for move in self._ledger.unfinished()]

    def put_back(self, move: Move, now: QueuedJob, why: str) -> bool:
        """Give the job its old placement again. False: Slurm would not; it is tried again.

        SlurmRefused where this release has no way back.
        """
        update = restore_update(move.before, now)
        way = self.moves.way(Holding(now.gres, now.gres_per_job), move.before.gres, move.before.partition)
        if not way.is_open:
            raise SlurmRefused(f"no way back to {move.before.partition}: {way.why}")
        try:
            requests = steps(update, way)
            for request in requests:
                self.update(move.who, request)
            back = self.read(move.who).job
        except SlurmUnavailable:
            raise
        except SlurmError as error:
            self._note("put back", move, why, f"failed: {error}", update)
            return False
        wrong = [] if back.state != "PENDING" else differences(requests[-1], back)
        self._note("put back", move, why, "; ".join(wrong) or "verified", update)
        return not wrong

    def read(self, who: Who) -> JobDetail:
        """The job, or the task by its own record."""
        if who.task is not None:
            return self._adapter.read_task(who.key.job_id, who.task)
        return self._adapter.read_job(who.key.job_id)

    def update(self, who: Who, update: JobUpdate) -> None:
        """Change it, and no other task of its array."""
        self._adapter.update_job(who.key.job_id, update, leads_het_job=who.leads_het_job, task=who.task)

    def release(self, who: Who, why: str) -> None:
        """Lift the hold that Slurm put on a job that it could not run."""
        self._adapter.release(who.key.job_id, leads_het_job=who.leads_het_job, task=who.task)
        self._audit.note("release", job_id=who.key.job_id, task=who.task, why=why, result="done")

    def _settle(self, move: Move, words: str) -> tuple[End, str]:
        """By what the job is now. `words`: what Slurm said of the update, "": nothing bad."""
        end, words = self._end_of(move, words)
        if end is End.MOVED:
            self._ledger.done(move.who)
        elif end is not End.BROKEN:
            self._ledger.forget(move.who)
        self._note("move", move, move.why, f"{end}: {words}" if words else str(end), move.after)
        return end, words

    def _end_of(self, move: Move, words: str) -> tuple[End, str]:
        try:
            now = self.read(move.who).job
        except SlurmRefused:  # a task that was never changed has no record of its own
            return (End.GONE if move.who.task is None else End.UNTOUCHED), words
        if int(now.submit_at) != move.who.key.submit_at and move.who.task is None:
            return End.GONE, "another job, or another run, has its id"
        if now.state != "PENDING":
            self._correct_record(move, now)
            return End.STARTED, words
        return self._end_of_waiting(move, now, words)

    def _end_of_waiting(self, move: Move, now: QueuedJob, words: str) -> tuple[End, str]:
        wrong = differences(move.after, now)
        if parse_record(now.admin_comment) != parse_record(move.after.admin_comment or ""):
            wrong.append("its record was not taken")
        if not wrong:
            self._lift(move, now)
            return End.MOVED, ""
        words = words or f"Slurm made something else of it: {'; '.join(wrong)}"
        untouched = is_as(move.before, now)
        try:
            if not untouched and not self.put_back(move, now, words):
                return End.BROKEN, words
        except SlurmRefused as error:
            return End.BROKEN, f"{words}; {error}"
        self._lift(move, now)
        return (End.UNTOUCHED if untouched else End.PUT_BACK), words

    def _lift(self, move: Move, now: QueuedJob) -> None:
        """The hold of a move of two steps, or Slurm's of a job that it could not run: nobody else's."""
        ours = move.needs_hold or move.before.reason in NEVER_RUNS
        if ours and now.priority == 0:
            self.release(move.who, move.why)

    def _correct_record(self, move: Move, now: QueuedJob) -> None:
        """A job that runs is touched no more, but its record is to say where."""
        record = parse_record(now.admin_comment)
        if record is None or record.partition == now.partition:
            return
        for text in (move.before.admin_comment, move.after.admin_comment or ""):
            other = parse_record(text)
            if other is not None and other.partition == now.partition:
                self.update(move.who, JobUpdate(admin_comment=text))
                self._note("correct record", move, f"it runs in {now.partition}", "done", None)
                return

    def _note(self, action: str, move: Move, why: str, result: str, update: JobUpdate | None) -> None:
        self._audit.note(
            action,
            job_id=move.who.key.job_id,
            task=move.who.task,
            why=why,
            result=result,
            place=move.place,
            update=update,
        )


def is_as(before: QueuedJob, now: QueuedJob) -> bool:
    """The job asks for what it asked for before, and its record says so."""
    return (before.partition, before.gres, before.nodes, before.time_limit_min) == (
        now.partition,
        now.gres,
        now.nodes,
        now.time_limit_min,
    ) and before.admin_comment == now.admin_comment

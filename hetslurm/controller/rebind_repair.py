"""Jobs that moved, and that Slurm then found unable to run where they are: put right.

The pair of job and placement is remembered as bad first, so that nothing leads there again; then the job goes
back to where it was, and the hold that Slurm puts on such a job (BadConstraints: priority 0) is lifted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hetslurm.controller.cycle import RecordedJob
from hetslurm.controller.event import What
from hetslurm.controller.rebind_ledger import RebindLedger, Who
from hetslurm.controller.rebind_look import who_of
from hetslurm.controller.rebind_mover import Mover, is_as
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmError, SlurmRefused, SlurmUnavailable
from hetslurm.slurm.protocol import SlurmAdapter
from hetslurm.slurm.rebound import NEVER_RUNS
from hetslurm.slurm.record import parse_record

Told = tuple[Who, What, str, dict[str, object]]


class Repairer:
    """Works on what a cycle saw; may be stopped anywhere and done again."""

    def __init__(self, adapter: SlurmAdapter, ledger: RebindLedger, mover: Mover, log: Log) -> None:
        self._adapter = adapter
        self._ledger = ledger
        self._mover = mover
        self._log = log
        self._said: dict[Who, str] = {}

    def repair(self, jobs: Sequence[RecordedJob]) -> Iterator[Told]:
        """What was put right, as events. Raises SlurmUnavailable, HetslurmError."""
        for one in jobs:
            job = one.job
            if job.state != "PENDING" or job.reason not in NEVER_RUNS:
                continue
            who = who_of(job)
            move = self._ledger.last(who)
            if not one.record.moves and move is None:
                continue  # not of our making
            if move is None:
                self._say(who, f"Slurm says {job.reason}, and where it came from is not known any more")
                continue
            why = f"Slurm says {job.reason} of {move.place}"
            try:
                done = self._repair_one(who, why)
            except SlurmUnavailable:
                raise
            except SlurmError as error:
                self._say(who, str(error))
                continue
            if done:
                self._log.warning("moved job put right", job=who.key.job_id, task=who.task, why=why)
                yield who, What.REPAIRED, f"{why}: back on {move.before.partition}", {"from": move.place}

    def _repair_one(self, who: Who, why: str) -> bool:
        move = self._ledger.last(who)
        if move is None:
            return False
        try:
            now = self._mover.read(who).job
        except SlurmRefused:
            return False  # it is over
        if now.state != "PENDING" or now.reason not in NEVER_RUNS:
            return False
        self._ledger.call_bad(who, move.place, why)
        if not is_as(move.before, now) and not self._mover.put_back(move, now, why):
            return False  # where there is no way back, the next look finds it another place
        held_by_author = "h" in self._pins(now.admin_comment)
        if self._mover.read(who).job.priority == 0 and not held_by_author:
            self._mover.release(who, why)
        self._ledger.forget(who)
        return True

    @staticmethod
    def _pins(comment: str) -> str:
        record = parse_record(comment)
        return record.pins if record else ""

    def _say(self, who: Who, why: str) -> None:
        if self._said.get(who) != why:
            self._log.error("moved job not put right", job=who.key.job_id, task=who.task, why=why)
        self._said[who] = why

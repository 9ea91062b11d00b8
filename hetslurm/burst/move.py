"""Takes a job to the cloud and home again, in steps: a crash between any two of them is made good later.

Out: reserve → note → hold → update → read back → release. Home: note → hold → update → read back → give the
money back → release. What is under way is in a note of the book before the job is touched; `finish` reads it.
A move that Slurm refuses to end is tried again, ever more rarely, and holds up no other. No hold but our own
is ever lifted.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import msgspec

from hetslurm.burst.hands import Auditor
from hetslurm.burst.home import Home, home_update
from hetslurm.burst.verdicts import Judged
from hetslurm.clock import Clock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Reservation
from hetslurm.cloudburst.reconcile_values import OURS
from hetslurm.cluster import QueuedJob
from hetslurm.daemon.log import Log
from hetslurm.errors import LedgerError, SlurmError, SlurmRefused, SlurmUnavailable
from hetslurm.slurm.binding import differences, spilled_record
from hetslurm.slurm.hostlist import expand_hostlist
from hetslurm.slurm.protocol import JobDetail, JobUpdate, SlurmAdapter
from hetslurm.slurm.record import parse_record

UNDER_WAY = "spill.under-way"
OUT, HOMEWARD = "out", "home"


FIRST_RETRY_S, LAST_RETRY_S = 10.0, 600.0


class Moving(msgspec.Struct, frozen=True):
    """A move that was begun. `lift`: once it is home the job is released: no hold but ours is on it."""

    way: str
    res_id: int
    job_id: int
    lift: bool
    why: str = ""


class Mover:
    """Moves a job at a time. Any call may raise SlurmUnavailable, LedgerError; `finish` does the rest."""

    def __init__(self, adapter: SlurmAdapter, book: Book, audit: Auditor, log: Log, clock: Clock) -> None:
        self._adapter = adapter
        self._book = book
        self._audit = audit
        self._log = log
        self._clock = clock
        self._again: dict[int, tuple[float, float]] = {}  # res_id → when (monotonic), after which pause

    def spill(self, judged: Judged, detail: JobDetail) -> Reservation:
        """Take a job to the cloud. `detail` is how it was just read.

        BudgetExceeded: nothing happened. SlurmRefused: Slurm would not, and all is as it was.
        """
        move, job = judged.move, detail.job
        if move is None:
            raise ValueError(f"job {job.job_id} is not to go anywhere")
        reservation = self._book.reserve(move.wanted)
        res_id = reservation.res_id
        self._book.expected_wait(res_id, judged.wait_s)
        home = Home.of(job)
        self._book.note(home_key(res_id), msgspec.json.encode(home).decode())
        moving = Moving(OUT, res_id, job.job_id, lift=not home.is_nowhere, why=judged.why)
        self._begin(moving)
        record = spilled_record(job.admin_comment, move.decision, move.chosen, res_id)
        update = replace(
            move.update, admin_comment=record, start_now=self._may_start_now(detail, move.wanted.node_names)
        )
        what = {"res_id": res_id, "target": move.chosen.target, "partition": move.wanted.partition}
        what |= {"nodes": ",".join(move.wanted.node_names), "reserved_micro": reservation.amount_micro}
        try:
            self._hold(job)
            self._adapter.update_job(job.job_id, update)
            self._verify(job.job_id, update)
        except SlurmUnavailable:
            raise
        except SlurmError as error:
            self._note("spill", job.job_id, judged.why, f"failed: {error}", what)
            self._undo(moving, reservation, str(error))
            raise
        self._note("spill", job.job_id, judged.why, "verified", what)
        self._release(job.job_id, judged.why)
        self._done(res_id)
        return reservation

    def _may_start_now(self, detail: JobDetail, nodes: tuple[str, ...]) -> bool:
        """Whether Slurm's pause after a requeue can be cut short.

        Not for a node that failed: what slurmctld had to tell the job's last run there, it tells the next
        one that boots under that name, and takes its answer for the end of the new run (22.05).
        """
        if not detail.restarts:
            return False
        return not any(node.reason.startswith(OURS) for node in self._adapter.read_nodes(nodes))

    def return_home(self, reservation: Reservation, why: str) -> None:
        """Bring a waiting job back to where it was, or hold one that may only burst; its money is free then.

        Of a job that is not there, or runs, only the money is given back.
        """
        job_id = reservation.wanted.job_id
        try:
            job = self._adapter.read_job(job_id).job
        except SlurmRefused:
            self._give_back(reservation.res_id, f"its job is gone ({why})")
            return
        begun = next((one for one in self._under_way() if one.res_id == reservation.res_id), None)
        if begun is not None and begun.way == OUT:
            self._undo(begun, reservation, why)
            return
        if not self._is_there(job, reservation):
            if job.state == "PENDING" or job.partition != reservation.wanted.partition:
                self._give_back(reservation.res_id, why)
            return
        home = self._home(reservation.res_id)
        lift = job.priority > 0 and not (home and home.is_nowhere)
        moving = Moving(HOMEWARD, reservation.res_id, job_id, lift=lift, why=why)
        self._begin(moving)
        self._go_home(moving, job)

    def give_up(self, reservation: Reservation, why: str) -> None:
        """The money of a job that never got to the cloud; one that is there on this money keeps it."""
        try:
            job = self._adapter.read_job(reservation.wanted.job_id).job
        except SlurmRefused:
            pass
        else:
            record = parse_record(job.admin_comment)
            if record is not None and record.res == reservation.res_id:
                return
        self._give_back(reservation.res_id, why)

    def finish(self) -> None:
        """End what an earlier call, or an earlier controller, began and did not end."""
        now = self._clock.monotonic()
        for moving in self._under_way():
            if self._again.get(moving.res_id, (now, 0.0))[0] > now:
                continue
            try:
                self._finish_one(moving)
            except SlurmUnavailable:
                raise
            except SlurmError as error:
                pause = min(LAST_RETRY_S, 2 * self._again.get(moving.res_id, (0.0, FIRST_RETRY_S / 2))[1])
                self._again[moving.res_id] = (now + pause, pause)
                self._log.error("move not ended", job=moving.job_id, why=error, again_in_s=pause)
            else:
                self._again.pop(moving.res_id, None)

    @property
    def under_way(self) -> frozenset[int]:
        """Reservations of moves that were begun and did not end."""
        return frozenset(moving.res_id for moving in self._under_way())

    def forget(self, res_id: int) -> None:
        """The job of this reservation is over: it goes home no more."""
        if self._book.read_note(home_key(res_id)):
            self._book.note(home_key(res_id), "")

    def _finish_one(self, moving: Moving) -> None:
        reservation = self._book.reservation(moving.res_id)
        try:
            detail = self._adapter.read_job(moving.job_id)
        except SlurmRefused:
            self._give_back(moving.res_id, "its job is gone")
            self._done(moving.res_id)
            return
        self._log.info("unfinished move", job=moving.job_id, way=moving.way, res_id=moving.res_id)
        if moving.way == OUT:
            self._finish_out(moving, reservation, detail)
        else:
            self._go_home(moving, detail.job)

    def _finish_out(self, moving: Moving, reservation: Reservation, detail: JobDetail) -> None:
        job, wanted = detail.job, reservation.wanted
        arrived = (
            self._is_there(job, reservation)
            and reservation.state.is_open
            and set(expand_hostlist(detail.required_nodes)) == set(wanted.node_names)
        )
        if arrived and job.priority == 0:
            self._release(moving.job_id, f"{moving.why} (begun by a controller that ended)")
        elif not arrived:
            self._undo(moving, reservation, "begun by a controller that ended")
            return
        self._done(moving.res_id)

    def _undo(self, moving: Moving, reservation: Reservation, why: str) -> None:
        """As it was before: the job first, since its money is what keeps others from its nodes."""
        try:
            job = self._adapter.read_job(moving.job_id).job
        except SlurmRefused:
            self._give_back(moving.res_id, "its job is gone")
            self._done(moving.res_id)
            return
        if self._is_there(job, reservation):
            self._begin(moving := msgspec.structs.replace(moving, way=HOMEWARD, why=why))
            self._go_home(moving, job)
            return
        if job.priority == 0 and moving.lift:
            with suppress(SlurmRefused):  # it runs, or is over
                self._release(moving.job_id, f"not moved: {why}")
        self._give_back(moving.res_id, f"not moved: {why}")
        self._done(moving.res_id)

    def _go_home(self, moving: Moving, job: QueuedJob) -> None:
        """From wherever on the way it is. A job that runs is left alone; the reconciler looks after it."""
        job_id, home = moving.job_id, self._home(moving.res_id)
        if home is not None and job.state == "PENDING":
            try:
                self._hold(job, by_author=home.is_nowhere)
                update = home_update(home, job, moving.why)
                if not _is_as(home, job):
                    self._adapter.update_job(job_id, update)
                    self._verify(job_id, update)
            except SlurmUnavailable:
                raise
            except SlurmError as error:
                self._note("return home", job_id, moving.why, f"failed, stays held: {error}", {})
                raise
            self._note("return home", job_id, moving.why, "verified", {"partition": home.partition})
        if job.state == "PENDING":
            self._give_back(moving.res_id, moving.why)
        if moving.lift:
            with suppress(SlurmRefused):  # it runs, or is over
                self._release(job_id, moving.why)
        self._done(moving.res_id)

    def _is_there(self, job: QueuedJob, reservation: Reservation) -> bool:
        """It waits in the cloud partition on this money."""
        record = parse_record(job.admin_comment)
        return (
            job.state == "PENDING"
            and job.partition == reservation.wanted.partition
            and record is not None
            and record.res == reservation.res_id
        )

    def _hold(self, job: QueuedJob, *, by_author: bool = False) -> None:
        """A job that waits must not start while it is changed. SlurmRefused: it did already."""
        if job.priority == 0:
            return
        self._adapter.hold(job.job_id, by_author=by_author)
        now = self._adapter.read_job(job.job_id).job
        if now.state != "PENDING":
            raise SlurmRefused(f"job {job.job_id} is {now.state}: it began meanwhile")

    def _verify(self, job_id: int, update: JobUpdate) -> None:
        detail = self._adapter.read_job(job_id)
        wrong = differences(update, detail.job)
        if set(expand_hostlist(detail.required_nodes)) != set(update.node_names or ()):
            wrong.append(f"its nodes are {detail.required_nodes or 'any'}, not {update.node_names}")
        if parse_record(update.admin_comment or "") != parse_record(detail.job.admin_comment):
            wrong.append("its record was not taken")
        if wrong:
            raise SlurmError(f"Slurm made something else of it: {'; '.join(wrong)}")

    def _release(self, job_id: int, why: str) -> None:
        self._adapter.release(job_id)
        self._note("release", job_id, why, "done", {})

    def _give_back(self, res_id: int, why: str) -> None:
        """The money; while an instance lives on it, the reconciler does that later."""
        try:
            self._book.release(res_id, why)
        except LedgerError as error:
            self._log.warning("money not given back yet", res_id=res_id, why=error)
        self._book.note(home_key(res_id), "")

    def _home(self, res_id: int) -> Home | None:
        note = self._book.read_note(home_key(res_id))
        return msgspec.json.decode(note, type=Home) if note else None

    def _under_way(self) -> list[Moving]:
        note = self._book.read_note(UNDER_WAY)
        return msgspec.json.decode(note, type=list[Moving]) if note else []

    def _begin(self, moving: Moving) -> None:
        self._keep([*self._others(moving.res_id), moving])

    def _done(self, res_id: int) -> None:
        self._keep(self._others(res_id))

    def _others(self, res_id: int) -> list[Moving]:
        return [moving for moving in self._under_way() if moving.res_id != res_id]

    def _keep(self, moves: list[Moving]) -> None:
        self._book.note(UNDER_WAY, msgspec.json.encode(moves).decode() if moves else "")

    def _note(self, action: str, job_id: int, why: str, result: str, what: dict[str, object]) -> None:
        try:
            self._audit.note(action, why=why, result=result, job_id=job_id, **what)  # type: ignore[arg-type]
        except OSError as error:  # a full disk stops no move half way
            self._log.error("audit not written", job=job_id, error=error)


def home_key(res_id: int) -> str:
    """Under which the book keeps where a reservation's job came from."""
    return f"spill.home.{res_id}"


def _is_as(home: Home, job: QueuedJob) -> bool:
    """It was put back already."""
    return job.partition == home.partition and job.admin_comment == home.comment

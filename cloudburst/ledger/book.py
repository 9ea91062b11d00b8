"""The ledger of money as everybody uses it: each call one transaction, on disk when it returns.

At every instant and across every crash, for every cap: reserved + spent ≤ cap. An open reservation counts
whole, less what was spent of it, in every period; what was spent counts in the period it was settled in.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hetslurm.clock import Clock
from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.ledger import cap_store, costs, launches, notes, reservations, store, told
from hetslurm.cloudburst.ledger.caps import CapSource
from hetslurm.cloudburst.ledger.costs import Run
from hetslurm.cloudburst.ledger.journal import Act
from hetslurm.cloudburst.ledger.reader import HEARTBEAT, Reader
from hetslurm.cloudburst.ledger.values import AlertKey, Instance, Reservation, Wanted
from hetslurm.cloudburst.policy import Cap, Level, Period, Purchase
from hetslurm.errors import LedgerError

_CLUSTER = "cluster"


class Book(Reader):
    """Any number of these, in any number of processes, on one file. Threads may share one.

    Every call may raise LedgerError: the file cannot be read, written or trusted, or another process holds
    it for more than `store.BUSY_S`.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        caps: Sequence[Cap] | None = None,
        *,
        cluster: str = "",
        by: str = "",
    ) -> None:
        """Open to write; the file is made where there is none.

        `caps` are burst.toml's, and become those in force with what was set by hand; None: they stay as the
        ledger has them. `cluster` begins every launch's token; the ledger remembers it ("": as remembered).
        `by` is who acts, in the entries: else this process's user.
        """
        self._by = by or _who()
        self._open(path, clock, store.open_store(path))
        try:
            self._remember(cluster)
            if caps is not None:
                self.caps = caps
        except BaseException:
            self._db.close()
            raise

    @staticmethod
    def reader(path: Path, clock: Clock | None = None) -> Reader:
        """One that cannot write; LedgerError where there is no ledger."""
        return Reader(path, clock)

    # Money

    def reserve(self, wanted: Wanted) -> Reservation:
        """Set the worst case aside. BudgetExceeded names the cap, what is used and what is missing.

        LedgerError for a node that is taken. Asked again for the same job, nodes and money: as it is.
        """
        with self._act() as act:
            return reservations.reserve(act, cap_store.recorded(act.db), wanted)

    def top_up(
        self, res_id: int, *, amount_micro: int, attempt_micro: int, attempt_s: float, limit_s: float
    ) -> Reservation:
        """Raise a reservation to `amount_micro` in all; its live instances' deadlines move with it.

        All are what holds from now on (`worst_case` of the new limit), nothing is lowered, twice is once.
        BudgetExceeded: it stays as it was.
        """
        with self._act() as act:
            return reservations.top_up(
                act,
                cap_store.recorded(act.db),
                res_id,
                amount_micro=amount_micro,
                attempt_micro=attempt_micro,
                attempt_s=attempt_s,
                limit_s=limit_s,
            )

    def release(self, res_id: int, why: str) -> Reservation:
        """Give back what was not spent: SETTLED, or RELEASED when nothing was. Twice is once.

        LedgerError while an instance of it is live.
        """
        with self._act() as act:
            return reservations.release(act, res_id, why)

    def expire(self) -> tuple[Reservation, ...]:
        """Give back every reservation that is past `expires_at` and started nothing."""
        with self._act() as act:
            return reservations.expire(act)

    # Instances

    def intend(self, node: str, *, provider: str, billed_least_s: float) -> Instance:
        """Commit money to a new boot of the node, before anybody is asked to start it.

        A live instance of the node is returned as it is. NoReservation: nothing may be started.
        """
        with self._act() as act:
            cluster = notes.read_note(act.db, _CLUSTER) or "hetslurm"
            return launches.intend(
                act, node, cluster=cluster, provider=provider, billed_least_s=billed_least_s
            )

    def ordered(
        self,
        node: str,
        generation: int,
        *,
        instance_type: str,
        purchase: Purchase,
        zone: str,
        price_micro: int,
    ) -> Instance:
        """Which offering is about to be tried; the state stays INTENT."""
        with self._act() as act:
            return launches.ordered(
                act,
                node,
                generation,
                instance_type=instance_type,
                purchase=purchase,
                zone=zone,
                price_micro=price_micro,
            )

    def launched(
        self,
        node: str,
        generation: int,
        *,
        instance_id: str,
        zone: str,
        purchase: Purchase,
        instance_type: str,
        price_micro: int,
        on_demand_micro: int,
        launched_at: float,
    ) -> Instance:
        """It exists. Twice is once; LedgerError for a second id under the same token.

        One that FAILED and turns up after all is LAUNCHED again, so that it is paid.
        """
        with self._act() as act:
            return launches.launched(
                act,
                node,
                generation,
                instance_id=instance_id,
                zone=zone,
                purchase=purchase,
                instance_type=instance_type,
                price_micro=price_micro,
                on_demand_micro=on_demand_micro,
                launched_at=launched_at,
            )

    def terminating(self, node: str, generation: int, why: str) -> Instance:
        """It is told to end. No change where it is over already."""
        with self._act() as act:
            return launches.terminating(act, node, generation, why)

    def failed(self, node: str, generation: int, why: str) -> Instance:
        """It never existed, nothing is owed. LedgerError for one that has an id."""
        with self._act() as act:
            return launches.failed(act, node, generation, why)

    def ended(
        self, node: str, generation: int, ended_at: float, why: str, *, price_micro: int | None = None
    ) -> Instance:
        """It is gone, and paid out of its reservation; more than that holds is an overrun. Twice is once.

        `price_micro` an hour, where it became dearer than when it was launched.
        """
        with self._act() as act:
            return launches.ended(act, node, generation, ended_at, why, price_micro=price_micro)

    # Caps

    @property
    def caps(self) -> tuple[Cap, ...]:
        """The caps of burst.toml as the ledger has them."""
        with self._read() as db:
            return tuple(
                Cap(level, name, period, limit)
                for (level, name, period, source), limit in sorted(cap_store.recorded(db).items())
                if source is CapSource.FILE
            )

    @caps.setter
    def caps(self, caps: Sequence[Cap]) -> None:
        with self._read() as db:
            changed = cap_store.changes(db, caps)
        if changed:
            with self._act() as act:
                cap_store.declare(act, caps)

    def set_cap(self, cap: Cap, by: str = "") -> None:
        """Set a cap by hand: it wins over burst.toml's. BudgetExceeded names the lowest that is possible."""
        with self._act(by) as act:
            cap_store.set_by_hand(act, cap)

    def unset_cap(self, level: Level, name: str, period: Period, by: str = "") -> None:
        """Take back what was set by hand: burst.toml's counts again. LedgerError where nothing was set."""
        with self._act(by) as act:
            cap_store.unset(act, level, name, period)

    # Beside the money

    def beat(self) -> None:
        """The reconciler lives."""
        self.note(HEARTBEAT, repr(self._clock.now()))

    def cool(self, partition: str, zone: str, purchase: str, trouble: str, until: float, why: str) -> None:
        """Leave an offering alone until then (Unix seconds); `zone` and `purchase` may be "*": each."""
        with self._act() as act:
            notes.cool(act.db, Cooldown(partition, zone, purchase, str(trouble), until, why), act.now)

    def begin_alert(self, key: AlertKey) -> int:
        """The number of the try that begins now; 0: it was told, was tried often enough, or must wait."""
        with self._read() as db:
            due = told.is_due(db, key, self._clock.now())
        if not due:
            return 0
        with self._act() as act:
            return told.begin_try(act.db, key, act.now)

    def alert_told(self, key: AlertKey) -> None:
        """Nobody needs to be told again."""
        with self._act() as act:
            told.done(act.db, key)

    def note(self, key: str, value: str) -> None:
        """Keep a text under a key."""
        with self._act() as act:
            notes.write_note(act.db, key, value)

    def expected_wait(self, res_id: int, home_wait_s: float) -> None:
        """How long the job would have waited on-premises, as judged when it left. The first word stays.

        Infinite: it was not to run there, or nothing there could run it.
        """
        with self._act() as act:
            costs.expect_wait(act.db, res_id, home_wait_s)

    def ran(self, runs: Sequence[Run]) -> None:
        """A job began, or ended, on instances. Twice is once; the first end of a run stays."""
        with self._act() as act:
            costs.note_runs(act.db, runs)

    def _remember(self, cluster: str) -> None:
        known = self.read_note(_CLUSTER)
        if cluster and not known:
            self.note(_CLUSTER, cluster)
        elif cluster not in ("", known):
            raise LedgerError(
                f"{self.path} is the ledger of cluster {known}, not of {cluster}; "
                f"give {cluster} a state folder of its own"
            )

    @contextmanager
    def _act(self, by: str = "") -> Iterator[Act]:
        with self._lock, store.transaction(self._db, self.path):
            yield Act(self._db, self._at_us(self._db), self._clock.now(), by or self._by)


def _who() -> str:
    """This process's user, as `name (uid)`."""
    uid = os.getuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"({uid})"

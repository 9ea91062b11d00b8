"""The ledger of money as everybody uses it: each call one transaction, on disk when it returns.

At every instant and across every crash, for every cap: reserved + spent ≤ cap. An open reservation counts
whole, less what was spent of it, in every period; what was spent counts in the period it was settled in.
"""

from __future__ import annotations

import os
import pwd
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from hetslurm.clock import Clock, SystemClock
from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.ledger import (
    cap_store,
    instances,
    journal,
    launches,
    notes,
    reservations,
    store,
    verify,
)
from hetslurm.cloudburst.ledger.caps import CapSource
from hetslurm.cloudburst.ledger.journal import Act
from hetslurm.cloudburst.ledger.values import (
    CapInForce,
    Entry,
    Head,
    Instance,
    Reservation,
    Usage,
    Wanted,
)
from hetslurm.cloudburst.policy import Cap, Level, Period, Purchase
from hetslurm.errors import LedgerError

FILE_NAME = "burst.sqlite3"
_HEARTBEAT = "heartbeat"
_CLUSTER = "cluster"


class Book:
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
        self.path = path
        self._clock = clock
        self._by = by or _who()
        self._lock = threading.RLock()
        self._db = store.open_store(path)
        try:
            self._remember(cluster)
            if caps is not None:
                self.caps = caps
        except BaseException:
            self._db.close()
            raise

    @classmethod
    def reader(cls, path: Path, clock: Clock | None = None) -> Book:
        """One that cannot write; LedgerError where there is no ledger."""
        book = cls.__new__(cls)
        book.path = path
        book._clock = clock or SystemClock()
        book._by = ""
        book._lock = threading.RLock()
        book._db = store.open_reader(path)
        return book

    @staticmethod
    def path_in(state_dir: Path | str) -> Path:
        """Where the ledger of a state folder is."""
        return Path(state_dir) / FILE_NAME

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Book:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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

    def ended(self, node: str, generation: int, ended_at: float, why: str) -> Instance:
        """It is gone, and paid out of its reservation; more than that holds is an overrun. Twice is once."""
        with self._act() as act:
            return launches.ended(act, node, generation, ended_at, why)

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

    def caps_in_force(self) -> tuple[CapInForce, ...]:
        """What counts, where it comes from, since when and by whom."""
        with self._read() as db:
            return cap_store.caps_in_force(db)

    def usage(self) -> tuple[Usage, ...]:
        """Every cap in its running period; a cap for each ("*") once for every name that uses it."""
        with self._read() as db:
            return cap_store.usages(db, cap_store.recorded(db), self._at_us(db))

    # Looking

    def open_reservations(self) -> tuple[Reservation, ...]:
        """Those that hold money."""
        with self._read() as db:
            return reservations.reservations(db, only_open=True)

    def reservations(self, since: float = 0.0) -> tuple[Reservation, ...]:
        """All, open and over, that changed since (Unix seconds)."""
        with self._read() as db:
            return reservations.reservations(db, only_open=False, since=since)

    def reservation(self, res_id: int) -> Reservation:
        """The reservation of that number; LedgerError where there is none."""
        with self._read() as db:
            return reservations.must(db, res_id)

    def reservation_of_job(self, job_id: int, submit_at: int) -> Reservation | None:
        """The job's newest, which may be over; at most one is open."""
        with self._read() as db:
            return reservations.reservation_of_job(db, job_id, submit_at)

    def reservation_of_node(self, node: str) -> Reservation | None:
        """The open one that holds the node."""
        with self._read() as db:
            return reservations.reservation_of_node(db, node)

    def instances(self, live: bool = True) -> tuple[Instance, ...]:
        """Those that may exist and cost; all there ever were with `live=False`."""
        with self._read() as db:
            return instances.instances(db, live=live)

    def instances_of(self, res_id: int) -> tuple[Instance, ...]:
        """Every instance that a reservation paid for, or pays for."""
        with self._read() as db:
            return instances.all_of_reservation(db, res_id)

    def instance_of(self, node: str) -> Instance | None:
        """The node's live instance, else its newest."""
        with self._read() as db:
            return instances.instance_of(db, node)

    def history(
        self,
        limit: int = 100,
        *,
        before: int | None = None,
        account: str = "",
        user: str = "",
        res_id: int | None = None,
        kind: str = "",
    ) -> tuple[Entry, ...]:
        """The newest entries that match, oldest first; `before` a number, to go on further back."""
        with self._read() as db:
            return journal.read_history(
                db, limit=limit, before=before, account=account, user=user, res_id=res_id, kind=kind
            )

    def head(self) -> Head:
        """The newest entry's number and hash."""
        with self._read() as db:
            return journal.read_head(db)

    def verify(self, expect: str = "") -> tuple[str, ...]:
        """What is wrong; empty: sound. `expect`: a head hash noted earlier, that must still be in it."""
        with self._read() as db:
            return verify.problems(db, expect)

    # Beside the money

    def beat(self) -> None:
        """The reconciler lives."""
        self.note(_HEARTBEAT, repr(self._clock.now()))

    def heartbeat(self) -> float:
        """When it last said so, Unix seconds; 0: never."""
        return float(self.read_note(_HEARTBEAT) or 0.0)

    def cool(self, partition: str, zone: str, purchase: str, trouble: str, until: float, why: str) -> None:
        """Leave an offering alone until then (Unix seconds); `zone` and `purchase` may be "*": each."""
        with self._act() as act:
            notes.cool(act.db, Cooldown(partition, zone, purchase, str(trouble), until, why), act.now)

    def cooled(self) -> tuple[Cooldown, ...]:
        """Offerings that are left alone now."""
        with self._read() as db:
            return notes.cooled(db, self._clock.now())

    def note(self, key: str, value: str) -> None:
        """Keep a text under a key."""
        with self._act() as act:
            notes.write_note(act.db, key, value)

    def read_note(self, key: str) -> str:
        """The text under a key; "": none."""
        with self._read() as db:
            return notes.read_note(db, key)

    def _remember(self, cluster: str) -> None:
        known = self.read_note(_CLUSTER)
        if cluster and not known:
            self.note(_CLUSTER, cluster)
        elif cluster not in ("", known):
            raise LedgerError(
                f"{self.path} is the ledger of cluster {known}, not of {cluster}; "
                f"give {cluster} a state folder of its own"
            )

    def _at_us(self, db: sqlite3.Connection) -> int:
        return max(round(self._clock.now() * 1e6), journal.newest_at_us(db))

    @contextmanager
    def _act(self, by: str = "") -> Iterator[Act]:
        with self._lock, store.transaction(self._db, self.path):
            yield Act(self._db, self._at_us(self._db), self._clock.now(), by or self._by)

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock, store.reading(self._db, self.path):
            yield self._db


def _who() -> str:
    """This process's user, as `name (uid)`."""
    uid = os.getuid()
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"({uid})"

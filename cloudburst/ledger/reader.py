"""The ledger as those see it who only look: the CLI, reports, the controller's pages."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from hetslurm.clock import Clock, SystemClock
from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.ledger import (
    cap_store,
    costs,
    instances,
    journal,
    notes,
    reservations,
    store,
    verify,
)
from hetslurm.cloudburst.ledger.costs import Costs, Run
from hetslurm.cloudburst.ledger.values import CapInForce, Entry, Head, Instance, Reservation, Usage

FILE_NAME = "burst.sqlite3"
HEARTBEAT = "heartbeat"


class Reader:
    """Looks at a ledger, and cannot change it. Threads may share one; what is open does not survive a fork.

    Every call sees one state of the ledger, whatever others write meanwhile, and may raise LedgerError.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        """Open; LedgerError where there is no ledger, or it is not ours alone."""
        self._open(path, clock or SystemClock(), store.open_reader(path))

    def _open(self, path: Path, clock: Clock, db: sqlite3.Connection) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._db = db

    @staticmethod
    def path_in(state_dir: Path | str) -> Path:
        """Where the ledger of a state folder is."""
        return Path(state_dir) / FILE_NAME

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def caps_in_force(self) -> tuple[CapInForce, ...]:
        """What counts, where it comes from, since when and by whom."""
        with self._read() as db:
            return cap_store.caps_in_force(db)

    def usage(self) -> tuple[Usage, ...]:
        """Every cap in its running period; a cap for each ("*") once for every name that uses it."""
        with self._read() as db:
            return cap_store.usages(db, cap_store.recorded(db), self._at_us(db))

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
        job_id: int | None = None,
        kind: str = "",
    ) -> tuple[Entry, ...]:
        """The newest entries that match, oldest first; `before` a number, to go on further back."""
        with self._read() as db:
            return journal.read_history(
                db, limit=limit, before=before, account=account, user=user, job_id=job_id, kind=kind
            )

    def costs(self, since: float = 0.0, until: float | None = None) -> Costs:
        """What was settled from `since` on and before `until` (Unix seconds), with all that explains it."""
        with self._read() as db:
            return costs.read_costs(db, since, until)

    def runs(self, *, only_open: bool = False) -> tuple[Run, ...]:
        """When jobs ran on instances; only those that were not seen to end, if asked."""
        with self._read() as db:
            return costs.read_runs(db, only_open=only_open)

    def head(self) -> Head:
        """The newest entry's number and hash."""
        with self._read() as db:
            return journal.read_head(db)

    def verify(self, expect: str = "") -> tuple[str, ...]:
        """What is wrong; empty: sound. `expect`: a head hash noted earlier, that must still be in it."""
        with self._read() as db:
            return verify.problems(db, expect)

    def heartbeat(self) -> float:
        """When it last said so, Unix seconds; 0: never."""
        return float(self.read_note(HEARTBEAT) or 0.0)

    def cooled(self) -> tuple[Cooldown, ...]:
        """Offerings that are left alone now."""
        with self._read() as db:
            return notes.cooled(db, self._clock.now())

    def read_note(self, key: str) -> str:
        """The text under a key; "": none."""
        with self._read() as db:
            return notes.read_note(db, key)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """All looks in the block see the same state of the ledger."""
        with self._read():
            yield

    def _at_us(self, db: sqlite3.Connection) -> int:
        """The ledger's time: the clock's, and never before the newest entry."""
        return max(round(self._clock.now() * 1e6), journal.newest_at_us(db))

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        with self._lock, store.reading(self._db, self.path):
            yield self._db

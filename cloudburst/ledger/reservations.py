"""Money set aside for a job: asked for, raised, given back. Functions of one transaction."""

from __future__ import annotations

import json
import sqlite3
from math import isfinite

from hetslurm.cloudburst.ledger.caps import MOST_MICRO, Recorded
from hetslurm.cloudburst.ledger.instances import LIVE, live_of_reservation
from hetslurm.cloudburst.ledger.journal import Act
from hetslurm.cloudburst.ledger.values import EntryKind, Payer, Reservation, ReservationState, Wanted
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.worst_case import SLACK_S
from hetslurm.errors import LedgerError

_COLUMNS = (
    "SELECT *, coalesce((SELECT max(n) FROM (SELECT count(*) AS n FROM instances"
    " WHERE instances.res_id = reservations.res_id AND instances.state != 'failed' GROUP BY node)), 0)"
    " AS attempts_begun FROM reservations"
)


def reserve(act: Act, caps: Recorded, wanted: Wanted) -> Reservation:
    """Set it aside. What the job already has open for the same nodes and no less money is its answer.

    Raises BudgetExceeded, and LedgerError where a node or the job is taken.
    """
    _check(wanted)
    older = reservation_of_job(act.db, wanted.job_id, wanted.submit_at)
    if older is not None and older.state.is_open:
        same = (older.wanted.partition, set(older.wanted.node_names)) == (
            wanted.partition,
            set(wanted.node_names),
        )
        if same and older.wanted.payer == wanted.payer and older.amount_micro >= wanted.amount_micro:
            return older
        raise LedgerError(
            f"job {wanted.job_id} has reservation {older.res_id} already, for {text_of(older.amount_micro)} "
            f"on {','.join(older.wanted.node_names)}; release it first, or top it up"
        )
    for node in wanted.node_names:
        _demand_free(act, node)
    act.demand(caps, wanted.payer, wanted.amount_micro)
    payer = wanted.payer
    cursor = act.db.execute(
        "INSERT INTO reservations (job_id, submit_at, account, user, workload, partition, node_names,"
        " price_cap_micro, attempts, attempt_s, attempt_micro, first_amount_micro, first_limit_s, expires_at,"
        " state, amount_micro, spent_micro, limit_s, created_at, changed_at, why)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'reserved', ?, 0, ?, ?, ?, '')",
        (
            *(wanted.job_id, wanted.submit_at, payer.account, payer.user, payer.workload, wanted.partition),
            *(json.dumps(wanted.node_names), wanted.price_cap_micro, wanted.attempts, wanted.attempt_s),
            *(wanted.attempt_micro, wanted.amount_micro, wanted.limit_s, wanted.expires_at),
            *(wanted.amount_micro, wanted.limit_s, act.now, act.now),
        ),
    )
    res_id = int(cursor.lastrowid or 0)
    act.db.executemany("INSERT INTO nodes VALUES (?, ?)", [(node, res_id) for node in wanted.node_names])
    act.append(
        EntryKind.RESERVE,
        res_id,
        payer,
        reserved_micro=wanted.amount_micro,
        what=f"job {wanted.job_id} on {','.join(wanted.node_names)} of {wanted.partition}",
    )
    return must(act.db, res_id)


def top_up(
    act: Act,
    caps: Recorded,
    res_id: int,
    *,
    amount_micro: int,
    attempt_micro: int,
    attempt_s: float,
    limit_s: float,
) -> Reservation:
    """Raise what is set aside to `amount_micro` in all; live instances may then live longer.

    Every argument is what shall hold from now on, so that doing it twice is doing it once; nothing is ever
    lowered. Raises BudgetExceeded, and LedgerError where the reservation is over or the money would not cover
    what already runs.
    """
    old = must(act.db, res_id)
    if not old.state.is_open:
        raise LedgerError(f"reservation {res_id} is {old.state}; a new one is needed")
    if not 0 <= amount_micro <= MOST_MICRO or attempt_micro < 0 or not isfinite(attempt_s + limit_s):
        raise LedgerError(f"a top-up to {amount_micro} micro-units for {limit_s} s cannot be")
    amount_micro = max(amount_micro, old.amount_micro)
    attempt_micro = max(attempt_micro, old.wanted.attempt_micro)
    attempt_s, limit_s = max(attempt_s, old.wanted.attempt_s), max(limit_s, old.limit_s)
    live = live_of_reservation(act.db, res_id)
    needed = len(live) * attempt_of_node(attempt_micro, len(old.wanted.node_names))
    if amount_micro - old.spent_micro < needed:
        raise LedgerError(
            f"reservation {res_id}: {len(live)} instances run, and to let each live {attempt_s:.0f} s needs "
            f"{text_of(needed)}, more than the {text_of(amount_micro - old.spent_micro)} that would be left"
        )
    more = amount_micro - old.amount_micro
    if (more, attempt_micro, attempt_s, limit_s) == (
        *(0, old.wanted.attempt_micro, old.wanted.attempt_s),
        old.limit_s,
    ):
        return old
    # What was spent beyond the amount is counted as spent already; only what is held rises.
    held_more = max(0, amount_micro - old.spent_micro) - old.held_micro
    act.demand(caps, old.wanted.payer, held_more)
    act.db.execute(
        "UPDATE reservations SET amount_micro = ?, attempt_micro = ?, attempt_s = ?, limit_s = ?,"
        " changed_at = ? WHERE res_id = ?",
        (amount_micro, attempt_micro, attempt_s, limit_s, act.now, res_id),
    )
    act.db.execute(
        "UPDATE instances SET deadline_at = max(deadline_at, intended_at + ?)"
        " WHERE res_id = ? AND state IN ('intent', 'launched', 'terminating')",
        (attempt_s - SLACK_S, res_id),
    )
    act.append(
        EntryKind.TOP_UP,
        res_id,
        old.wanted.payer,
        reserved_micro=held_more,
        what=f"job {old.wanted.job_id} may run {limit_s:.0f} s",
    )
    return must(act.db, res_id)


def release(act: Act, res_id: int, why: str) -> Reservation:
    """Give back what was not spent. LedgerError while an instance of it may live; over already: as it is."""
    old = must(act.db, res_id)
    if not old.state.is_open:
        return old
    if live := live_of_reservation(act.db, res_id):
        raise LedgerError(
            f"reservation {res_id} still pays for {', '.join(one.node for one in live)}; end that first"
        )
    state = ReservationState.SETTLED if old.spent_micro else ReservationState.RELEASED
    return _close(act, old, state, EntryKind.RELEASE, why)


def expire(act: Act) -> tuple[Reservation, ...]:
    """Give back what waited too long and started nothing."""
    rows = act.db.execute(
        f"{_COLUMNS} WHERE state = 'reserved' AND expires_at <= ? ORDER BY res_id", (act.now,)
    ).fetchall()
    return tuple(
        _close(act, old, ReservationState.EXPIRED, EntryKind.EXPIRE, "nothing was started in time")
        for old in map(_reservation, rows)
    )


def attempt_of_node(attempt_micro: int, nodes: int) -> int:
    """The worst case of one instance, rounded up."""
    return -(-attempt_micro // nodes)


def must(db: sqlite3.Connection, res_id: int) -> Reservation:
    """The reservation, or LedgerError."""
    row = db.execute(f"{_COLUMNS} WHERE res_id = ?", (res_id,)).fetchone()
    if not row:
        raise LedgerError(f"there is no reservation {res_id}")
    return _reservation(row)


def reservation_of_job(db: sqlite3.Connection, job_id: int, submit_at: int) -> Reservation | None:
    """The job's newest, open or over; at most one is open."""
    row = db.execute(
        f"{_COLUMNS} WHERE job_id = ? AND submit_at = ? ORDER BY res_id DESC LIMIT 1", (job_id, submit_at)
    ).fetchone()
    return _reservation(row) if row else None


def reservation_of_node(db: sqlite3.Connection, node: str) -> Reservation | None:
    """The open one that holds the node."""
    row = db.execute(
        f"{_COLUMNS} WHERE res_id = (SELECT res_id FROM nodes WHERE node = ?)",  # noqa: S608  our words
        (node,),
    ).fetchone()
    return _reservation(row) if row else None


def reservations(db: sqlite3.Connection, *, only_open: bool, since: float = 0.0) -> tuple[Reservation, ...]:
    """All that are open, or all that changed since (Unix seconds), by number."""
    where = "state IN ('reserved', 'committed')" if only_open else "changed_at >= ?"
    rows = db.execute(f"{_COLUMNS} WHERE {where} ORDER BY res_id", () if only_open else (since,)).fetchall()
    return tuple(_reservation(row) for row in rows)


def _close(act: Act, old: Reservation, state: ReservationState, kind: EntryKind, why: str) -> Reservation:
    act.db.execute(
        "UPDATE reservations SET state = ?, changed_at = ?, why = ? WHERE res_id = ?",
        (state, act.now, why, old.res_id),
    )
    act.db.execute("DELETE FROM nodes WHERE res_id = ?", (old.res_id,))
    act.append(kind, old.res_id, old.wanted.payer, reserved_micro=-old.held_micro, what=why)
    return must(act.db, old.res_id)


def _demand_free(act: Act, node: str) -> None:
    if (holder := reservation_of_node(act.db, node)) is not None:
        raise LedgerError(f"{node} is held by reservation {holder.res_id} of job {holder.wanted.job_id}")
    row = act.db.execute(
        f"SELECT token, res_id FROM instances WHERE node = ? AND {LIVE}",  # noqa: S608  our words
        (node,),
    ).fetchone()
    if row:
        raise LedgerError(f"{node} still has {row['token']}, which reservation {row['res_id']} paid for")


def _check(wanted: Wanted) -> None:
    nodes = wanted.node_names
    if not nodes or len(set(nodes)) != len(nodes) or not all(nodes):
        raise LedgerError(f"job {wanted.job_id}: a reservation is for one node at least, each once: {nodes}")
    whole = (wanted.amount_micro, wanted.attempt_micro, wanted.price_cap_micro, wanted.attempts)
    if any(isinstance(number, bool) or not isinstance(number, int) for number in whole):
        raise LedgerError(f"job {wanted.job_id}: money and attempts are whole numbers: {whole}")
    if min(whole) < 0 or wanted.amount_micro > MOST_MICRO:
        raise LedgerError(
            f"job {wanted.job_id}: nothing can be reserved for {wanted.amount_micro} micro-units"
        )
    if not isfinite(wanted.attempt_s + wanted.limit_s + wanted.expires_at):
        raise LedgerError(f"job {wanted.job_id}: a reservation without an end is none")
    if not wanted.payer.user:
        raise LedgerError(f"job {wanted.job_id}: which user pays is not known")


def _reservation(row: sqlite3.Row) -> Reservation:
    wanted = Wanted(
        job_id=row["job_id"],
        submit_at=row["submit_at"],
        payer=Payer(row["account"], row["user"], row["workload"]),
        partition=row["partition"],
        node_names=tuple(json.loads(row["node_names"])),
        price_cap_micro=row["price_cap_micro"],
        attempts=row["attempts"],
        attempt_s=row["attempt_s"],
        attempt_micro=row["attempt_micro"],
        amount_micro=row["first_amount_micro"],
        limit_s=row["first_limit_s"],
        expires_at=row["expires_at"],
    )
    return Reservation(
        res_id=row["res_id"],
        wanted=wanted,
        state=ReservationState(row["state"]),
        amount_micro=row["amount_micro"],
        spent_micro=row["spent_micro"],
        limit_s=row["limit_s"],
        attempts_begun=row["attempts_begun"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        why=row["why"],
    )

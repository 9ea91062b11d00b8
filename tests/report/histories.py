"""Histories of a ledger, made with the ledger itself, and what Slurm and admission would have noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.costs import Run
from hetslurm.cloudburst.ledger.values import Payer, Reservation, Wanted
from hetslurm.cloudburst.policy import Cap, Level, Period, Purchase
from hetslurm.units import MICRO

START = 1_700_000_000.0  # a Tuesday, 22:13:20 UTC
LEAST_S = 60.0


@dataclass(frozen=True, slots=True)
class Life:
    """An instance: seconds of boot, run and idle; prices in micro-units an hour. `boot_s` None: never ran."""

    boot_s: float | None = 30.0
    run_s: float = 600.0
    idle_s: float = 30.0
    price_micro: int = 3_600_000
    on_demand_micro: int = 7_200_000


def caps(limit: float = 1_000_000) -> list[Cap]:
    """One for the site."""
    return [Cap(Level.SITE, "", Period.TOTAL, round(limit * MICRO))]


def reserve(
    book: Book, job_id: int, payer: Payer, *, node: str = "", partition: str = "cloud", micro: int = 2_000_000
) -> Reservation:
    """Money for two attempts of a job of one node."""
    wanted = Wanted(
        job_id=job_id,
        submit_at=int(START),
        payer=payer,
        partition=partition,
        node_names=(node or f"c{job_id}",),
        price_cap_micro=4 * MICRO,
        attempts=2,
        attempt_s=3600.0,
        attempt_micro=micro // 2,
        amount_micro=micro,
        limit_s=3000.0,
        expires_at=START + 10**9,
    )
    return book.reserve(wanted)


def live(book: Book, clock: FixedClock, reservation: Reservation, life: Life) -> None:
    """One boot of its node from beginning to end; the clock moves with it."""
    node = reservation.wanted.node_names[0]
    boot = book.intend(node, provider="local", billed_least_s=LEAST_S)
    launched_at = clock.now()
    book.launched(
        node,
        boot.generation,
        instance_id=f"i-{boot.token}",
        zone="here",
        purchase=Purchase.SPOT,
        instance_type="small",
        price_micro=life.price_micro,
        on_demand_micro=life.on_demand_micro,
        launched_at=launched_at,
    )
    if life.boot_s is not None:
        begun = launched_at + life.boot_s
        book.ran([Run(node, boot.generation, begun)])
        book.ran([Run(node, boot.generation, begun, begun + life.run_s)])
    clock.advance((life.boot_s or 0.0) + life.run_s + life.idle_s)
    book.ended(node, boot.generation, clock.now(), "its job is over")


def job(
    book: Book,
    clock: FixedClock,
    job_id: int,
    payer: Payer,
    lives: Sequence[Life] = (Life(),),
    *,
    wait_s: float | None = 7200.0,
    partition: str = "cloud",
) -> Reservation:
    """A job that left, ran on its instances one after the other, and is over."""
    reservation = reserve(book, job_id, payer, partition=partition)
    if wait_s is not None:
        book.expected_wait(reservation.res_id, wait_s)
    for life in lives:
        live(book, clock, reservation, life)
    return book.release(reservation.res_id, "its job is over")

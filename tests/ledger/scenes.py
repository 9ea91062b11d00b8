"""Jobs, caps and lives of instances that the tests of the ledger use."""

from __future__ import annotations

from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Instance, Payer, Wanted
from hetslurm.cloudburst.policy import Cap, Level, Period, Purchase
from hetslurm.units import MICRO

START = 1_700_000_000.0  # a Tuesday, 22:13:20 UTC
ATTEMPT_S = 1000.0


def cap(limit: float, level: str = "site", name: str = "", period: str = "total") -> Cap:
    """A cap of `limit` in the currency."""
    return Cap(Level(level), name, Period(period), round(limit * MICRO))


def wanted(
    job_id: int = 1,
    amount: float = 2.0,
    nodes: tuple[str, ...] = (),
    *,
    attempts: int = 2,
    payer: Payer | None = None,
    expires_at: float = START + 900,
) -> Wanted:
    """A job that may cost `amount`, in equal attempts; its nodes are of its own unless they are given."""
    micro = round(amount * MICRO)
    return Wanted(
        job_id=job_id,
        submit_at=int(START),
        payer=payer or Payer("phys", "ann", "blast"),
        partition="cloud",
        node_names=nodes or (f"c{job_id}",),
        price_cap_micro=4 * MICRO,
        attempts=attempts,
        attempt_s=ATTEMPT_S,
        attempt_micro=micro // attempts,
        amount_micro=micro,
        limit_s=600.0,
        expires_at=expires_at,
    )


def intend(book: Book, node: str) -> Instance:
    """Commit and intend as ResumeProgram does."""
    return book.intend(node, provider="local", billed_least_s=60.0)


def launched(
    book: Book, boot: Instance, *, price: float = 3.6, at: float = START, instance_id: str = ""
) -> Instance:
    """The provider has it, for `price` an hour: 3.6 are 0.001 a second."""
    return book.launched(
        boot.node,
        boot.generation,
        instance_id=instance_id or f"i-{boot.node}-{boot.generation}",
        zone="here",
        purchase=Purchase.SPOT,
        instance_type="small",
        price_micro=round(price * MICRO),
        on_demand_micro=round(2 * price * MICRO),
        launched_at=at,
    )

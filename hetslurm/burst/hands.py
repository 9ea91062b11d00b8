"""What the parts of cloud burst that act need of others: the audit, the way home."""

from __future__ import annotations

from typing import Protocol

from hetslurm.cloudburst.ledger.values import Reservation


class Auditor(Protocol):
    """The append-only record of what changed Slurm or spent money. OSError: the disk refuses."""

    def note(
        self,
        action: str,
        *,
        why: str,
        result: str,
        job_id: int | None = None,
        node: str | None = None,
        **what: object,
    ) -> None:
        """Add a line."""
        ...


class Homeward(Protocol):
    """Brings a waiting job back on-premises, or holds one that may only burst; its reservation is over then.

    Safe to be done again after a crash at any of its steps. Raises HetslurmError.
    """

    def return_home(self, reservation: Reservation, why: str) -> None:
        """The job of this reservation, which has no live instance."""
        ...

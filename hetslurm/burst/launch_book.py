"""What the launch loop needs of the book of money and instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hetslurm.cloudburst.cooldown import Cooldown
from hetslurm.cloudburst.ledger.values import Reservation
from hetslurm.cloudburst.policy import Purchase


class LaunchBook(Protocol):
    """A part of `Book`: every call is one durable transaction."""

    def reservation(self, res_id: int) -> Reservation:
        """Whose money it is."""
        ...

    def ordered(
        self,
        node: str,
        generation: int,
        *,
        instance_type: str,
        purchase: Purchase,
        zone: str,
        price_micro: int,
    ) -> object:
        """This offering is about to be tried; the intent stays."""
        ...

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
    ) -> object:
        """It exists."""
        ...

    def terminating(self, node: str, generation: int, why: str) -> object:
        """It is about to be told to end."""
        ...

    def failed(self, node: str, generation: int, why: str) -> object:
        """It never existed."""
        ...

    def ended(
        self, node: str, generation: int, ended_at: float, why: str, *, price_micro: int | None = None
    ) -> object:
        """It is gone; what it cost is spent."""
        ...

    def cool(self, partition: str, zone: str, purchase: str, trouble: str, until: float, why: str) -> object:
        """An offering rests until then."""
        ...

    def cooled(self) -> Sequence[Cooldown]:
        """What rests now."""
        ...

    def note(self, key: str, value: str) -> object:
        """Keep a word for the next process."""
        ...

    def read_note(self, key: str) -> str | None:
        """The word that was kept."""
        ...

"""Which cap would stand in a job's way, foreseen from one look at the ledger. Pure.

A forecast alone: what counts is what `Book.reserve` says, in the transaction that sets the money aside.
"""

from __future__ import annotations

from collections.abc import Iterable

from hetslurm.cloudburst.ledger.caps import CapSource, Recorded, binding, describe
from hetslurm.cloudburst.ledger.values import CapInForce, Payer, Usage
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.policy import Cap, Level, Period

_Scope = tuple[Level, str, Period]


class Purse:
    """What is left under every cap, less what was promised in this look."""

    def __init__(self, caps: Iterable[Cap], usage: Iterable[Usage], currency: str) -> None:
        """`caps` are those in force."""
        self._caps: Recorded = {
            (cap.level, cap.name, cap.period, CapSource.FILE): cap.limit_micro for cap in caps
        }
        self._used: dict[_Scope, int] = {
            (one.cap.level, one.name, one.cap.period): one.used_micro for one in usage
        }
        self._currency = currency

    @classmethod
    def of(cls, in_force: Iterable[CapInForce], usage: Iterable[Usage], currency: str) -> Purse:
        """From what a book says."""
        return cls((one.cap for one in in_force), usage, currency)

    def why_not(self, payer: Payer, amount_micro: int) -> str:
        """The cap with the least room for this amount, in words; "": there is room."""
        found: list[tuple[int, str]] = []
        bound = False
        for cap, name, used in self._binding(payer):
            bound = True
            room = cap.limit_micro - used
            if amount_micro > room:
                spent = f"{text_of(used)} of {text_of(cap.limit_micro)} {self._currency} used"
                wanted = f"{text_of(amount_micro)} wanted"
                found.append((room, f"cap of {describe(cap, name)}: {spent}, {wanted}"))
        if not bound:
            return "no cap binds it: without one nothing is spent"
        return min(found)[1] if found else ""

    def promise(self, payer: Payer, amount_micro: int) -> None:
        """Count this much as used."""
        for cap, name, used in tuple(self._binding(payer)):
            self._used[(cap.level, name, cap.period)] = used + amount_micro

    def _binding(self, payer: Payer) -> Iterable[tuple[Cap, str, int]]:
        for level, name in payer.scopes():
            for cap in binding(self._caps, level, name):
                yield cap, name, self._used.get((level, name, cap.period), 0)

"""What the exec provider and an admin's program say to each other: JSON, version 1. Pure.

docs/burst-exec.md is this, for those who write such a program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from hetslurm.cloudburst.policy import CloudPool, Purchase
from hetslurm.cloudburst.provider.protocol import Order, ProviderError, Quote, Seen, SeenState, Trouble

VERSION = 1
# sysexits.h: "try again later", "configuration error"; the shell's "cannot run it", "not found".
_TRY_LATER, _CONFIGURATION = 75, frozenset({78, 126, 127})


class Fault(msgspec.Struct, frozen=True):
    """Why something was not done."""

    trouble: Trouble
    message: str = ""
    code: str = ""

    def error(self, what: str) -> ProviderError:
        """As everybody else knows it."""
        words = f"{what}: {self.message or self.trouble}"
        return ProviderError(words, trouble=self.trouble, code=self.code)


class Answer(msgspec.Struct, frozen=True):
    """What every answer may hold. `error`: nothing was done."""

    version: int
    error: Fault | None = None


class Price(msgspec.Struct, frozen=True):
    """One quote; `on_demand_micro` left out: as its own price."""

    instance_type: str
    purchase: Purchase
    price_micro: int
    zone: str = ""
    on_demand_micro: int | None = None
    seen_at: float | None = None


class Quotes(Answer, frozen=True):
    """Answer to "quotes"."""

    quotes: tuple[Price, ...] = ()


class There(msgspec.Struct, frozen=True):
    """One instance; `node`, `generation`, `token` as in its order."""

    instance_id: str
    state: SeenState
    node: str
    generation: int
    token: str
    purchase: Purchase
    price_micro: int
    launched_at: float
    zone: str = ""
    ended_at: float | None = None
    notice_at: float | None = None
    address: str = ""

    def seen(self) -> Seen:
        """As everybody else knows it."""
        return Seen(
            instance_id=self.instance_id,
            state=self.state,
            node=self.node,
            generation=self.generation,
            token=self.token,
            zone=self.zone,
            purchase=self.purchase,
            price_micro=self.price_micro,
            launched_at=self.launched_at,
            ended_at=self.ended_at,
            notice_at=self.notice_at,
            address=self.address,
        )


class NotLaunched(Fault, frozen=True, kw_only=True):
    """An order that came to nothing."""

    token: str


class LaunchAnswer(Answer, frozen=True):
    """Answer to "launch". An order that is in neither list may have happened."""

    launched: tuple[There, ...] = ()
    failed: tuple[NotLaunched, ...] = ()


class SeenAnswer(Answer, frozen=True, kw_only=True):
    """Answer to "seen": all of them, always; an answer without the list is none."""

    instances: tuple[There, ...] | None = None


class Refused(Fault, frozen=True, kw_only=True):
    """An instance that would not be told to end."""

    instance_id: str


class TerminateAnswer(Answer, frozen=True):
    """Answer to "terminate"."""

    refused: tuple[Refused, ...] = ()


_Answer = TypeVar("_Answer", bound=Answer)


def request(verb: str, **content: object) -> bytes:
    """What the program reads."""
    return msgspec.json.encode({"version": VERSION, "verb": verb, **content})


def pool_content(pool: CloudPool) -> dict[str, object]:
    """A pool in a request."""
    return {
        "partition": pool.partition,
        "instance_type": pool.instance_type,
        "purchases": [purchase.value for purchase in pool.purchases],
        "zones": list(pool.zones),
        "region": pool.region,
        "max_price_micro": pool.max_price_micro,
    }


def order_content(order: Order) -> dict[str, object]:
    """An order in a request."""
    return {
        "node": order.node,
        "generation": order.generation,
        "token": order.token,
        "partition": order.pool.partition,
        "instance_type": order.pool.instance_type,
        "region": order.pool.region,
        "purchase": order.purchase.value,
        "zone": order.zone,
        "max_price_micro": order.max_price_micro,
        "deadline_at": order.deadline_at,
        "tags": dict(order.tags),
    }


def quotes_of(answer: Quotes, now: float) -> tuple[Quote, ...]:
    """Prices as everybody else knows them; one that was not dated is from now."""
    return tuple(
        Quote(
            instance_type=price.instance_type,
            purchase=price.purchase,
            zone=price.zone,
            price_micro=price.price_micro,
            on_demand_micro=price.price_micro if price.on_demand_micro is None else price.on_demand_micro,
            seen_at=now if price.seen_at is None else price.seen_at,
        )
        for price in answer.quotes
    )


def read_answer(kind: type[_Answer], what: str, status: int, out: bytes, err: bytes) -> _Answer:
    """What the program wrote, checked. ProviderError: it says no, or nothing that can be understood.

    What cannot be understood is UNAVAILABLE: the program may have done what it should.
    """
    words = _last_line(err)
    try:
        answer = msgspec.json.decode(out, type=kind)
    except msgspec.MsgspecError as error:
        if status == 0:
            raise _unclear(what, f"its answer cannot be read: {error}{words}") from error
        raise ProviderError(
            f"{what}: it ended with status {status}{words}", trouble=_by_status(status), code=f"exit-{status}"
        ) from error
    if answer.version != VERSION:
        raise _unclear(what, f"it answers in version {answer.version}, expected {VERSION}")
    if answer.error is not None:
        raise answer.error.error(what)
    if status != 0:
        raise ProviderError(
            f"{what}: it ended with status {status}{words}", trouble=_by_status(status), code=f"exit-{status}"
        )
    return answer


def check_prices(prices: Sequence[int], what: str) -> None:
    """ProviderError where a price is below nothing."""
    if any(price < 0 for price in prices):
        raise _unclear(what, "a price below 0")


def _by_status(status: int) -> Trouble:
    return Trouble.CONFIGURATION if status in _CONFIGURATION else Trouble.UNAVAILABLE


def _unclear(what: str, words: str) -> ProviderError:
    return ProviderError(f"{what}: {words}", trouble=Trouble.UNAVAILABLE, code="answer")


def _last_line(err: bytes) -> str:
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return f"; it says: {lines[-1][:200]}" if lines else ""

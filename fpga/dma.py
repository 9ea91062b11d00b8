"""A DMA round trip: random bytes to the card and back, timed, and compared.

The host's side is overwritten in between, so that bytes can only come back from the card. Random, since zeros
and constants may be stored or moved in cheaper ways.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hetslurm.fpga.reading import Transfer

GB = 1e9
ROUNDS = 3
PAGE_BYTES = 4096


class Buffer(Protocol):
    """Memory of the host and of the card, with DMA between the two."""

    def map(self) -> memoryview:
        """The host's side, as bytes."""
        ...

    def to_card(self) -> None:
        """Copy all of it to the card."""
        ...

    def from_card(self) -> None:
        """Copy all of it from the card."""
        ...


def round_trip(
    buffer: Buffer, random_bytes: Callable[[int], bytes], clock: Callable[[], float], rounds: int = ROUNDS
) -> Transfer:
    """Rates of the fastest round each way: what the link can do, whatever else the machine was at.

    Stops at the first round whose bytes come back wrong.
    """
    host = buffer.map()
    size = len(host)
    sent = random_bytes(size)
    junk = bytes(size) if any(sent[:64]) else b"\xff" * size
    write_s = read_s = float("inf")
    fault = ""
    for _ in range(rounds):
        host[:] = sent
        write_s = min(write_s, _time(buffer.to_card, clock))
        host[:] = junk
        read_s = min(read_s, _time(buffer.from_card, clock))
        fault = difference(sent, bytes(host))
        if fault:
            break
    return Transfer(_rate(size, write_s), _rate(size, read_s), fault)


def difference(sent: bytes, received: bytes) -> str:
    """How two texts of equal length differ, in words; "" where they do not."""
    if sent == received:
        return ""
    pages = range(0, len(sent), PAGE_BYTES)
    wrong = [at for at in pages if sent[at : at + PAGE_BYTES] != received[at : at + PAGE_BYTES]]
    first = next(at for at in range(wrong[0], len(sent)) if sent[at] != received[at])
    return f"{len(wrong)} of {len(pages)} pages came back wrong, the first byte at {first:#x}"


def _time(work: Callable[[], None], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def _rate(size: int, seconds: float) -> float:
    return size / GB / seconds if seconds > 0 else float("nan")

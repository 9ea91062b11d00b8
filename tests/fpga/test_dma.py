"""The DMA round trip: what it finds wrong, and how fast it says a card is."""

from __future__ import annotations

import math
import random

import pytest

from hetslurm.fpga.dma import PAGE_BYTES, difference, round_trip
from hetslurm.fpga.fake_card import FakeCard, FakeMemory
from hetslurm.fpga.reading import Transfer

SIZE = 1 << 20


def _trip(memory: FakeMemory) -> Transfer:
    return round_trip(memory, random.Random(7).randbytes, memory.clock)


def test_a_good_card_has_its_rates_and_no_fault() -> None:
    found = _trip(FakeMemory(FakeCard(dma_write_gbs=11.5, dma_read_gbs=12.25), SIZE))
    assert found.write_gbs == pytest.approx(11.5)
    assert found.read_gbs == pytest.approx(12.25)
    assert found.fault == ""


def test_a_flipped_bit_is_found() -> None:
    found = _trip(FakeMemory(FakeCard(dma_corrupts=True), SIZE))
    assert found.fault == "1 of 256 pages came back wrong, the first byte at 0x80000"


class _Idle(FakeMemory):
    """Moves nothing, which takes no time."""

    def to_card(self) -> None:
        pass

    def from_card(self) -> None:
        pass


def test_a_card_that_moves_nothing_is_found() -> None:
    found = _trip(_Idle(FakeCard(), SIZE))
    assert found.fault == "256 of 256 pages came back wrong, the first byte at 0x0"
    assert math.isnan(found.write_gbs)


@pytest.mark.parametrize("at", [0, 1, PAGE_BYTES - 1, PAGE_BYTES, 3 * PAGE_BYTES + 5])
def test_the_first_wrong_byte_is_named(at: int) -> None:
    sent = bytes(3 * PAGE_BYTES + 6)
    received = bytearray(sent)
    received[at] = 1
    assert difference(sent, bytes(received)) == f"1 of 4 pages came back wrong, the first byte at {at:#x}"
    assert difference(sent, sent) == ""

"""The FPGA probe: state of every card, and on request the bandwidth of DMA to and from the idle ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hetslurm.errors import ProbeError
from hetslurm.fpga.bitstreams import Bitstreams
from hetslurm.fpga.fake import FILE, FakeCards
from hetslurm.fpga.info import MIB
from hetslurm.fpga.reading import Cards, Reading, Transfer
from hetslurm.fpga.sample import banks_to_test, label, sample_of, why_busy
from hetslurm.fpga.xrt_cards import XrtCards
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState, Row, Sample

# Long enough a transfer for its start not to count, small enough for any bank that is tested.
TRANSFER_BYTES = 32 * MIB


def open_probe(agent: AgentSite, *, noop_cards: int = 0) -> FpgaProbe:
    """The probe over the fake cards of `<fake_dir>/fpga.json` where there is one, else over XRT.

    `noop_cards`: how many devices XRT is to pretend, where XCL_EMULATION_MODE=noop makes it.
    """
    fake = Path(agent.fake_dir, FILE) if agent.fake_dir else None
    cards: Cards = FakeCards(fake) if fake and fake.is_file() else XrtCards(noop_cards=noop_cards)
    return FpgaProbe(cards, agent.xclbin_dirs)


class FpgaProbe:
    """A hetslurm.telemetry.Probe over cards."""

    name = "fpga"

    def __init__(self, cards: Cards, xclbin_dirs: Iterable[str] = (), *, size: int = TRANSFER_BYTES) -> None:
        self._cards = cards
        self._bitstreams = Bitstreams(xclbin_dirs)
        self._size = size

    def sample(self) -> Sample:
        """Look, without using a card. ProbeError where what stands in for cards cannot be read."""
        look = self._cards.look()
        return sample_of(replace(look, readings=tuple(map(self._named, look.readings))))

    def measure(self) -> Sample:
        """A DMA round trip on each idle card. FAILED where bytes came back wrong, or XRT refused a transfer.

        A card that is not idle, or failed, has an empty row.
        """
        look = self._cards.look()
        if look.state is not ProbeState.OK:
            return sample_of(look)
        rows, messages, failed = [], [look.message], False
        for reading in look.readings:
            row, why, is_fault = self._measure(reading)
            rows.append(row)
            messages.append(why and f"{label(reading)}: {why}")
            failed |= is_fault
        state = ProbeState.FAILED if failed else ProbeState.OK
        return Sample(self.name, state, tuple(rows), "; ".join(filter(None, messages)))

    def close(self) -> None:
        """Let go of the runtime."""
        self._cards.close()

    def _measure(self, reading: Reading) -> tuple[Row, str, bool]:
        """The row, what is to be said of it, and whether that is a fault."""
        why = why_busy(reading, self._cards.use(reading))
        if why:
            return Row(), why, False
        try:
            found = self._transfer(reading)
        except ProbeError as error:
            return Row(), str(error), True
        if found.fault:
            return Row(), f"DMA: {found.fault}", True
        return Row({"dma_write_gbs": found.write_gbs, "dma_read_gbs": found.read_gbs}), "", False

    def _transfer(self, reading: Reading) -> Transfer:
        """Through the first bank that takes it: a bitstream may leave enabled ones out of reach."""
        *others, last = banks_to_test(reading)
        for bank in others:
            try:
                return self._cards.transfer(reading, bank, self._size)
            except ProbeError:
                continue
        return self._cards.transfer(reading, last, self._size)

    def _named(self, reading: Reading) -> Reading:
        if not reading.xclbin_uuid or reading.xclbin:
            return reading
        return replace(reading, xclbin=self._bitstreams.name(reading.xclbin_uuid))

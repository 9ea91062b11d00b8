"""The cards of this node, through XRT and the kernel."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hetslurm.errors import ProbeError
from hetslurm.fpga import pci
from hetslurm.fpga.dma import round_trip
from hetslurm.fpga.reading import Look, Reading, Transfer, Use
from hetslurm.fpga.records import Tally
from hetslurm.fpga.xrt import XRT_ERRORS, Device, Runtime, load
from hetslurm.telemetry import ProbeState

INFO_KEYS = ("thermal", "electrical", "pcie_info", "memory", "platform", "host", "name")


class XrtCards:
    """Opens each card only while it reads it: an open card can be neither reset nor given a new driver.

    `noop_cards` is how many devices to look for where XCL_EMULATION_MODE=noop has XRT pretend: it has any
    number then, and counts none.
    """

    def __init__(self, *, noop_cards: int = 0, sys: Path = pci.SYS) -> None:
        self._sys = sys
        self._noop_cards = noop_cards if os.environ.get("XCL_EMULATION_MODE") == "noop" else 0
        self._runtime: Runtime | None = None
        self._tallies: dict[str, Tally] = defaultdict(Tally)

    def look(self) -> Look:
        """Every card that the driver has, by PCI address, also those that are not ready, which XRT hides."""
        found = pci.cards(self._sys)
        if not found and not self._noop_cards:
            return Look(ProbeState.ABSENT, message=self._why_none())
        try:
            runtime = self._load()
        except ProbeError as error:
            return Look(ProbeState.ABSENT, message=str(error))
        if self._noop_cards:
            readings = [self._read_xrt(runtime, index, Reading()) for index in range(self._noop_cards)]
        else:
            readings = [self._read(runtime, bdf) for bdf in found]
        return Look(ProbeState.OK, tuple(readings))

    def use(self, reading: Reading) -> Use:
        """From the driver and from every process. noop's devices are this process's own."""
        if not reading.bdf:
            return Use(0, 0)
        card = pci.Card(reading.bdf, self._sys)
        return Use(card.contexts(), card.holders(os.getpid()))

    def transfer(self, reading: Reading, bank: int, size: int) -> Transfer:
        """A DMA round trip through a new buffer in that bank."""
        runtime = self._load()
        try:
            buffer = _XrtBuffer(runtime, runtime.device(reading.bdf or 0), size, bank)
            return round_trip(buffer, os.urandom, time.perf_counter)
        except XRT_ERRORS as error:
            raise ProbeError(f"XRT refused a DMA round trip: {error}") from error

    def close(self) -> None:
        """Nothing stays open between two looks."""

    def _load(self) -> Runtime:
        if self._runtime is None:
            self._runtime = load()
        return self._runtime

    def _why_none(self) -> str:
        idle = pci.driverless(self._sys)
        if idle:
            return f"no driver (xocl) for the card at {', '.join(idle)}"
        return "no FPGA card that XRT's driver (xocl) has"

    def _read(self, runtime: Runtime, bdf: str) -> Reading:
        card = pci.Card(bdf, self._sys)
        records = card.errors()
        seen = Reading(
            bdf=bdf,
            ready=card.ready(),
            link=card.link(),
            firewall=card.firewall(),
            errors=None if records is None else self._tallies[bdf].add(records),
            error=records[-1].text if records else "",
        )
        if seen.ready is False:
            # Asking such a card can take minutes, and it has nothing to say.
            return replace(seen, why="not ready: its shell or its management function does not answer")
        return self._read_xrt(runtime, bdf, seen)

    @staticmethod
    def _read_xrt(runtime: Runtime, which: str | int, seen: Reading) -> Reading:
        """What XRT adds. A card that it cannot open is not ready, whatever the driver says."""
        try:
            device = runtime.device(which)
        except XRT_ERRORS as error:
            return replace(seen, ready=False, why=f"XRT cannot open it: {error}")
        return replace(seen, info=_info(runtime, device), xclbin_uuid=_loaded(device))


class _XrtBuffer:
    """A `bo` of the whole size, both ways."""

    def __init__(self, runtime: Runtime, device: Device, size: int, bank: int) -> None:
        self._bo = runtime.bo(device, size, runtime.bo.flags.normal, bank)
        self._directions = runtime.xclBOSyncDirection
        self._size = size

    def map(self) -> memoryview:
        view: memoryview = self._bo.map()
        return view.cast("B")

    def to_card(self) -> None:
        self._bo.sync(self._directions.XCL_BO_SYNC_BO_TO_DEVICE, self._size, 0)

    def from_card(self) -> None:
        self._bo.sync(self._directions.XCL_BO_SYNC_BO_FROM_DEVICE, self._size, 0)


def _info(runtime: Runtime, device: Device) -> Mapping[str, str]:
    """Texts by key; a key that this XRT or this card does not answer is left out."""
    found = {}
    for key in INFO_KEYS:
        try:
            found[key] = device.get_info(getattr(runtime.xrt_info_device, key))
        except (*XRT_ERRORS, AttributeError):
            continue
    return found


def _loaded(device: Device) -> str | None:
    try:
        return device.get_xclbin_uuid().to_string().lower()
    except XRT_ERRORS:
        return None

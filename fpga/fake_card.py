"""One pretended card: what XRT and the kernel would say of it, in their own words. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hetslurm.fpga.info import MIB
from hetslurm.fpga.reading import Firewall, Link, Reading
from hetslurm.fpga.sample import NOTHING_LOADED

NAME = "xilinx_u250_gen3x16_xdma_shell_4_1"
GB = 1e9


@dataclass(frozen=True, slots=True)
class FakeCard:
    """A card as the file has it; the defaults are one in good health, idle. None: XRT does not know.

    `firewall_level` as in the metric: 0 none, 1 XRT's level 0. `xclbin_uuid` "": nothing is loaded. Where
    `xclbin` is "", the file's name is looked for as on a real card. `dma_corrupts`: bytes come back wrong.
    """

    serial: str = "XFL1FAKE0000"
    bdf: str = "0000:3b:00.1"
    name: str = NAME
    ready: bool = True
    temperature_c: float | None = 41.0
    power_w: float | None = 26.5
    power_limit_w: float | None = 225.0
    pcie_gen: int | None = 3
    pcie_gen_max: int | None = 3
    pcie_width: int | None = 16
    pcie_width_max: int | None = 16
    memory_banks: int | None = 4
    memory_bank_mb: float = 16_384.0
    memory_used_mb: float = 0.0
    firewall_level: int | None = 0
    errors: int | None = 0
    error: str = ""
    xclbin_uuid: str = "5f9d2a54-7e5c-4d12-9c40-2f6f1f0d7a11"
    xclbin: str = ""
    contexts: int | None = 0
    dma_write_gbs: float = 11.4
    dma_read_gbs: float = 12.0
    dma_corrupts: bool = False


def reading_of(card: FakeCard) -> Reading:
    """What a look finds of it. One that is not ready says nothing of itself, as a real one."""
    if not card.ready:
        return Reading(bdf=card.bdf, ready=False, why="not ready: its shell does not answer")
    return Reading(
        bdf=card.bdf,
        ready=True,
        info=_info(card),
        xclbin_uuid=card.xclbin_uuid or NOTHING_LOADED,
        xclbin=card.xclbin or None,
        link=Link(card.pcie_gen, card.pcie_gen_max, card.pcie_width, card.pcie_width_max),
        firewall=_firewall(card.firewall_level),
        errors=card.errors,
        error=card.error,
    )


class FakeMemory:
    """A hetslurm.fpga.dma.Buffer of a card that moves data at the card's rates, by a clock of its own."""

    def __init__(self, card: FakeCard, size: int) -> None:
        self._card = card
        self._host = bytearray(size)
        self._there = bytearray(size)
        self._now_s = 0.0

    def clock(self) -> float:
        """Seconds that the transfers so far would have taken."""
        return self._now_s

    def map(self) -> memoryview:
        """The host's side."""
        return memoryview(self._host)

    def to_card(self) -> None:
        """Host to card."""
        self._there[:] = self._host
        self._now_s += len(self._host) / GB / self._card.dma_write_gbs

    def from_card(self) -> None:
        """Card to host, with a bit flipped where the card corrupts."""
        self._host[:] = self._there
        self._now_s += len(self._host) / GB / self._card.dma_read_gbs
        if self._card.dma_corrupts:
            self._host[len(self._host) // 2] ^= 1


def _info(card: FakeCard) -> dict[str, str]:
    trees = {
        "thermal": {"thermals": [_sensor("pcb_top_front", None), _sensor("fpga0", card.temperature_c)]},
        "electrical": {
            "power_rails": "",
            "power_consumption_max_watts": _told(card.power_limit_w),
            "power_consumption_watts": _told(card.power_w),
            "power_consumption_warning": "false",
        },
        "pcie_info": {
            "link_speed_gbit_sec": str(card.pcie_gen or 0),
            "expected_link_speed_gbit_sec": str(card.pcie_gen_max or 0),
            "express_lane_width_count": str(card.pcie_width or 0),
            "expected_express_lane_width_count": str(card.pcie_width_max or 0),
        },
        "memory": _memory(card),
        "platform": {
            "platforms": [
                {
                    "static_region": {"vbnv": card.name},
                    "controller": {"card_mgmt_controller": {"serial_number": card.serial}},
                }
            ]
        },
        "host": {"version": "0.0.0-fake"},
    }
    return {key: json.dumps(tree) for key, tree in trees.items()}


def _sensor(name: str, degrees: float | None) -> dict[str, str]:
    return {
        "location_id": name,
        "temp_C": f"{degrees or 0:g}",
        "is_present": str(degrees is not None).lower(),
    }


def _memory(card: FakeCard) -> dict[str, Any]:
    if card.memory_banks is None:
        return {"error_msg": "No such query request (24)"}
    banks = [
        {
            "type": "MEM_DDR4",
            "tag": f"bank{index}",
            "enabled": "true",
            "range_bytes": hex(int(card.memory_bank_mb * MIB)),
            "extended_info": {
                "usage": {"allocated_bytes": str(int(card.memory_used_mb * MIB) * (not index))}
            },
        }
        for index in range(card.memory_banks)
    ]
    return {"board": {"memory": {"memories": banks or ""}}}


def _firewall(level: int | None) -> Firewall | None:
    if level is None:
        return None
    return Firewall(0x1, level - 1, "fake") if level else Firewall(0, 0)


def _told(number: float | None) -> str:
    return "N/A" if number is None else f"{number:g}"

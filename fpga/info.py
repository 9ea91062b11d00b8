"""What XRT's get_info says of a card, as metrics and facts. Pure.

Names of fields: sensor.cpp, info_platform.cpp and info_memory.cpp of XRT 2.13 (core/common); 2.2x kept them.
docs/fpga.md lists which key each metric comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hetslurm.fpga.jsontext import find, is_true, items, number, parse, positive, word

MIB = 1 << 20
# Above these a sensor or a driver is broken, not the card: silicon shuts down long before, and XRT 2.13 hands
# out the power of some cards in another unit than it says, or memory that it never wrote.
TEMPERATURE_MAX_C = 150.0
POWER_MAX_W = 1000.0
PCIE_GEN_MAX = 8
PCIE_WIDTH_MAX = 32
# Memory of the host that the card may reach: a bank by name, but none of the card's.
HOST_BANK = "HOST["


@dataclass(frozen=True, slots=True)
class Bank:
    """One enabled memory bank on the card. `index` is its place in the topology; sizes in bytes."""

    index: int
    tag: str
    size: float | None
    used: float | None
    ecc_uncorrected: float | None


def temperature_c(text: str) -> float | None:
    """The hottest sensor of get_info's "thermal" that is present; 0 °C is no sensor's reading."""
    found = [
        degrees
        for sensor in items(parse(text), "thermals")
        if is_true(find(sensor, "is_present"))
        and not find(sensor, "error_msg")
        and (degrees := positive(find(sensor, "temp_C"))) is not None
        and degrees <= TEMPERATURE_MAX_C
    ]
    return max(found, default=None)


def power_w(text: str) -> tuple[float | None, float | None]:
    """Power drawn, and power that may be drawn, from get_info's "electrical"."""
    tree = parse(text)
    return (
        _within(positive(find(tree, "power_consumption_watts")), POWER_MAX_W),
        _within(positive(find(tree, "power_consumption_max_watts")), POWER_MAX_W),
    )


@dataclass(frozen=True, slots=True)
class PcieInfo:
    """The link as get_info's "pcie_info" has it: what the driver saw when it was loaded."""

    gen: float | None
    gen_max: float | None
    width: float | None
    width_max: float | None


def pcie(text: str) -> PcieInfo:
    """XRT calls the speed Gbit/s and means the generation: it is the speed code of PCIe's registers."""
    tree = parse(text)
    return PcieInfo(
        gen=_whole(find(tree, "link_speed_gbit_sec"), PCIE_GEN_MAX),
        gen_max=_whole(find(tree, "expected_link_speed_gbit_sec"), PCIE_GEN_MAX),
        width=_whole(find(tree, "express_lane_width_count"), PCIE_WIDTH_MAX),
        width_max=_whole(find(tree, "expected_express_lane_width_count"), PCIE_WIDTH_MAX),
    )


def banks(text: str) -> tuple[Bank, ...] | None:
    """The enabled banks of get_info's "memory"; None where it tells of none (no bitstream, no access)."""
    memories = items(parse(text), "board", "memory", "memories")
    if not memories:
        return None
    return tuple(
        Bank(
            index=index,
            tag=word(find(memory, "tag")),
            size=positive(find(memory, "range_bytes")),
            used=number(find(memory, "extended_info", "usage", "allocated_bytes")),
            ecc_uncorrected=number(
                find(memory, "extended_info", "ecc", "error", "uncorrectable", "count"),
            ),
        )
        for index, memory in enumerate(memories)
        if is_true(find(memory, "enabled")) and not word(find(memory, "tag")).startswith(HOST_BANK)
    )


def platform_facts(text: str) -> Mapping[str, str]:
    """The shell's name and the card's serial number, from get_info's "platform"."""
    platforms = items(parse(text), "platforms")
    first = platforms[0] if platforms else None
    facts = {
        "name": word(find(first, "static_region", "vbnv")),
        "serial": word(find(first, "controller", "card_mgmt_controller", "serial_number")),
    }
    return {name: fact for name, fact in facts.items() if fact}


def xrt_version(text: str) -> str:
    """The runtime's version, from get_info's "host"."""
    return word(find(parse(text), "version"))


def _within(value: float | None, most: float) -> float | None:
    return value if value is not None and value <= most else None


def _whole(found: object, most: float) -> float | None:
    value = _within(positive(found), most)
    return value if value is not None and value.is_integer() else None

"""From readings to the rows that travel, and whether a card is idle. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hetslurm.fpga import info
from hetslurm.fpga.jsontext import word
from hetslurm.fpga.reading import Look, Reading, Use
from hetslurm.telemetry import Row, Sample

NOTHING_LOADED = "00000000-0000-0000-0000-000000000000"
# Small banks (PLRAM) are no place for a bandwidth test.
BANK_LEAST_BYTES = 256 * info.MIB


def sample_of(look: Look) -> Sample:
    """The sample that a look makes."""
    troubles = [
        look.message,
        *(f"{label(reading)}: {reading.why}" for reading in look.readings if reading.why),
    ]
    return Sample("fpga", look.state, tuple(map(row_of, look.readings)), "; ".join(filter(None, troubles)))


def row_of(reading: Reading) -> Row:
    """The row of one card; what is not known is left out."""
    power, power_limit = info.power_w(_text(reading, "electrical"))
    banks = info.banks(_text(reading, "memory"))
    known = {
        "ready": None if reading.ready is None else float(reading.ready),
        "temperature_c": info.temperature_c(_text(reading, "thermal")),
        "power_w": power,
        "power_limit_w": power_limit,
        **_link(reading),
        **_memory(banks),
        "firewall_level": _firewall_level(reading),
        "errors": _errors(reading, banks),
        "loaded": None if reading.xclbin_uuid is None else float(_is_loaded(reading)),
    }
    return Row({name: value for name, value in known.items() if value is not None}, facts_of(reading))


def facts_of(reading: Reading) -> Mapping[str, str]:
    """What the card is called and what it runs.

    "id" is the serial number, or the PCI address where the card has none; "name" the shell; "xclbin_uuid" and
    "xclbin" the loaded bitstream and its file's name, both missing where nothing is loaded or nobody knows;
    "firewall" which AXI firewall tripped, "error" the newest error that the driver recorded.
    """
    platform = info.platform_facts(_text(reading, "platform"))
    loaded = _is_loaded(reading)
    facts = {
        "id": platform.get("serial") or reading.bdf,
        "name": platform.get("name") or word(_text(reading, "name")),
        "bdf": reading.bdf,
        "xrt": info.xrt_version(_text(reading, "host")),
        "xclbin_uuid": reading.xclbin_uuid if loaded else None,
        "xclbin": reading.xclbin if loaded else None,
        "firewall": _firewall_words(reading),
        "error": reading.error,
    }
    return {name: fact for name, fact in facts.items() if fact}


def why_busy(reading: Reading, use: Use) -> str:
    """Why a DMA test must leave this card alone; "" where it is idle."""
    unknown = use.contexts is None or use.holders is None
    reasons = (
        (reading.ready is False, reading.why or "not ready"),
        (bool(reading.why), reading.why),
        (unknown, "cannot tell whether it is idle"),
        (bool(use.contexts), f"in use: {use.contexts} open contexts"),
        (bool(use.holders), f"in use: {use.holders} processes have it open"),
        (not _is_loaded(reading), "no bitstream is loaded, and without one its memory cannot be reached"),
        (info.banks(_text(reading, "memory")) == (), "no memory bank is enabled"),
    )
    return next((why for holds, why in reasons if holds), "")


def banks_to_test(reading: Reading) -> tuple[int, ...]:
    """Indices of the banks to move data through, the best first; bank 0 where XRT told of none."""
    banks = info.banks(_text(reading, "memory")) or ()
    return tuple(bank.index for bank in banks if bank.size and bank.size >= BANK_LEAST_BYTES) or (0,)


def label(reading: Reading) -> str:
    """What a message calls this card."""
    return reading.bdf or facts_of(reading).get("id") or "card"


def _text(reading: Reading, key: str) -> str:
    return reading.info.get(key, "")


def _is_loaded(reading: Reading) -> bool:
    return reading.xclbin_uuid not in {None, "", NOTHING_LOADED}


def _link(reading: Reading) -> Mapping[str, float | None]:
    """The kernel's view where there is one: XRT's driver keeps the link of the day it was loaded.

    What is expected is what both the card and the slot can do: a card in a slower slot is no fault.
    """
    told = info.pcie(_text(reading, "pcie_info"))
    seen = reading.link
    return {
        "pcie_gen": _first(seen.gen, told.gen),
        "pcie_gen_max": _least(_first(seen.gen_max, told.gen_max), seen.port_gen_max),
        "pcie_width": _first(seen.width, told.width),
        "pcie_width_max": _least(_first(seen.width_max, told.width_max), seen.port_width_max),
    }


def _memory(banks: tuple[info.Bank, ...] | None) -> Mapping[str, float | None]:
    if banks is None:
        return {}
    return {
        "memory_banks": float(len(banks)),
        "memory_total_mb": _total(bank.size for bank in banks),
        "memory_used_mb": _total(bank.used for bank in banks),
    }


def _total(sizes: Iterable[float | None]) -> float | None:
    """Bytes to MiB; unknown where one of them is, since a part would pass for the whole."""
    known = list(sizes)
    total = sum(size for size in known if size is not None)
    return None if None in known or not known else total / info.MIB


def _firewall_level(reading: Reading) -> float | None:
    """XRT counts levels from 0, which here means that none tripped: so its 0 is 1."""
    if reading.firewall is None:
        return None
    return reading.firewall.level + 1.0 if reading.firewall.status else 0.0


def _firewall_words(reading: Reading) -> str:
    firewall = reading.firewall
    if firewall is None or not firewall.status:
        return ""
    return f"level {firewall.level} in XRT's count, status {firewall.status:#x} {firewall.name}".rstrip()


def _errors(reading: Reading, banks: tuple[info.Bank, ...] | None) -> float | None:
    """What the driver recorded, and uncorrected ECC errors of the memory banks where those count."""
    ecc = [bank.ecc_uncorrected for bank in banks or () if bank.ecc_uncorrected is not None]
    if reading.errors is None and not ecc:
        return None
    return float((reading.errors or 0) + sum(ecc))


def _first(*numbers: float | None) -> float | None:
    return next((number for number in numbers if number), None)


def _least(*numbers: float | None) -> float | None:
    return min((number for number in numbers if number), default=None)

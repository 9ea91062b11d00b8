"""Cards that a file pretends: `<fake_dir>/fpga.json`, read again at each look. For sandbox, demo and tests.

    {"fault": "", "cards": [{"serial": "XFL1FAKE0000", "bdf": "0000:3b:00.1", "temperature_c": 41, …}]}

A card has the fields of `hetslurm.fpga.fake_card.FakeCard`; a missing one is healthy, null is unknown.
"fault" is what happens to the whole probe: "hang", "crash" or "absent". What is not known is refused.
"""

from __future__ import annotations

import difflib
import fcntl
import json
import math
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

from hetslurm.errors import ProbeError
from hetslurm.fpga.dma import round_trip
from hetslurm.fpga.fake_card import NAME, FakeCard, FakeMemory, reading_of
from hetslurm.fpga.reading import Look, Reading, Transfer, Use
from hetslurm.telemetry import ProbeState

FILE = "fpga.json"
PROBE_FAULTS = ("hang", "crash", "absent")
EXIT_CRASH = 70
NUMBER_MAX = 1e9

# Ways in which one card goes bad: what `break_fake` changes.
FAULTS: dict[str, dict[str, Any]] = {
    "hot": {"temperature_c": 99.0},
    "pcie": {"pcie_gen": 1, "pcie_width": 4},
    "firewall": {"firewall_level": 2, "errors": 1, "error": "firewall trip (critical)"},
    "errors": {"errors": 7, "error": "execution (error)"},
    "not-ready": {"ready": False},
    "mismatch": {"dma_corrupts": True},
    "unloaded": {"xclbin_uuid": "", "xclbin": ""},
    "busy": {"contexts": 1, "power_w": 88.0},
    "slow": {"dma_write_gbs": 1.4, "dma_read_gbs": 1.5},
}

_KEYS = frozenset(field.name for field in fields(FakeCard))
_RATES = frozenset({"dma_write_gbs", "dma_read_gbs"})
_IDENTITY = frozenset({"serial", "bdf", "name"})


@dataclass(frozen=True, slots=True)
class Pretended:
    """The file, understood."""

    fault: str
    cards: tuple[FakeCard, ...]


class FakeCards:
    """A hetslurm.fpga.reading.Cards out of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self) -> Look:
        """What the file says now. ProbeError where it says what this does not know."""
        now = self._read()
        if now.fault == "hang":
            threading.Event().wait()
        if now.fault == "crash":
            os._exit(EXIT_CRASH)
        if now.fault == "absent" or not now.cards:
            return Look(ProbeState.ABSENT, message="no FPGA card: the file pretends none")
        return Look(ProbeState.OK, tuple(map(reading_of, now.cards)))

    def use(self, reading: Reading) -> Use:
        """As many processes as contexts."""
        contexts = self._card(reading).contexts
        return Use(contexts, contexts)

    def transfer(self, reading: Reading, bank: int, size: int) -> Transfer:
        """A round trip at the card's rates."""
        card = self._card(reading)
        if bank >= (card.memory_banks or 0):
            raise ProbeError(f"card {reading.bdf} has no memory bank {bank}")
        memory = FakeMemory(card, size)
        return round_trip(memory, os.urandom, memory.clock)

    def close(self) -> None:
        """Nothing is held."""

    def _card(self, reading: Reading) -> FakeCard:
        card = next((card for card in self._read().cards if card.bdf == reading.bdf), None)
        if card is None:
            raise ProbeError(f"{self._path}: no card {reading.bdf}")
        return card

    def _read(self) -> Pretended:
        try:
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ProbeError(f"{self._path}: {error}") from error
        return parse_fake(text, str(self._path))


def parse_fake(text: str, where: str = FILE) -> Pretended:
    """The cards that this JSON pretends. ProbeError names the key or the value that cannot be."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProbeError(f"{where}: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("cards"), list):
        raise ProbeError(f'{where}: expected an object with "cards", a list')
    _check_keys(told, frozenset({"fault", "cards"}), where)
    fault = told.get("fault", "")
    if fault != "" and fault not in PROBE_FAULTS:
        raise ProbeError(f"{where}: fault {fault!r}, expected one of {', '.join(PROBE_FAULTS)}")
    return Pretended(
        fault, tuple(_card(one, f"{where}: card {index}") for index, one in enumerate(told["cards"]))
    )


def write_fake(path: Path, cards: int = 1, name: str = NAME, **changes: Any) -> None:
    """Pretend so many healthy cards, all with these changes. Serial numbers depend on the path alone."""
    told = [asdict(FakeCard()) | _identity(path, index, name) | changes for index in range(cards)]
    _write(path, {"fault": "", "cards": told})


def change_fake(path: Path, index: int | None = None, **changes: Any) -> None:
    """Change fields of one card, or of the file itself (`fault=`) where `index` is None. Atomic."""
    with _locked(path) as told:
        target = told if index is None else told["cards"][index]
        target.update(changes)


def break_fake(path: Path, fault: str, index: int = 0) -> None:
    """Let a card go bad in one of FAULTS, or the whole probe in one of PROBE_FAULTS."""
    if fault in PROBE_FAULTS:
        change_fake(path, fault=fault)
    elif fault in FAULTS:
        change_fake(path, index, **FAULTS[fault])
    else:
        known = ", ".join((*FAULTS, *PROBE_FAULTS))
        raise ProbeError(f"no fault {fault!r} of an FPGA, expected one of {known}")


def heal_fake(path: Path) -> None:
    """All cards healthy again, with the names that they have. Counters start anew, as after a reset."""
    healthy = {key: value for key, value in asdict(FakeCard()).items() if key not in _IDENTITY}
    with _locked(path) as told:
        told["fault"] = ""
        for card in told["cards"]:
            card.update(healthy)


def _identity(path: Path, index: int, name: str) -> dict[str, str]:
    """Its serial number is a device's name for life, so cards of two nodes must not share one."""
    node = zlib.crc32(str(path).encode())
    return {"serial": f"XFL1{node:08X}{index:04d}", "bdf": f"0000:{0x3B + index:02x}:00.1", "name": name}


def _card(told: Any, where: str) -> FakeCard:
    if not isinstance(told, dict):
        raise ProbeError(f"{where}: expected an object")
    _check_keys(told, _KEYS, where)
    try:
        card = msgspec.convert(told, FakeCard)
    except msgspec.ValidationError as error:
        raise ProbeError(f"{where}: {error}") from error
    for key, value in asdict(card).items():
        if isinstance(value, int | float) and not (math.isfinite(value) and 0 <= value <= NUMBER_MAX):
            raise ProbeError(f"{where}: {key} is {value}, expected 0 to {NUMBER_MAX:g}")
        if key in _RATES and not value:
            raise ProbeError(f"{where}: {key} must be above 0")
    return card


def _check_keys(told: dict[str, Any], known: frozenset[str], where: str) -> None:
    for key in told:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), 1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise ProbeError(f"{where}: unknown key {key!r}{hint}")


@contextmanager
def _locked(path: Path) -> Iterator[dict[str, Any]]:
    """What the file says, to be changed; written back whole, unless the change makes no sense."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        told = json.loads(path.read_text())
        yield told
        _write(path, told)
    finally:
        os.close(folder)


def _write(path: Path, told: dict[str, Any]) -> None:
    text = json.dumps(told, indent=1)
    parse_fake(text, str(path))
    new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    new.write_text(text)
    new.replace(path)

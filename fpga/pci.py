"""What the kernel says of the cards on the PCI bus: /sys, without opening a card, whatever XRT says.

XRT shows only cards that are ready, keeps the link of the day its driver was loaded, and says level 0 of a
firewall that it could not read. So these are read where the driver (xocl) puts them. Every number is None
where its file is missing or cannot be understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hetslurm.fpga.jsontext import word
from hetslurm.fpga.reading import Firewall, Link
from hetslurm.fpga.records import FILE_BYTES, ErrorRecord, parse_records

SYS = Path("/sys")
PROC = Path("/proc")
# Both names that XRT's own scan looks for (pcie/linux/scan.cpp): the user function, which jobs open.
DRIVERS = ("xocl", "xrt-user")
XILINX = "0x10ee"
PROCESSING_ACCELERATOR = "0x1200"
FIREWALLS_MAX = 64
_BDF = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_SPEED = re.compile(r"([0-9]+(?:\.[0-9]+)?) GT/s")
_GENERATION = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
_CONTEXTS = re.compile(r"^contexts:\s*([0-9]{1,6})\s*$", re.MULTILINE)


def cards(sys: Path = SYS) -> tuple[str, ...]:
    """Addresses ("0000:3b:00.1") of the cards that XRT's driver has, sorted."""
    found = {entry.name for driver in DRIVERS for entry in _entries(sys / "bus/pci/drivers" / driver)}
    return tuple(sorted(name for name in found if _BDF.fullmatch(name)))


def driverless(sys: Path = SYS) -> tuple[str, ...]:
    """Addresses of Xilinx accelerators that no driver has."""
    return tuple(
        sorted(
            entry.name
            for entry in _entries(sys / "bus/pci/devices")
            if _text(entry / "vendor") == XILINX
            and _text(entry / "class").startswith(PROCESSING_ACCELERATOR)
            and not (entry / "driver").exists()
        )
    )


class Card:
    """One card's folder."""

    def __init__(self, bdf: str, sys: Path = SYS) -> None:
        self._folder = sys / "bus/pci/devices" / bdf

    def ready(self) -> bool | None:
        """Whether its shell is up and its management side answers: what XRT goes by itself."""
        state = _number(self._folder / "ready")
        offline = _number(self._folder / "dev_offline")
        return False if offline == 1 else None if state is None else state == 1

    def link(self) -> Link:
        """The PCIe link now, and what card and slot could do."""
        # The folder's real path runs through the bridges: the parent is the port that the card sits in.
        port = self._folder.resolve().parent
        return Link(
            gen=_generation(self._folder / "current_link_speed"),
            gen_max=_generation(self._folder / "max_link_speed"),
            width=_width(self._folder / "current_link_width"),
            width_max=_width(self._folder / "max_link_width"),
            port_gen_max=_generation(port / "max_link_speed"),
            port_width_max=_width(port / "max_link_width"),
        )

    def firewall(self) -> Firewall | None:
        """The AXI firewall now, not the newest trip ever: the driver resets the card after one."""
        folder = self._subdevice("firewall")
        if folder is None:
            return None
        status = _number(folder / "status")
        if status is None:
            return None
        # Not "level", of which the driver sets the lower half only (firewall.c of 2.13, get_prop).
        level = _number(folder / "detected_level")
        name = word(_text(folder / "detected_level_name"))
        return Firewall(status, level if level is not None and level <= FIREWALLS_MAX else 0, name)

    def errors(self) -> tuple[ErrorRecord, ...] | None:
        """The newest errors that the driver recorded, oldest first."""
        try:
            with (self._folder / "xocl_errors").open("rb") as file:
                return parse_records(file.read(FILE_BYTES + 1))
        except OSError:
            return None

    def contexts(self) -> int | None:
        """How many clients have a context on the card's compute units, in whatever container they are."""
        found = _CONTEXTS.search(_text(self._folder / "kdsstat"))
        return int(found[1]) if found else None

    def holders(self, own: int, proc: Path = PROC) -> int | None:
        """How many processes but `own` have the card open; None where not all can be looked into."""
        nodes = {
            f"/dev/dri/{entry.name}"
            for entry in _entries(self._folder / "drm")
            if entry.name[:7] == "renderD"
        }
        if not nodes:
            return None
        count = 0
        for process in _entries(proc):
            if not process.name.isdecimal() or int(process.name) == own:
                continue
            holds = _holds(process / "fd", nodes)
            if holds is None:
                return None
            count += holds
        return count

    def _subdevice(self, name: str) -> Path | None:
        """The folder of a part of the card, such as firewall.u.23068672: the number says nothing."""
        return next((entry for entry in _entries(self._folder) if entry.name.startswith(f"{name}.")), None)


def _holds(folder: Path, nodes: set[str]) -> bool | None:
    """Whether one of a process's open files is one of these; None where they cannot be looked into."""
    try:
        files = list(folder.iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False  # it ended meanwhile
    except OSError:
        return None
    for file in files:
        try:
            if str(file.readlink()) in nodes:
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue  # closed meanwhile
        except OSError:
            return None
    return False


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except OSError:
        return


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(1 << 16).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    try:
        return int(text, 0) if len(text) <= 20 and text[:1].isdecimal() else None
    except ValueError:
        return None


def _generation(path: Path) -> int | None:
    found = _SPEED.match(_text(path))
    return _GENERATION.get(float(found[1])) if found else None


def _width(path: Path) -> int | None:
    width = _number(path)
    return width if width is not None and 0 < width <= 32 else None

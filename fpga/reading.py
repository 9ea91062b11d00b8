"""What is read of one card, before anybody makes sense of it, and who reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hetslurm.telemetry import ProbeState


@dataclass(frozen=True, slots=True)
class Link:
    """The PCIe link as the kernel sees it. `port_*` is what the slot could do. None: it would not say."""

    gen: int | None = None
    gen_max: int | None = None
    width: int | None = None
    width_max: int | None = None
    port_gen_max: int | None = None
    port_width_max: int | None = None


@dataclass(frozen=True, slots=True)
class Firewall:
    """The AXI firewall as the driver sees it now: status 0 says that none fired, whatever the level says.

    `level` counts from 0, as XRT does; `name` is that of the newest that fired, also after it was cleared.
    """

    status: int
    level: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """One card. None: nobody would say.

    `info` has the text of XRT's get_info by the name of its key; keys that XRT refused are missing.
    `xclbin_uuid` is all zeros where nothing is loaded. `errors` counts since the probe's process first saw
    the card, and starts with what the driver still knew then; `error` is the newest in words. `why` says why
    the card could not be read.
    """

    bdf: str = ""
    info: Mapping[str, str] = field(default_factory=dict)
    ready: bool | None = None
    xclbin_uuid: str | None = None
    xclbin: str | None = None
    link: Link = Link()
    firewall: Firewall | None = None
    errors: int | None = None
    error: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """Who uses a card. None: nobody would say.

    `contexts` are open on its compute units, by anybody; `holders` are other processes that have it open.
    """

    contexts: int | None = None
    holders: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One look at all cards. `message` says why where `state` is not OK, or what is odd where it is."""

    state: ProbeState
    readings: tuple[Reading, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a DMA round trip found: rates in GB/s, and bytes that came back wrong, in words."""

    write_gbs: float
    read_gbs: float
    fault: str = ""


class Cards(Protocol):
    """The FPGAs of this node: XRT's, or a file's that stands in for them."""

    def look(self) -> Look:
        """Read all cards without using them, always in the same order."""
        ...

    def use(self, reading: Reading) -> Use:
        """Who uses a card now. Looks at every process, so not for every beat."""
        ...

    def transfer(self, reading: Reading, bank: int, size: int) -> Transfer:
        """Move `size` bytes to memory bank `bank` of an idle card and back. ProbeError where XRT refuses."""
        ...

    def close(self) -> None:
        """Let go of the runtime."""
        ...

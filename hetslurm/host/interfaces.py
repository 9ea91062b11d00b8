"""Network interfaces: /sys/class/net (kernel documentation, ABI/testing/sysfs-class-net)."""

from __future__ import annotations

import os

from hetslurm.host.kernelfs import entries, read_number, read_text
from hetslurm.telemetry import UNKNOWN

IFF_UP = 0x1


def judge_up(operstate: str | None, carrier: float) -> float:
    """1 or 0, or NaN where the kernel says neither. Drivers that keep no state ("unknown") have a carrier."""
    match operstate:
        case "up":
            return 1.0
        case "unknown":
            return carrier
        case "down" | "lowerlayerdown" | "notpresent" | "dormant" | "testing":
            return 0.0
        case _:
            return UNKNOWN


class Interface:
    """One interface by its name, such as "eth0"."""

    def __init__(self, base: str, name: str) -> None:
        self.name = name
        self._folder = f"{base}/sys/class/net/{name}"

    @property
    def exists(self) -> bool:
        """The kernel knows it."""
        return os.path.isdir(self._folder)

    def read(self) -> dict[str, float]:
        """up, speed_mbps, errors, carrier_losses. Links that are down, and most of VMs, have no speed."""
        folder = self._folder
        operstate = read_text(f"{folder}/operstate", 32)
        state = operstate.strip() if operstate is not None else None
        carrier = read_number(f"{folder}/carrier") if state == "unknown" else UNKNOWN
        speed = read_number(f"{folder}/speed")
        return {
            "up": judge_up(state, carrier),
            "speed_mbps": speed if speed > 0 else UNKNOWN,
            "errors": read_number(f"{folder}/statistics/rx_errors")
            + read_number(f"{folder}/statistics/tx_errors"),
            "carrier_losses": read_number(f"{folder}/carrier_down_count"),
        }

    def driver(self) -> str:
        """The driver's name; "" where there is none."""
        try:
            return os.path.basename(os.readlink(f"{self._folder}/device/driver"))
        except OSError:
            return ""

    def was_ever_up(self) -> bool:
        """The link has, or has had since boot, a carrier. A port that never had a cable is not missed."""
        if read_number(f"{self._folder}/carrier_up_count") > 0:
            return True
        text = read_text(f"{self._folder}/operstate", 32)
        return text is not None and text.strip() in ("up", "unknown")


def physical_interfaces(base: str) -> list[str]:
    """Interfaces with a device behind them, up or once up: no loopback, bridge, veth, bond or tunnel."""
    folder = f"{base}/sys/class/net"
    return [
        name
        for name in entries(folder)
        if os.path.exists(f"{folder}/{name}/device") and Interface(base, name).was_ever_up()
    ]

"""Ports of InfiniBand adapters: /sys/class/infiniband. A port is named as UCX and NCCL do: "mlx5_0:1"."""

from __future__ import annotations

import os

from hetslurm.host.kernelfs import entries, number, read_number, read_text
from hetslurm.telemetry import UNKNOWN


def parse_state(text: str) -> float:
    """1 for "4: ACTIVE", 0 for any other state, NaN for what is none."""
    code, colon, _ = text.partition(":")
    if not colon or not code.strip().isdecimal():
        return UNKNOWN
    return float(int(code) == 4)


def parse_rate(text: str) -> float:
    """Mbit/s of a rate such as "200 Gb/sec (4X HDR)"; NaN for what is none."""
    words = text.split()
    if len(words) < 2 or words[1] != "Gb/sec":
        return UNKNOWN
    rate = number(words[0]) * 1000
    return rate if rate > 0 else UNKNOWN


class Port:
    """One port by its name, such as "mlx5_0:1"."""

    def __init__(self, base: str, name: str) -> None:
        self.name = name
        adapter, _, port = name.partition(":")
        self._adapter = f"{base}/sys/class/infiniband/{adapter}"
        self._folder = f"{self._adapter}/ports/{port}"

    @property
    def exists(self) -> bool:
        """The kernel knows it."""
        return os.path.isdir(self._folder)

    def read(self) -> dict[str, float]:
        """up, speed_mbps, errors, carrier_losses. Its counters stop at their highest value (IBTA PMA)."""
        folder = self._folder
        up = parse_state(read_text(f"{folder}/state", 64) or "")
        return {
            "up": up,
            # A port without a peer still shows the rate of its slowest lane.
            "speed_mbps": parse_rate(read_text(f"{folder}/rate", 64) or "") if up == 1 else UNKNOWN,
            "errors": read_number(f"{folder}/counters/symbol_error")
            + read_number(f"{folder}/counters/port_rcv_errors"),
            "carrier_losses": read_number(f"{folder}/counters/link_downed"),
        }

    def driver(self) -> str:
        """The driver's name; "" where there is none."""
        try:
            return os.path.basename(os.readlink(f"{self._adapter}/device/driver"))
        except OSError:
            return ""

    def was_ever_up(self) -> bool:
        """The port is up, or its link was lost before. A port that never had a cable is not missed."""
        return (
            parse_state(read_text(f"{self._folder}/state", 64) or "") == 1
            or read_number(f"{self._folder}/counters/link_downed") > 0
        )


def infiniband_ports(base: str) -> list[str]:
    """Ports that speak InfiniBand, up or once up. Those that speak Ethernet are interfaces already."""
    folder = f"{base}/sys/class/infiniband"
    return [
        f"{adapter}:{port}"
        for adapter in entries(folder)
        for port in entries(f"{folder}/{adapter}/ports")
        if (read_text(f"{folder}/{adapter}/ports/{port}/link_layer", 32) or "").strip() == "InfiniBand"
        and Port(base, f"{adapter}:{port}").was_ever_up()
    ]

"""Which NVIDIA devices are on the PCI bus, whatever their driver says."""

from __future__ import annotations

from pathlib import Path

SYSFS = Path("/sys/bus/pci/devices")
NVIDIA = "0x10de"
# PCI classes of a display and of a 3D controller; a GPU's audio and USB functions have others.
GPU_CLASSES = ("0x0300", "0x0302")
# Handed to virtual machines: not this system's to use.
PASSED_THROUGH = "vfio-pci"


def gpus_on_bus(sysfs: Path = SYSFS) -> tuple[str, ...]:
    """Addresses ("0000:17:00.0") of the GPUs that this system could use, sorted. Empty without PCI."""
    try:
        entries = sorted(sysfs.iterdir())
    except OSError:
        return ()
    return tuple(entry.name for entry in entries if _is_gpu(entry))


def same_address(one: str, other: str) -> bool:
    """NVML writes a domain of eight digits, sysfs one of four."""
    return _parts(one) == _parts(other)


def _parts(address: str) -> tuple[str, str]:
    domain, _, rest = address.lower().partition(":")
    return domain.lstrip("0"), rest


def _is_gpu(entry: Path) -> bool:
    try:
        if (entry / "vendor").read_text().strip() != NVIDIA:
            return False
        if not (entry / "class").read_text().startswith(GPU_CLASSES):
            return False
        return (entry / "driver").resolve().name != PASSED_THROUGH
    except OSError:
        return False

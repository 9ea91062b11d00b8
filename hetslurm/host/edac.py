"""Memory errors that memory controllers have seen: /sys/devices/system/edac (kernel documentation, ras)."""

from __future__ import annotations

from hetslurm.host.kernelfs import entries, read_number

COUNTS = (("mem_corrected", "ce_count"), ("mem_uncorrected", "ue_count"))


def read_edac(base: str) -> dict[str, float]:
    """Errors of all controllers since their driver was loaded; nothing where no driver watches the memory.

    One controller that does not answer makes the sum unknown: a smaller sum would look like a reset.
    """
    folder = f"{base}/sys/devices/system/edac/mc"
    controllers = [name for name in entries(folder) if name.startswith("mc") and name[2:].isdecimal()]
    if not controllers:
        return {}
    return {
        metric: sum(read_number(f"{folder}/{name}/{file}") for name in controllers) for metric, file in COUNTS
    }

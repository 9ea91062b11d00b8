"""Sizes of the cpus' caches: /sys/devices/system/cpu/cpu*/cache."""

from __future__ import annotations

from hetslurm.host.kernelfs import entries, read_number, read_text

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(text: str) -> int:
    """Bytes of a size such as "49152K"; 0 for what is none."""
    word = text.strip()
    if word and word[-1] in _UNITS and word[:-1].isdecimal():
        return int(word[:-1]) * _UNITS[word[-1]]
    return int(word) if word.isdecimal() else 0


def last_level_bytes(base: str) -> int:
    """Bytes of all last-level caches of the machine together; 0 where nobody knows."""
    folder = f"{base}/sys/devices/system/cpu"
    level = 0.0
    caches: dict[str, int] = {}
    for cpu in entries(folder):
        if not (cpu.startswith("cpu") and cpu[3:].isdecimal()):
            continue
        for index in entries(f"{folder}/{cpu}/cache"):
            cache = f"{folder}/{cpu}/cache/{index}"
            found = read_number(f"{cache}/level")
            if not found >= level or (read_text(f"{cache}/type", 32) or "").strip() == "Instruction":
                continue
            if found > level:
                level = found
                caches.clear()
            # Cpus that share a cache name the same list, and that list names the cache.
            shared = read_text(f"{cache}/shared_cpu_list", 4096) or cpu
            caches[shared] = parse_size(read_text(f"{cache}/size", 32) or "")
    return sum(caches.values())

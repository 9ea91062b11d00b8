"""What a node is called for life, and what runs on it."""

from __future__ import annotations

from hetslurm.host.kernelfs import printable, read_text

# What makers leave in the field of the serial number when they have none to give.
NO_SERIAL = frozenset(
    {
        "",
        "0",
        "none",
        "n/a",
        "default string",
        "not specified",
        "system serial number",
        "to be filled by o.e.m.",
    }
)


def parse_os_release(text: str) -> str:
    """PRETTY_NAME of os-release(5); "" when it is not there."""
    return _value_after(text, "PRETTY_NAME", "=").strip("\"'")


def parse_cpuinfo(text: str) -> str:
    """The model of the first processor of /proc/cpuinfo; "" where it has no name (most of ARM)."""
    return _value_after(text, "model name", ":")


def read_identity(base: str) -> dict[str, str]:
    """Facts "id", "kernel", "cpu", "os", as far as they are known.

    "id" is the machine's serial number, which a new installation leaves alone; where it has none, or only
    root may read it, the machine id of the installation.
    """
    serial = (read_text(f"{base}/sys/class/dmi/id/product_serial", 128) or "").strip()
    if serial.lower() in NO_SERIAL:
        serial = (read_text(f"{base}/etc/machine-id", 128) or "").strip()
    release = read_text(f"{base}/etc/os-release", 4096) or read_text(f"{base}/usr/lib/os-release", 4096) or ""
    facts = {
        "id": serial,
        "kernel": (read_text(f"{base}/proc/sys/kernel/osrelease", 128) or "").strip(),
        "cpu": parse_cpuinfo(read_text(f"{base}/proc/cpuinfo", 4096) or ""),
        "os": parse_os_release(release),
    }
    return {name: printable(text) for name, text in facts.items() if text}


def _value_after(text: str, name: str, separator: str) -> str:
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found and key.strip() == name:
            return value.strip()
    return ""

"""Finding GPUs on the bus without their driver."""

from __future__ import annotations

from pathlib import Path

from hetslurm.gpu.pci import gpus_on_bus, same_address


def put(bus: Path, address: str, vendor: str, kind: str, driver: str | None = None) -> None:
    device = bus / address
    device.mkdir()
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    if driver:
        (bus.parent / driver).mkdir(exist_ok=True)
        (device / "driver").symlink_to(bus.parent / driver)


def test_only_nvidia_s_gpus_that_are_ours_count(tmp_path: Path) -> None:
    bus = tmp_path / "devices"
    bus.mkdir()
    put(bus, "0000:65:00.0", "0x10de", "0x030200", "nvidia")
    put(bus, "0000:17:00.0", "0x10de", "0x030000")
    put(bus, "0000:17:00.1", "0x10de", "0x040300")  # its sound
    put(bus, "0000:01:00.0", "0x102b", "0x030000")  # another maker's
    put(bus, "0000:ca:00.0", "0x10de", "0x030200", "vfio-pci")  # a virtual machine's
    (bus / "0000:02:00.0").mkdir()  # unplugged while we look
    assert gpus_on_bus(bus) == ("0000:17:00.0", "0000:65:00.0")


def test_a_machine_without_pci_has_none(tmp_path: Path) -> None:
    assert gpus_on_bus(tmp_path / "nowhere") == ()


def test_nvml_and_sysfs_mean_the_same_address() -> None:
    assert same_address("00000000:CA:00.0", "0000:ca:00.0")
    assert same_address("00010000:CA:00.0", "10000:ca:00.0")
    assert not same_address("00000000:CA:00.0", "0001:ca:00.0")

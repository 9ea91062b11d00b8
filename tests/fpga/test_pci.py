"""What is read from /sys and /proc, from a tree of the same shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from hetslurm.fpga import pci
from hetslurm.fpga.reading import Firewall, Link

BDF = "0000:3b:00.1"
PORT = "devices/pci0000:3a/0000:3a:00.0"
KDSSTAT = """xclbin:\t\t\t5f9d2a54-7e5c-4d12-9c40-2f6f1f0d7a11
outstanding execs:\t0
total execs:\t\t12
contexts:\t\t{}
client pid:
"""


@pytest.fixture
def sys_tree(tmp_path: Path) -> Path:
    """A card in a slot, as XRT's driver shows it."""
    root = tmp_path / "sys"
    card = root / PORT / BDF
    files = {
        "vendor": "0x10ee\n",
        "class": "0x120000\n",
        "ready": "0x1\n",
        "dev_offline": "0\n",
        "current_link_speed": "8.0 GT/s PCIe\n",
        "max_link_speed": "16.0 GT/s PCIe\n",
        "current_link_width": "8\n",
        "max_link_width": "16\n",
        "../max_link_speed": "8.0 GT/s PCIe\n",
        "../max_link_width": "8\n",
        "kdsstat": KDSSTAT.format(0),
        "firewall.u.23068672/status": "0\n",
        "firewall.u.23068672/level": "18446744073709551615\n",
        "firewall.u.23068672/detected_level": "0\n",
        "firewall.u.23068672/detected_level_name": "\n",
        "drm/renderD128/dev": "226:128\n",
    }
    for name, text in files.items():
        path = card / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in ("bus/pci/devices", "bus/pci/drivers/xocl"):
        (root / folder).mkdir(parents=True)
        (root / folder / BDF).symlink_to(card)
    (root / "bus/pci/drivers/xocl/module").symlink_to(root)
    (card / "driver").symlink_to(root / "bus/pci/drivers/xocl")
    return root


@pytest.fixture
def card(sys_tree: Path) -> pci.Card:
    """That card."""
    return pci.Card(BDF, sys_tree)


def _write(tree: Path, name: str, text: str | bytes) -> None:
    path = tree / "bus/pci/devices" / BDF / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_cards_are_what_the_driver_has(sys_tree: Path) -> None:
    assert pci.cards(sys_tree) == (BDF,)
    assert pci.driverless(sys_tree) == ()


def test_a_card_without_a_driver_is_named(sys_tree: Path) -> None:
    (sys_tree / "bus/pci/devices" / BDF / "driver").unlink()
    (sys_tree / "bus/pci/drivers/xocl" / BDF).unlink()
    assert pci.cards(sys_tree) == ()
    assert pci.driverless(sys_tree) == (BDF,)


def test_without_pci_there_is_no_card(tmp_path: Path) -> None:
    assert pci.cards(tmp_path) == pci.driverless(tmp_path) == ()


def test_a_healthy_card_is_read(card: pci.Card) -> None:
    assert card.ready() is True
    assert card.link() == Link(gen=3, gen_max=4, width=8, width_max=16, port_gen_max=3, port_width_max=8)
    assert card.firewall() == Firewall(0, 0)
    assert card.contexts() == 0


@pytest.mark.parametrize(
    ("ready", "offline", "expected"),
    [("0x0", "0", False), ("0x1", "1", False), ("0x1", "", True), ("", "0", None), ("what", "0", None)],
)
def test_ready_is_what_the_driver_says(
    sys_tree: Path, card: pci.Card, ready: str, offline: str, expected: bool | None
) -> None:
    _write(sys_tree, "ready", ready)
    _write(sys_tree, "dev_offline", offline)
    assert card.ready() is expected


def test_a_folder_that_is_empty_is_all_unknown(tmp_path: Path) -> None:
    card = pci.Card(BDF, tmp_path)
    assert (card.ready(), card.link(), card.firewall(), card.errors()) == (None, Link(), None, None)
    assert (card.contexts(), card.holders(1, tmp_path)) == (None, None)


def test_a_firewall_that_tripped_tells_which_and_an_old_trip_does_not(sys_tree: Path, card: pci.Card) -> None:
    _write(sys_tree, "firewall.u.23068672/detected_level", "2\n")
    _write(sys_tree, "firewall.u.23068672/detected_level_name", "ep_firewall_data_h2c_00\n")
    before = card.firewall()
    _write(sys_tree, "firewall.u.23068672/status", "524288\n")
    assert before is not None
    assert before.status == 0
    assert card.firewall() == Firewall(0x80000, 2, "ep_firewall_data_h2c_00")


@pytest.mark.parametrize("text", ["Unknown", "", "8.0", "7.0 GT/s PCIe", "\xff"])
def test_a_speed_that_means_nothing_is_unknown(sys_tree: Path, card: pci.Card, text: str) -> None:
    _write(sys_tree, "current_link_speed", text)
    assert card.link().gen is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [(KDSSTAT.format(3), 3), ("unable to give xclbin id", None), ("", None), ("contexts: many", None)],
)
def test_contexts_are_the_drivers_count(
    sys_tree: Path, card: pci.Card, text: str, expected: int | None
) -> None:
    _write(sys_tree, "kdsstat", text)
    assert card.contexts() == expected


def test_errors_that_the_driver_put_in_words_are_unknown(sys_tree: Path, card: pci.Card) -> None:
    _write(sys_tree, "xocl_errors", "00, Error: Device errors not found\n")
    assert card.errors() is None


def _process(proc: Path, pid: int, *opened: str) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    for number, path in enumerate(opened):
        (proc / str(pid) / "fd" / str(number)).symlink_to(path)


def test_holders_are_other_processes_that_have_the_card_open(card: pci.Card, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    _process(proc, 10, "/dev/null", "/dev/dri/renderD128", "/dev/dri/renderD128")
    _process(proc, 11, "/dev/dri/renderD129")
    _process(proc, 12, "/dev/dri/renderD128")
    (proc / "self").mkdir()
    (proc / "13").mkdir()  # it ended meanwhile
    assert card.holders(12, proc) == 1


def test_a_process_that_cannot_be_looked_into_makes_holders_unknown(card: pci.Card, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "10").mkdir(parents=True)
    (proc / "10" / "fd").write_text("no folder")
    assert card.holders(12, proc) is None

"""The probe over XRT: noop's devices, cards that open or not, and machines without any."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from hetslurm.errors import ProbeError
from hetslurm.fpga import xrt_cards
from hetslurm.fpga.fake import FILE, write_fake
from hetslurm.fpga.probe import FpgaProbe, open_probe
from hetslurm.fpga.reading import Look, Reading, Transfer, Use
from hetslurm.fpga.xrt_cards import XrtCards
from hetslurm.site import AgentSite
from hetslurm.telemetry import ProbeState

from .axlf_file import write_axlf
from .conftest import RunNoop

BDF = "0000:3b:00.1"


def _one_card(tmp_path: Path, ready: str = "0x1") -> Path:
    card = tmp_path / "sys/bus/pci/devices" / BDF
    card.mkdir(parents=True)
    (card / "ready").write_text(ready)
    (tmp_path / "sys/bus/pci/drivers/xocl").mkdir(parents=True)
    (tmp_path / "sys/bus/pci/drivers/xocl" / BDF).symlink_to(card)
    return tmp_path / "sys"


def test_noop_devices_are_seen_and_nothing_of_them_is_made_up(run_noop: RunNoop) -> None:
    told = run_noop(
        """
        import json
        from hetslurm.fpga.probe import open_probe
        from hetslurm.site import AgentSite
        sample = open_probe(AgentSite(), noop_cards=2).sample()
        rows = [[row.values, sorted(row.facts)] for row in sample.rows]
        print(json.dumps([sample.state.label, sample.message, rows]))
        """
    )
    assert told == ["ok", "", [[{"loaded": 0.0}, ["xrt"]]] * 2]


def test_noop_devices_are_not_counted_unasked(run_noop: RunNoop) -> None:
    told = run_noop(
        """
        import json
        from hetslurm.fpga.probe import FpgaProbe
        from hetslurm.fpga.xrt_cards import XrtCards
        from pathlib import Path
        print(json.dumps(FpgaProbe(XrtCards(sys=Path("/nowhere"))).sample().state.label))
        """
    )
    assert told == "absent"


def test_noop_cards_are_for_noop_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XCL_EMULATION_MODE", raising=False)
    assert XrtCards(noop_cards=2, sys=tmp_path).look().state is ProbeState.ABSENT


def test_a_runtime_that_moves_no_data_does_not_pass_for_a_card_that_does(run_noop: RunNoop) -> None:
    """noop's DMA does nothing, so this is the whole path through XRT, and its fault is real."""
    told = run_noop(
        """
        import json
        from hetslurm.fpga.reading import Reading
        from hetslurm.fpga.xrt_cards import XrtCards
        print(json.dumps(XrtCards(noop_cards=1).transfer(Reading(), 0, 1 << 20).fault))
        """
    )
    assert told == "256 of 256 pages came back wrong, the first byte at 0x0"


def test_a_machine_without_cards_is_absent(tmp_path: Path) -> None:
    sample = FpgaProbe(XrtCards(sys=tmp_path)).sample()
    assert (sample.state, sample.rows) == (ProbeState.ABSENT, ())
    assert sample.message == "no FPGA card that XRT's driver (xocl) has"
    assert FpgaProbe(XrtCards(sys=tmp_path)).measure() == sample


def test_a_card_without_a_driver_is_named(tmp_path: Path) -> None:
    card = tmp_path / "bus/pci/devices" / BDF
    card.mkdir(parents=True)
    (card / "vendor").write_text("0x10ee\n")
    (card / "class").write_text("0x120000\n")
    sample = FpgaProbe(XrtCards(sys=tmp_path)).sample()
    assert sample.state is ProbeState.ABSENT
    assert sample.message == f"no driver (xocl) for the card at {BDF}"


def test_a_card_without_a_library_is_absent_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail() -> None:
        raise ProbeError("no XRT for Python: install it")

    monkeypatch.setattr(xrt_cards, "load", fail)
    sample = FpgaProbe(XrtCards(sys=_one_card(tmp_path))).sample()
    assert (sample.state, sample.message) == (ProbeState.ABSENT, "no XRT for Python: install it")


def test_a_card_that_is_not_ready_is_never_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Refusing:
        def device(self, which: object) -> None:
            raise AssertionError(f"{which} was opened")

    monkeypatch.setattr(xrt_cards, "load", Refusing)
    sample = FpgaProbe(XrtCards(sys=_one_card(tmp_path, ready="0x0"))).sample()
    assert sample.state is ProbeState.OK
    assert dict(sample.rows[0].values) == {"ready": 0.0}
    assert dict(sample.rows[0].facts) == {"id": BDF, "bdf": BDF}
    assert sample.message.startswith(f"{BDF}: not ready")


def test_a_card_that_xrt_cannot_open_is_not_ready(run_noop: RunNoop, tmp_path: Path) -> None:
    """The kernel's folder says ready; the real runtime has no such card."""
    told = run_noop(
        """
        import json, sys
        from pathlib import Path
        from hetslurm.fpga.probe import FpgaProbe
        from hetslurm.fpga.xrt_cards import XrtCards
        sample = FpgaProbe(XrtCards(sys=Path(sys.argv[1]))).sample()
        print(json.dumps([sample.state.label, sample.message, dict(sample.rows[0].values)]))
        """,
        _one_card(tmp_path),
    )
    state, message, values = told
    assert (state, values) == ("ok", {"ready": 0.0})
    assert message.startswith(f"{BDF}: XRT cannot open it: ")


def test_a_fake_stands_in_only_where_there_is_one(tmp_path: Path) -> None:
    agent = AgentSite(fake_dir=str(tmp_path))
    real = open_probe(agent).sample()
    write_fake(tmp_path / FILE, cards=3)
    assert len(open_probe(agent).sample().rows) == 3
    assert not any(row.facts.get("xrt") == "0.0.0-fake" for row in real.rows)


def test_a_loaded_bitstream_has_the_name_of_its_file(tmp_path: Path) -> None:
    uuid = UUID("0a7b2c68-14bb-4a3b-8f5e-0d6f3c1a2b34")
    folder = tmp_path / "bitstreams"
    folder.mkdir()
    write_axlf(folder / "align.xclbin", uuid)
    write_fake(tmp_path / FILE, xclbin_uuid=str(uuid))
    probe = open_probe(AgentSite(fake_dir=str(tmp_path), xclbin_dirs=frozenset({str(folder)})))
    assert probe.sample().rows[0].facts["xclbin"] == "align.xclbin"
    assert probe.sample().rows[0].facts["xclbin_uuid"] == str(uuid)


def test_a_bitstream_whose_file_nobody_has_goes_by_its_uuid(tmp_path: Path) -> None:
    write_fake(tmp_path / FILE)
    facts = open_probe(AgentSite(fake_dir=str(tmp_path))).sample().rows[0].facts
    assert "xclbin" not in facts
    assert facts["xclbin_uuid"] == "5f9d2a54-7e5c-4d12-9c40-2f6f1f0d7a11"


class _Cards:
    """One idle card with three banks, whose first ones XRT refuses."""

    def __init__(self, refused: int) -> None:
        self.refused = refused
        self.tried: list[int] = []

    def look(self) -> Look:
        bank = {"enabled": "true", "tag": "bank", "range_bytes": "0x400000000"}
        tree = {"board": {"memory": {"memories": [bank] * 3}}}
        info = {"memory": str(tree).replace("'", '"')}
        return Look(
            ProbeState.OK,
            (Reading(bdf=BDF, ready=True, info=info, xclbin_uuid="a"),),
        )

    def use(self, reading: Reading) -> Use:
        return Use(0, 0)

    def transfer(self, reading: Reading, bank: int, size: int) -> Transfer:
        self.tried.append(bank)
        if len(self.tried) <= self.refused:
            raise ProbeError(f"bank {bank} is out of reach")
        return Transfer(1.0, 2.0)

    def close(self) -> None:
        pass


def test_a_bank_that_is_out_of_reach_is_passed_over() -> None:
    cards = _Cards(refused=2)
    sample = FpgaProbe(cards).measure()
    assert (sample.state, cards.tried) == (ProbeState.OK, [0, 1, 2])
    assert dict(sample.rows[0].values) == {"dma_write_gbs": 1.0, "dma_read_gbs": 2.0}


def test_a_card_none_of_whose_banks_takes_data_has_failed() -> None:
    sample = FpgaProbe(_Cards(refused=3)).measure()
    assert (sample.state, sample.message) == (ProbeState.FAILED, f"{BDF}: bank 2 is out of reach")
    assert sample.rows[0].values == {}


def test_a_card_of_which_nobody_can_tell_who_uses_it_is_left_alone(tmp_path: Path) -> None:
    """The real path from the kernel's folder: it has neither the driver's contexts nor a device node."""
    use = XrtCards(sys=_one_card(tmp_path)).use(Reading(bdf=BDF))
    assert use == Use(None, None)

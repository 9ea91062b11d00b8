"""From what XRT and the kernel say to metrics and facts: U250 as its driver would say it, noop as it did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.fpga import info
from hetslurm.fpga.reading import Firewall, Link, Look, Reading, Use
from hetslurm.fpga.sample import NOTHING_LOADED, banks_to_test, row_of, sample_of, why_busy
from hetslurm.telemetry import FPGA, Meaning, ProbeState

Golden = Callable[[str], dict[str, str]]
IDLE = Use(contexts=0, holders=0)
LOADED = "5f9d2a54-7e5c-4d12-9c40-2f6f1f0d7a11"


@pytest.fixture
def u250(golden: Golden) -> Reading:
    """A healthy card that is idle."""
    return Reading(
        bdf="0000:3b:00.1",
        info=golden("u250"),
        ready=True,
        xclbin_uuid=LOADED,
        xclbin="align.xclbin",
        firewall=Firewall(0, 0),
        errors=0,
    )


def _changed(reading: Reading, key: str, change: Callable[[Any], None]) -> Reading:
    tree = json.loads(reading.info[key])
    change(tree)
    return replace(reading, info={**reading.info, key: json.dumps(tree)})


def test_a_card_is_read_whole(u250: Reading) -> None:
    assert dict(row_of(u250).values) == {
        "ready": 1.0,
        "temperature_c": 43.0,
        "power_w": 26.537146,
        "power_limit_w": 225.0,
        "pcie_gen": 3.0,
        "pcie_gen_max": 3.0,
        "pcie_width": 16.0,
        "pcie_width_max": 16.0,
        "memory_banks": 3.0,
        "memory_total_mb": 2 * 16384 + 0.125,
        "memory_used_mb": 256.0,
        "firewall_level": 0.0,
        "errors": 1.0,  # an ECC error that was not corrected, in bank1
        "loaded": 1.0,
    }


def test_a_sample_leaves_only_the_rates_to_a_benchmark(u250: Reading) -> None:
    missing = {metric.name for metric in FPGA} - set(row_of(u250).values)
    assert missing == {metric.name for metric in FPGA if metric.meaning is Meaning.RATE} | {"measured_age_s"}


def test_a_card_says_what_it_is_called(u250: Reading) -> None:
    assert row_of(u250).facts == {
        "id": "21320633Y06X",
        "name": "xilinx_u250_gen3x16_xdma_shell_4_1",
        "bdf": "0000:3b:00.1",
        "xrt": "2.13.466",
        "xclbin_uuid": LOADED,
        "xclbin": "align.xclbin",
    }


def test_a_card_without_a_serial_number_goes_by_its_address(u250: Reading) -> None:
    def lose(tree: Any) -> None:
        tree["platforms"][0]["controller"]["card_mgmt_controller"]["serial_number"] = ""

    assert row_of(_changed(u250, "platform", lose)).facts["id"] == "0000:3b:00.1"


def test_what_noop_says_is_all_unknown(golden: Golden) -> None:
    assert row_of(Reading(info=golden("noop"))).values == {}


def test_an_empty_reading_makes_an_empty_row() -> None:
    row = row_of(Reading())
    assert (row.values, row.facts) == ({}, {})


def test_nothing_loaded_is_known_and_an_unknown_bitstream_is_not(u250: Reading) -> None:
    nothing = row_of(replace(u250, xclbin_uuid=NOTHING_LOADED))
    unknown = row_of(replace(u250, xclbin_uuid=None))
    assert nothing.values["loaded"] == 0.0
    assert "loaded" not in unknown.values
    assert not {"xclbin", "xclbin_uuid"} & (set(nothing.facts) | set(unknown.facts))


@pytest.mark.parametrize(
    "sensor",
    [
        {"temp_C": "0", "is_present": "true"},
        {"temp_C": "90", "is_present": "false"},
        {"temp_C": "90", "is_present": "true", "error_msg": "No such query request (76)"},
        {"temp_C": "4294967295", "is_present": "true"},
        {"temp_C": "N/A", "is_present": "true"},
        {"temp_C": "-90", "is_present": "true"},
        {"temp_C": "90"},
        {},
    ],
)
def test_a_sensor_that_is_not_there_has_no_temperature(sensor: dict[str, str]) -> None:
    assert info.temperature_c(json.dumps({"thermals": [sensor]})) is None
    with_another = {"thermals": [sensor, {"temp_C": "31", "is_present": "true"}]}
    assert info.temperature_c(json.dumps(with_another)) == 31.0


@pytest.mark.parametrize("watts", ["N/A", "NA", "0.000000", "", "26537146", None, []])
def test_power_that_cannot_be_is_unknown(watts: Any) -> None:
    text = json.dumps({"power_consumption_watts": watts, "power_consumption_max_watts": watts})
    assert info.power_w(text) == (None, None)


def test_memory_is_unknown_where_one_bank_would_not_say(u250: Reading) -> None:
    def forget(tree: Any) -> None:
        del tree["board"]["memory"]["memories"][1]["extended_info"]["usage"]

    values = row_of(_changed(u250, "memory", forget)).values
    assert values["memory_total_mb"] == 2 * 16384 + 0.125
    assert "memory_used_mb" not in values


def test_the_kernels_link_is_newer_than_the_drivers(u250: Reading) -> None:
    values = row_of(replace(u250, link=Link(gen=1, width=4, gen_max=3, width_max=16))).values
    assert (values["pcie_gen"], values["pcie_width"]) == (1.0, 4.0)
    assert (values["pcie_gen_max"], values["pcie_width_max"]) == (3.0, 16.0)


def test_no_more_is_expected_than_the_slot_can_do(u250: Reading) -> None:
    values = row_of(replace(u250, link=Link(gen=2, width=8, port_gen_max=2, port_width_max=8))).values
    assert (values["pcie_gen_max"], values["pcie_width_max"]) == (2.0, 8.0)


def test_a_firewall_that_tripped_is_never_level_0(u250: Reading) -> None:
    row = row_of(replace(u250, firewall=Firewall(0x80000, 0, "ep_firewall_ctrl_user_00")))
    assert row.values["firewall_level"] == 1.0
    assert row.facts["firewall"] == "level 0 in XRT's count, status 0x80000 ep_firewall_ctrl_user_00"


def test_a_firewall_that_nobody_could_read_is_unknown(u250: Reading) -> None:
    assert "firewall_level" not in row_of(replace(u250, firewall=None)).values


def test_errors_are_unknown_only_where_nobody_counts_them(u250: Reading) -> None:
    no_memory = replace(u250, info={})
    assert row_of(replace(no_memory, errors=3)).values["errors"] == 3.0
    assert "errors" not in row_of(replace(no_memory, errors=None)).values


def test_a_card_that_cannot_be_read_says_so_beside_the_others(u250: Reading) -> None:
    sample = sample_of(Look(ProbeState.OK, (u250, Reading(bdf="0000:af:00.1", ready=False, why="not ready"))))
    assert sample.state is ProbeState.OK
    assert sample.message == "0000:af:00.1: not ready"
    assert dict(sample.rows[1].values) == {"ready": 0.0}


def test_an_idle_card_may_be_worked(u250: Reading) -> None:
    assert why_busy(u250, IDLE) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ready": False}, "not ready"),
        ({"why": "XRT cannot open it: nope"}, "nope"),
        ({"xclbin_uuid": NOTHING_LOADED}, "no bitstream"),
        ({"xclbin_uuid": None}, "no bitstream"),
    ],
)
def test_a_card_that_is_in_no_state_for_it_is_left_alone(u250: Reading, change: Any, words: str) -> None:
    assert words in why_busy(replace(u250, **change), IDLE)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (Use(None, 0), "cannot tell"),
        (Use(0, None), "cannot tell"),
        (Use(2, 0), "2 open contexts"),
        (Use(0, 1), "1 processes have it open"),
    ],
)
def test_a_card_that_somebody_may_use_is_left_alone(u250: Reading, use: Use, words: str) -> None:
    assert words in why_busy(u250, use)


def test_a_card_without_an_enabled_bank_is_left_alone(u250: Reading) -> None:
    def disable(tree: Any) -> None:
        for bank in tree["board"]["memory"]["memories"]:
            bank["enabled"] = "false"

    assert "no memory bank" in why_busy(_changed(u250, "memory", disable), IDLE)


def test_dma_goes_through_large_banks_of_the_card_only(u250: Reading) -> None:
    assert banks_to_test(u250) == (1, 2)  # not the disabled one, PLRAM or the host's memory

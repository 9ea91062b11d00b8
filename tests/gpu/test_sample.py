"""From readings to rows: known numbers in their units, unknown ones left out."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.gpu.reading import Look, Reading
from hetslurm.gpu.sample import (
    HW_POWER_BRAKE,
    HW_SLOWDOWN,
    HW_THERMAL,
    SW_POWER_CAP,
    SW_THERMAL,
    row_of,
    sample_of,
    why_busy,
)
from hetslurm.telemetry import GPU, Meaning, ProbeState

META = {metric.name: metric for metric in GPU}
COUNTS = st.none() | st.integers(0, 2**64 - 1)
FLAGS = st.none() | st.booleans()
TEXTS = st.none() | st.text(max_size=8)
SPECIAL = {
    "xids": st.none() | st.dictionaries(st.integers(1, 200), st.integers(1, 1000), max_size=5),
    "nvlinks": st.none() | st.lists(FLAGS, min_size=1, max_size=18).map(tuple),
    "mig_layout": st.none() | st.lists(st.sampled_from(["1g.10gb", "3g.40gb"]), max_size=7).map(tuple),
}
KINDS = {"int | None": COUNTS, "bool | None": FLAGS, "str | None": TEXTS}
STRATEGIES = {field.name: KINDS.get(str(field.type)) for field in fields(Reading)} | SPECIAL
READINGS = st.builds(Reading, **STRATEGIES)
IDLE = Reading(uuid="GPU-1", lost=False, mig=False, processes=0, utilization_percent=0)


@given(READINGS)
def test_rows_hold_finite_numbers_of_metrics_of_state(reading: Reading) -> None:
    for name, value in row_of(reading).values.items():
        assert META[name].meaning is not Meaning.RATE
        assert math.isfinite(value)
        assert value >= 0
        if META[name].meaning is Meaning.FLAG:
            assert value in (0.0, 1.0)


@given(READINGS, st.sampled_from([field.name for field in fields(Reading)]))
def test_what_is_not_known_never_becomes_a_number(reading: Reading, name: str) -> None:
    whole = row_of(reading).values
    partial = row_of(replace(reading, **{name: None})).values
    if name != "temperature_slowdown_c":  # then the margin may speak
        assert set(partial) <= set(whole)
    assert all(
        whole[metric] == value for metric, value in partial.items() if metric in whole and metric != name
    )


@given(READINGS)
def test_xids_are_split_and_none_is_lost(reading: Reading) -> None:
    values = row_of(reading).values
    if reading.xids is None:
        assert not {"xid_hard", "xid_soft"} & set(values)
    else:
        assert values["xid_hard"] + values["xid_soft"] == sum(reading.xids.values())


@given(READINGS)
def test_facts_are_texts_that_say_something(reading: Reading) -> None:
    facts = row_of(reading).facts
    assert set(facts) <= {"id", "name", "driver", "cuda", "pci", "mig", "xid"}
    assert all(facts.values())


def test_nothing_known_is_an_empty_row() -> None:
    row = row_of(Reading())
    assert (row.values, row.facts) == ({}, {})


@pytest.mark.parametrize(
    ("bits", "flags"),
    [
        (0x1, set()),
        (SW_POWER_CAP, {"throttle_power_cap"}),
        (HW_SLOWDOWN, {"throttle_hw"}),
        (SW_THERMAL, {"throttle_thermal"}),
        (HW_SLOWDOWN | HW_THERMAL, {"throttle_hw", "throttle_thermal"}),
        (HW_SLOWDOWN | HW_POWER_BRAKE, {"throttle_hw", "throttle_power_brake"}),
    ],
)
def test_clock_reasons_become_flags(bits: int, flags: set[str]) -> None:
    values = row_of(Reading(clock_reasons=bits)).values
    assert {name for name, value in values.items() if value} == flags
    assert len(values) == 4


@pytest.mark.parametrize("hole", [2**32 - 1, 2**64 - 1])
def test_nvml_s_own_word_for_no_value_is_unknown(hole: int) -> None:
    assert row_of(Reading(power_mw=hole, pcie_replays=hole, mem_used_bytes=hole)).values == {}


def test_a_link_of_width_zero_is_unknown() -> None:
    assert row_of(Reading(pcie_gen=0, pcie_width=0, pcie_gen_max=4)).values == {"pcie_gen_max": 4}


def test_a_threshold_wins_over_a_margin() -> None:
    values = row_of(Reading(temperature_c=40, temperature_slowdown_c=89, temperature_margin_c=30)).values
    assert values["temperature_slowdown_c"] == 89


def test_links_of_which_one_is_unknown_have_a_number_and_no_number_up() -> None:
    assert row_of(Reading(nvlinks=(True, None))).values == {"nvlinks": 2}


def test_a_device_without_a_uuid_goes_by_its_address() -> None:
    assert row_of(Reading(pci="00000000:17:00.0")).facts["id"] == "00000000:17:00.0"


def test_an_idle_device_may_be_measured() -> None:
    assert why_busy(IDLE) == ""
    assert why_busy(replace(IDLE, mig=None)) == ""  # devices before Ampere have no MIG to ask for


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"processes": 1}, "in use by a process"),
        ({"processes": 3}, "in use by 3 processes"),
        ({"utilization_percent": 7}, "7 % utilized"),
        ({"mig": True}, "partitioned into MIG instances"),
        ({"lost": True}, "lost"),
        ({"processes": None}, "cannot tell whether it is idle"),
        ({"utilization_percent": None}, "cannot tell whether it is idle"),
        ({"uuid": None}, "has no UUID to choose it by"),
    ],
)
def test_a_device_that_is_not_surely_idle_is_left_alone(change: dict[str, object], why: str) -> None:
    assert why_busy(replace(IDLE, **change)) == why


def test_a_sample_has_the_state_and_the_words_of_the_look() -> None:
    sample = sample_of(Look(ProbeState.FAILED, (Reading(),), "why"))
    assert (sample.probe, sample.state, len(sample.rows), sample.message) == (
        "gpu",
        ProbeState.FAILED,
        1,
        "why",
    )

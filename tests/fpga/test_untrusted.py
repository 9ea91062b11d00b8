"""Whatever XRT, the driver or a file says: no crash, no endless work, and never a 0 for what is unknown."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from hetslurm.errors import ProbeError
from hetslurm.fpga import jsontext
from hetslurm.fpga.axlf import HEADER_BYTES, parse_axlf
from hetslurm.fpga.fake import PROBE_FAULTS, parse_fake
from hetslurm.fpga.reading import Reading, Use
from hetslurm.fpga.records import CAPACITY, FILE_BYTES, parse_records
from hetslurm.fpga.sample import row_of, why_busy

from .axlf_file import PLATFORM, axlf_bytes

KEYS = (
    "thermals", "temp_C", "is_present", "error_msg", "power_consumption_watts", "power_consumption_max_watts",
    "link_speed_gbit_sec", "expected_link_speed_gbit_sec", "express_lane_width_count", "board", "memory",
    "memories", "enabled", "tag", "range_bytes", "extended_info", "usage", "allocated_bytes", "ecc", "error",
    "uncorrectable", "count", "platforms", "static_region", "vbnv", "controller", "card_mgmt_controller",
    "serial_number", "version",
)  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["0", "0.000", "true", "false", "N/A", "NA", "", "0x0", "0x", "1e9", "1_0", "٣", "-1", "nan"]
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(KEYS), below, max_size=6),
    max_leaves=40,
)
TEXTS = TREES.map(json.dumps) | st.text(max_size=200)
INFO = st.dictionaries(
    st.sampled_from(["thermal", "electrical", "pcie_info", "memory", "platform", "host", "name"]), TEXTS
)
# Metrics of which 0 is what XRT says when it does not know.
NEVER_ZERO = (
    "temperature_c", "power_w", "power_limit_w", "pcie_gen", "pcie_gen_max", "pcie_width", "pcie_width_max",
    "memory_total_mb",
)  # fmt: skip


@given(INFO)
def test_any_json_makes_a_row_of_finite_numbers_without_false_zeros(info: dict[str, str]) -> None:
    reading = Reading(info=info)
    row = row_of(reading)
    assert all(math.isfinite(value) and value >= 0 for value in row.values.values())
    assert not [metric for metric in NEVER_ZERO if row.values.get(metric) == 0]
    assert all(isinstance(fact, str) and 0 < len(fact) <= jsontext.FACT_MAX for fact in row.facts.values())
    assert "firewall_level" not in row.values
    assert "ready" not in row.values
    assert why_busy(reading, Use())


@given(TREES)
def test_a_number_is_finite_and_not_negative_or_none(tree: Any) -> None:
    value = jsontext.number(tree)
    assert value is None or (math.isfinite(value) and value >= 0)


def test_json_that_is_too_deep_or_too_long_is_no_json() -> None:
    assert jsontext.parse("[" * 100_000) is None
    assert jsontext.parse('"' + "x" * jsontext.TEXT_MAX + '"') is None
    assert jsontext.parse("9" * 5000) is None


@given(st.binary(max_size=HEADER_BYTES + 64), st.integers(0, 2**64))
@example(b"xclbin2\0" + bytes(HEADER_BYTES), 2**40)
def test_any_bytes_are_a_bitstream_or_none(head: bytes, size: int) -> None:
    found = parse_axlf(head, size)
    assert found is None or str(UUID(found.uuid)) == found.uuid


@given(st.uuids(), st.integers(0, HEADER_BYTES - 1))
def test_a_header_is_understood_whole_or_not_at_all(uuid: UUID, cut: int) -> None:
    raw = axlf_bytes(uuid)
    found = parse_axlf(raw, len(raw))
    assert found is not None
    assert (found.uuid, found.platform) == (str(uuid), PLATFORM)
    assert parse_axlf(raw[:cut], len(raw)) is None
    assert parse_axlf(raw, len(raw) - 1) is None, "a file that was cut short"
    assert parse_axlf(b"xclbin1\0" + raw[8:], len(raw)) is None


def test_a_header_without_a_uuid_names_no_bitstream() -> None:
    raw = axlf_bytes(UUID(int=0))
    assert parse_axlf(raw, len(raw)) is None


@given(st.binary(max_size=FILE_BYTES + 8) | st.binary(min_size=FILE_BYTES, max_size=FILE_BYTES))
def test_any_bytes_are_error_records_or_none(raw: bytes) -> None:
    records = parse_records(raw)
    assert records is None or len(records) <= CAPACITY
    assert all(record.text for record in records or ())


@given(TEXTS | TREES.map(lambda tree: json.dumps({"cards": tree})))
def test_any_text_is_fake_cards_or_a_probes_error(text: str) -> None:
    with contextlib.suppress(ProbeError):
        assert parse_fake(text).fault in {"", *PROBE_FAULTS}

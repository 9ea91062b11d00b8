"""The link probe: interfaces and InfiniBand ports as the kernel shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.host import open_link_probe
from hetslurm.host.infiniband import parse_rate, parse_state
from hetslurm.host.interfaces import judge_up
from hetslurm.site import AgentSite
from hetslurm.telemetry import LINK, ProbeState, Row

NET = "sys/class/net"
IB = "sys/class/infiniband"


def _interface(name: str, *, state: str = "up", virtual: bool = False, **files: str) -> dict[str, str]:
    said = {
        "operstate": state,
        "carrier": "1",
        "speed": "25000",
        "statistics/rx_errors": "3",
        "statistics/tx_errors": "1",
        "carrier_down_count": "2",
        "carrier_up_count": "3",
    } | {key.replace("statistics_", "statistics/"): text for key, text in files.items()}
    tree = {f"{NET}/{name}/{file}": text + "\n" for file, text in said.items()}
    if not virtual:
        tree[f"{NET}/{name}/device/driver"] = "-> ../../../../../bus/pci/drivers/mlx5_core"
    return tree


def _port(
    name: str, *, state: str = "4: ACTIVE", layer: str = "InfiniBand", downed: str = "1"
) -> dict[str, str]:
    adapter, port = name.split(":")
    folder = f"{IB}/{adapter}/ports/{port}"
    return {
        f"{folder}/state": state + "\n",
        f"{folder}/rate": "200 Gb/sec (4X HDR)\n",
        f"{folder}/link_layer": layer + "\n",
        f"{folder}/counters/symbol_error": "5\n",
        f"{folder}/counters/port_rcv_errors": "2\n",
        f"{folder}/counters/link_downed": downed + "\n",
        f"{IB}/{adapter}/device/driver": "-> ../../../../bus/pci/drivers/mlx5_core",
    }


def _rows(root: Path, links: Mapping[str, float] | None = None) -> dict[str, Row]:
    probe = open_link_probe(AgentSite(links=dict(links or {})), root)
    sample = probe.sample()
    probe.close()
    assert sample.state == ProbeState.OK
    return {row.facts["id"]: row for row in sample.rows}


def _same(row: Row, expected: Mapping[str, float]) -> None:
    known = {name: value for name, value in row.values.items() if not math.isnan(value)}
    assert known == dict(expected)
    assert set(row.values) <= {metric.name for metric in LINK}


def test_an_interface_that_is_up_shows_its_speed_and_errors(make_tree) -> None:  # type: ignore[no-untyped-def]
    rows = _rows(make_tree(_interface("eth0")))
    _same(rows["eth0"], {"up": 1, "speed_mbps": 25000, "errors": 4, "carrier_losses": 2})
    assert rows["eth0"].facts == {"id": "eth0", "driver": "mlx5_core"}


def test_a_named_link_carries_the_speed_that_the_admin_expects(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(_interface("eth0", speed="10000") | _interface("eth1"))
    rows = _rows(root, {"eth0": 25000.0})
    assert list(rows) == ["eth0"]
    assert (rows["eth0"].values["speed_mbps"], rows["eth0"].values["expected_mbps"]) == (10000, 25000)


def test_an_expected_speed_of_nought_expects_none(make_tree) -> None:  # type: ignore[no-untyped-def]
    rows = _rows(make_tree(_interface("eth0")), {"eth0": 0.0})
    assert math.isnan(rows["eth0"].values["expected_mbps"])


def test_a_named_link_that_does_not_exist_is_down(make_tree) -> None:  # type: ignore[no-untyped-def]
    rows = _rows(make_tree(_interface("eth0")), {"mlx5_0:1": 200000.0, "eth7": 0.0})
    _same(rows["eth7"], {"up": 0})
    _same(rows["mlx5_0:1"], {"up": 0, "expected_mbps": 200000})


def test_a_link_that_went_down_is_still_shown(make_tree) -> None:  # type: ignore[no-untyped-def]
    rows = _rows(make_tree(_interface("eth0", state="down", speed="-1")))
    _same(rows["eth0"], {"up": 0, "errors": 4, "carrier_losses": 2})


def test_ports_without_a_cable_and_virtual_interfaces_are_left_out(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(
        _interface("eth0")
        | _interface("eth1", state="down", carrier_up_count="0")
        | _interface("lo", state="unknown", virtual=True)
        | _interface("veth12", virtual=True)
        | _interface("docker0", virtual=True)
        | {f"{NET}/bonding_masters": ""}
    )
    assert list(_rows(root)) == ["eth0"]


def test_there_may_be_no_link_at_all(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(_interface("lo", virtual=True))
    assert open_link_probe(AgentSite(), root).sample().state == ProbeState.ABSENT
    assert open_link_probe(AgentSite(), root / "nowhere").sample().state == ProbeState.ABSENT


def test_numbers_that_cannot_be_read_are_unknown(make_tree) -> None:  # type: ignore[no-untyped-def]
    tree = _interface("eth0", speed="", carrier_down_count="many")
    del tree[f"{NET}/eth0/statistics/tx_errors"]
    _same(_rows(make_tree(tree))["eth0"], {"up": 1})


@pytest.mark.parametrize(
    ("state", "carrier", "up"), [("unknown", 1.0, 1.0), ("unknown", 0.0, 0.0), ("up", 0, 1)]
)
def test_a_driver_that_keeps_no_state_is_judged_by_its_carrier(state: str, carrier: float, up: float) -> None:
    assert judge_up(state, carrier) == up


@pytest.mark.parametrize("state", [None, "", "weird"])
def test_a_state_that_nobody_knows_is_neither_up_nor_down(state: str | None) -> None:
    assert math.isnan(judge_up(state, 1.0))


def test_an_infiniband_port_is_a_link(make_tree) -> None:  # type: ignore[no-untyped-def]
    rows = _rows(make_tree(_port("mlx5_0:1")), {"mlx5_0:1": 200000.0})
    _same(
        rows["mlx5_0:1"],
        {"up": 1, "speed_mbps": 200000, "expected_mbps": 200000, "errors": 7, "carrier_losses": 1},
    )
    assert rows["mlx5_0:1"].facts["driver"] == "mlx5_core"


def test_a_port_that_polls_is_down_and_has_no_speed(make_tree) -> None:  # type: ignore[no-untyped-def]
    _same(
        _rows(make_tree(_port("mlx5_0:1", state="1: DOWN")))["mlx5_0:1"],
        {"up": 0, "errors": 7, "carrier_losses": 1},
    )


def test_ports_that_speak_ethernet_or_never_had_a_peer_are_left_out(make_tree) -> None:  # type: ignore[no-untyped-def]
    root = make_tree(
        _port("mlx5_0:1")
        | _port("mlx5_1:1", layer="Ethernet")
        | _port("mlx5_2:1", state="1: DOWN", downed="0")
    )
    assert list(_rows(root)) == ["mlx5_0:1"]


def test_the_links_of_this_machine_are_read() -> None:
    sample = open_link_probe(AgentSite()).sample()
    assert sample.state in (ProbeState.OK, ProbeState.ABSENT)
    for row in sample.rows:
        assert row.values["up"] in (0.0, 1.0)
        assert row.values["errors"] >= 0


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    assert parse_state(text) in (0.0, 1.0) or math.isnan(parse_state(text))
    parse_rate(text)


@given(st.floats(0.1, 10_000, allow_nan=False))
def test_a_rate_is_read_in_gigabits(rate: float) -> None:
    assert parse_rate(f"{rate} Gb/sec (4X XDR)\n") == pytest.approx(rate * 1000)

"""Bands of health, and whose weight a weight is."""

from __future__ import annotations

import pytest

from hetslurm.health.steer_rules import (
    KEEP_S,
    MOST_WEIGHT,
    Band,
    Steered,
    follow,
    judge_band,
    judge_bands,
    raised,
)

from .scenes import NOW, judgement, node

FLOOR = 0.3


@pytest.mark.parametrize(
    ("health", "speed", "was_raised", "band"),
    [
        (1.0, 1.0, False, Band.WELL),
        (0.85, 1.0, False, Band.WELL),
        (0.84, 1.0, False, Band.POORLY),
        (0.3, 1.0, False, Band.POORLY),
        (0.29, 1.0, False, Band.SICK),
        (0.0, 1.0, False, Band.SICK),
        (1.0, 0.9, False, Band.WELL),
        (1.0, 0.89, False, Band.POORLY),
        (1.0, 0.91, True, Band.POORLY),  # nearly as fast again: not to and fro
        (1.0, 0.93, True, Band.WELL),
        (1.0, 1.4, False, Band.WELL),
        (0.1, 0.5, False, Band.SICK),
    ],
)
def test_bands_of_health_and_speed(health: float, speed: float, was_raised: bool, band: Band) -> None:
    assert judge_band(health, speed, FLOOR, was_raised=was_raised).band is band


def test_a_node_is_as_well_as_the_worst_kind_that_it_offers_and_no_other() -> None:
    nodes = {"n1": node("n1"), "n2": node("n2", gres=())}
    sick_gpus = judgement({"n1": 0.5, "n2": 0.5}, kind="gpu")
    assert {name: v.band for name, v in judge_bands(nodes, sick_gpus, FLOOR, {}).items()} == {
        "n1": Band.POORLY
    }
    sick_hosts = judgement({"n1": 0.0, "n2": 0.0}, kind="cpu")
    assert {v.band for v in judge_bands(nodes, sick_hosts, FLOOR, {}).values()} == {Band.SICK}


def test_nothing_is_said_of_a_node_of_which_nothing_new_is_known() -> None:
    nodes = {"n1": node("n1"), "n2": node("n2"), "n3": node("n3")}
    said = judgement({"n1": 0.0, "n2": 1.0}, unknown=("n1", "n2"))
    assert judge_bands(nodes, said, FLOOR, {"n1", "n2", "n3"}) == {}


def test_a_well_node_is_only_spoken_of_when_it_was_raised() -> None:
    nodes = {"n1": node("n1"), "n2": node("n2")}
    verdicts = judge_bands(nodes, judgement({"n1": 1.0, "n2": 1.0}), FLOOR, {"n2"})
    assert {name: v.band for name, v in verdicts.items()} == {"n2": Band.WELL}


def test_a_node_that_slurm_powered_down_is_not_sick() -> None:
    nodes = {"n1": node("n1", state="IDLE+POWERED_DOWN"), "n2": node("n2", state="IDLE+POWERED_DOWN")}
    verdicts = judge_bands(nodes, judgement({"n1": 0.0, "n2": 0.0}), FLOOR, {"n2"})
    assert {name: v.band for name, v in verdicts.items()} == {"n2": Band.WELL}


@pytest.mark.parametrize(
    ("base", "band", "weight"),
    [
        (1, Band.WELL, 1),
        (1, Band.POORLY, 1_001),
        (0, Band.SICK, 1_000_000),
        (MOST_WEIGHT - 5, Band.POORLY, MOST_WEIGHT),
        (MOST_WEIGHT, Band.SICK, MOST_WEIGHT),
        (MOST_WEIGHT + 100, Band.SICK, MOST_WEIGHT + 100),
    ],
)
def test_a_weight_never_grows_beyond_what_slurm_sorts_by(base: int, band: Band, weight: int) -> None:
    assert raised(base, band) == weight


KEPT = Steered("n1", 5, 1_005, NOW)


@pytest.mark.parametrize(
    ("kept", "weight", "band", "after"),
    [
        (None, 5, Band.WELL, None),
        (None, 5, Band.POORLY, KEPT),
        (KEPT, 1_005, Band.POORLY, KEPT),
        (KEPT, 5, Band.POORLY, KEPT),  # not set yet, or slurmctld restarted: to be set again
        (KEPT, 1_005, Band.SICK, Steered("n1", 5, 1_000_005, NOW)),
        (KEPT, 1_005, Band.WELL, Steered("n1", 5, 5, NOW)),
        (KEPT, 9, Band.POORLY, Steered("n1", 9, 1_009, NOW)),  # an admin's
        (KEPT, 9, Band.WELL, None),
        (Steered("n1", 5, 5, NOW), 1_005, Band.WELL, Steered("n1", 5, 5, NOW)),  # to be put back again
        (Steered("n1", 5, 5, NOW), 5, Band.WELL, Steered("n1", 5, 5, NOW)),
        (Steered("n1", 5, 5, NOW - KEEP_S), 5, Band.WELL, None),
        (Steered("n1", 5, 5, NOW), 5, Band.POORLY, KEPT),
    ],
)
def test_what_is_remembered_of_a_node(
    kept: Steered | None, weight: int, band: Band, after: Steered | None
) -> None:
    assert follow(kept, "n1", weight, band, NOW) == after

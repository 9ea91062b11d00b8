"""What the rules make of the board: every node's health by device kind, and the findings behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# "cpu" stands for the node itself: what ails it ails every device in it.
KINDS = ("cpu", "gpu", "fpga")


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that holds on one row of one probe (`index` is the row), since Unix seconds `since`.

    `is_hard`: the node should be drained. `counts`: false for rules that are only stored.
    `factor` is what the rule leaves of the health, in [0, 1]. `text` is for the admin: what was seen, and
    against what, such as "gpu 0: 3 uncorrectable ECC errors".
    """

    probe: str
    index: int
    rule: str
    text: str
    since: float
    is_hard: bool = False
    counts: bool = True
    factor: float = 1.0


def _none() -> NDArray[Any]:
    return np.zeros((0, len(KINDS)))


@dataclass(frozen=True, slots=True)
class Judgement:
    """All nodes that the board knows, at Unix seconds `at`.

    `health` and `speed` are float64 (nodes, KINDS): health in [0, 1], speed over 0 relative to the device's
    own past (1: as ever, also where nobody measured), `measured` where somebody did. `heard` is bool
    (nodes,): a fresh report is there; where it is False and `silent` too, nothing new is known (the bus
    itself is suspected, or Slurm powered the node down) and the node is as it was when last heard.
    `findings` has only nodes that have any. `bitstreams` maps a node to (UUID, name) of what its FPGAs have
    loaded, one a card; "" where unknown.
    """

    at: float
    names: tuple[str, ...] = ()
    health: NDArray[np.float64] = field(default_factory=_none)
    speed: NDArray[np.float64] = field(default_factory=_none)
    heard: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    silent: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    bitstreams: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    bus_suspected: bool = False
    measured: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, len(KINDS)), bool))

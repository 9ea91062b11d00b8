"""A pool: a partition × a set of alike nodes that offers one device kind and type."""

from __future__ import annotations

from dataclasses import dataclass

from hetslurm.cluster import UNLIMITED
from hetslurm.estimate import Estimate, Source

WAIT_SIZES = 8
# Upper bounds of the length classes, minutes of a job's limit; the last class has none.
WAIT_LENGTHS_MIN = (60, 360, 1440)
WAIT_LENGTHS = len(WAIT_LENGTHS_MIN) + 1
# `wait_s[size * WAIT_LENGTHS + length]`
NO_WAIT = (0.0,) * (WAIT_SIZES * WAIT_LENGTHS)


@dataclass(frozen=True, slots=True)
class Rates:
    """Something per cpu, per device and per node: prices (millionths of the currency per hour) or watts."""

    cpu: float = 0.0
    device: float = 0.0
    node: float = 0.0


@dataclass(frozen=True, slots=True)
class Pool:
    """One row of the snapshot's pool table, in people's units.

    `units` are devices, or cpus where `kind` is "cpu": `units` on usable, fit nodes, `units_free` of them
    free. `bitstream` and `bitstream_id` are the file name and the UUID of what most of its free FPGAs have
    loaded, "" where unknown; loading another one takes `bitstream_s`. `wait_s` has one value per size
    and length class, `wait_s[size * WAIT_LENGTHS + length]`.
    `reasons` are HET_WHY_* bits that hold for every job.
    """

    name: str
    partition: str
    kind: str
    type: str
    node_names: tuple[str, ...]
    cpus_per_node: int
    devices_per_node: int
    mem_mb_per_node: int
    features: frozenset[str] = frozenset()
    max_time_min: int = UNLIMITED
    min_nodes: int = 0
    max_nodes: int = UNLIMITED
    max_cpus_per_node: int = UNLIMITED
    max_mem_mb_per_node: int = UNLIMITED
    units: float = 0.0
    units_free: float = 0.0
    reasons: int = 0
    wait_s: tuple[float, ...] = NO_WAIT
    wait_source: Source = Source.DEFAULT
    startup_s: Estimate = Estimate(0.0)
    bitstream: str = ""
    bitstream_id: str = ""
    bitstream_s: Estimate = Estimate(0.0)
    speed: Estimate = Estimate(1.0)
    price: Rates = Rates()
    price_source: Source = Source.DEFAULT
    watts: Rates = Rates()
    watts_source: Source = Source.DEFAULT
    shadow: Estimate = Estimate(0.0)
    health: Estimate = Estimate(1.0)
    risk: float = 1.0

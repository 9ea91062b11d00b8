"""What Slurm does not know and the admin says: prices, watts, speeds, weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from hetslurm.pool import Rates


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the score: time, money, energy, and μ on what a pool is worth to others."""

    time: float = 0.0
    cost: float = 0.0
    energy: float = 0.0
    scarcity: float = 0.0


PRESETS: dict[str, Weights] = {
    "latency": Weights(time=1.0),
    "throughput": Weights(time=1.0, scarcity=1.0),
    "cost": Weights(time=0.05, cost=0.95),
    "energy": Weights(time=0.05, energy=0.95),
    "balanced": Weights(time=1 / 3, cost=1 / 3, energy=1 / 3, scarcity=1.0),
}


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Facts of the pools that match; None leaves what a less exact entry or the default says.

    `partition`, `kind`, `type` "" match all; the entry that names most wins, field by field.
    """

    partition: str = ""
    kind: str = ""
    type: str = ""
    price_per_hour: Rates | None = None
    watts: Rates | None = None
    speed: float | None = None
    startup_s: float | None = None
    ignore: bool | None = None


@dataclass(frozen=True, slots=True)
class DataSite:
    """Where data with this URI prefix lives, and how it reaches pools.

    `gb_per_s` and `egress_per_gb` (millionths of the currency) map a partition, or "*", to a value;
    `stays` names the partitions that alone may read it (empty: all).
    """

    prefix: str
    gb_per_s: dict[str, float] = field(default_factory=dict)
    egress_per_gb: dict[str, float] = field(default_factory=dict)
    stays: frozenset[str] = frozenset()


# GRES that are no device to run on: nodes have them beside devices, jobs beside targets.
RESOURCE_GRES = frozenset(
    {"bandwidth", "craynetwork", "lscratch", "mps", "nic", "scratch", "shard", "slot", "tmpdisk"}
)


@dataclass(frozen=True, slots=True)
class Site:
    """The whole of hetslurm.toml. `resource_gres` names the GRES that make no pool."""

    currency: str = "EUR"
    snapshot_path: str = "/run/hetslurm/snapshot"
    state_dir: str = "/var/lib/hetslurm"
    snapshot_max_age_s: float = 30.0
    cycle_s: float = 2.0
    on_absent: str = "hold"
    default_objective: str = "latency"
    adapter: str = "auto"
    accelerator_nodes_take_cpu_jobs: bool = False
    resource_gres: frozenset[str] = RESOURCE_GRES
    presets: dict[str, Weights] = field(default_factory=lambda: dict(PRESETS))
    pools: tuple[PoolFacts, ...] = ()
    data: tuple[DataSite, ...] = ()

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

    `partition`, `kind`, `type` "" match all; the entry that names most wins, field by field. `dummy` devices
    are none: they let a job keep a GRES that Slurm 22.05 cannot take away (docs/rebinding-slurm.md).
    """

    partition: str = ""
    kind: str = ""
    type: str = ""
    price_per_hour: Rates | None = None
    watts: Rates | None = None
    speed: float | None = None
    startup_s: float | None = None
    ignore: bool | None = None
    bitstream_s: float | None = None
    dummy: bool | None = None


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
class BusSite:
    """[bus]: how reports travel. Endpoints are ZeroMQ's: `tcp://host:port`.

    `listen` is where the controller takes reports ("" : it takes none), `connect` where agents send theirs.
    """

    listen: str = "tcp://*:6836"
    connect: tuple[str, ...] = ()
    keys_dir: str = "/etc/hetslurm/keys"
    beat_s: float = 5.0


@dataclass(frozen=True, slots=True)
class AgentSite:
    """[agent]: what agents look at. `links` maps an interface to its expected Mbit/s (0: only that it is up).

    A probe that runs longer than `deadline_s` is killed. `measure_every_s` 0: benchmarks run only when asked
    for. `fake_dir` holds `gpu.json` and `fpga.json` that stand in for devices (gpu/fake.py, fpga/fake.py).
    `notice_file` says on an instance that is no EC2 one when it is taken away (host/instance.py).
    """

    probes: frozenset[str] = frozenset({"host", "link", "mount", "gpu", "fpga", "instance"})
    mounts: frozenset[str] = frozenset()
    links: dict[str, float] = field(default_factory=dict)
    kernel_log: str = "/dev/kmsg"
    deadline_s: float = 10.0
    measure_every_s: float = 0.0
    xclbin_dirs: frozenset[str] = frozenset()
    fake_dir: str = ""
    notice_file: str = ""


# What the rules compare with; hetslurm/health/rules.py says which rule uses which.
LIMITS: dict[str, float] = {
    "clock_offset_s": 1.0,
    "disk_used_ratio": 0.95,
    "fpga_temperature_c": 95.0,
    "gpu_temperature_margin_c": 3.0,
    "mem_available_ratio": 0.03,
    "mount_used_ratio": 0.98,
    "psi_full": 40.0,
    "slower_ratio": 0.85,
}


@dataclass(frozen=True, slots=True)
class DrainSite:
    """[health.drain]: `mode` "off" (findings are only shown), "dry-run" (says what it would do) or "on".

    At most `pool_share` of a pool's nodes are drained at once, and when more than `burst_share` of a pool's,
    or of all, fail within `burst_window_s`, nothing is drained until an admin looks or they recover. A node
    comes back after `clear_s` without a hard finding.
    """

    mode: str = "dry-run"
    pool_share: float = 0.25
    burst_share: float = 0.1
    burst_window_s: float = 300.0
    clear_s: float = 300.0


@dataclass(frozen=True, slots=True)
class HealthSite:
    """[health]: a node below `floor` gets no new job; one silent for `silent_beats` beats counts as sick.

    Where more than `silent_share` of the nodes fall silent together, the bus is suspected, not the nodes. A
    finding goes after `clear_s` without its cause. `ignore` names rules that are never judged,
    `store_only` rules that are shown and change nothing. `steer`: nodes that are not well get a higher
    weight in Slurm, and jobs only when no other node is free.
    """

    floor: float = 0.3
    silent_beats: float = 3.0
    silent_share: float = 0.5
    clear_s: float = 60.0
    ignore: frozenset[str] = frozenset()
    store_only: frozenset[str] = frozenset()
    limits: dict[str, float] = field(default_factory=lambda: dict(LIMITS))
    drain: DrainSite = DrainSite()
    steer: bool = True


@dataclass(frozen=True, slots=True)
class MetricsSite:
    """[metrics]: loopback ports of the Prometheus pages; 0: none."""

    controller_port: int = 0
    agent_port: int = 0


@dataclass(frozen=True, slots=True)
class BurstSite:
    """[burst]: where burst.toml is; "": no job ever leaves for the cloud."""

    policy: str = ""


@dataclass(frozen=True, slots=True)
class HistorySite:
    """[history]: finished runs, kept for estimates. `source` "auto" is sacct where there is a slurmdbd.

    At most `keep_runs` of the last `keep_days` are kept. `use`: estimates reach the snapshot.
    """

    source: str = "auto"
    keep_days: float = 730.0
    keep_runs: int = 1_000_000
    use: bool = True


@dataclass(frozen=True, slots=True)
class RebindSite:
    """[rebind]: pending jobs that move. `mode` is "off", "advise" (says what it would do) or "on".

    A job moves when it would be done at least `min_gain_s` and `min_gain` (a share of what is left until it
    is done) sooner by its own objective, after hysteresis; not before it is `settle_s` old, at most
    `moves_per_minute` jobs a minute and `moves_per_job` times. `filler_gres`: a count-only GRES that cpu
    nodes have so that a job may leave its devices (docs/rebinding-slurm.md).
    """

    mode: str = "advise"
    min_gain_s: float = 30.0
    min_gain: float = 0.1
    settle_s: float = 10.0
    moves_per_minute: float = 120.0
    moves_per_job: int = 20
    filler_gres: str = "slot"


@dataclass(frozen=True, slots=True)
class ShadowSite:
    """[shadow_prices]: what a pool is worth to others. Solved every `every_s` over the last `jobs` jobs.

    A solve that takes longer than `deadline_s` is given up, and the last prices stay. Fewer than `min_jobs`
    make no prices.
    """

    mode: str = "on"
    every_s: float = 300.0
    jobs: int = 500
    min_jobs: int = 20
    deadline_s: float = 20.0


@dataclass(frozen=True, slots=True)
class OrderSite:
    """[order]: `mode` "short-first" adds up to `points` to the priority of jobs that should be short.

    `points` for a predicted run of `shortest_s` or less, 0 for `longest_s` or more, linear in the logarithm
    between: each halving of the run is worth the same.
    """

    mode: str = "off"
    points: int = 1000
    shortest_s: float = 60.0
    longest_s: float = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class TraceSite:
    """[trace]: an OTLP/HTTP endpoint that gets an OpenTelemetry trace of every job; "": none."""

    endpoint: str = ""


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
    bus: BusSite = BusSite()
    agent: AgentSite = AgentSite()
    health: HealthSite = HealthSite()
    metrics: MetricsSite = MetricsSite()
    burst: BurstSite = BurstSite()
    history: HistorySite = HistorySite()
    rebind: RebindSite = RebindSite()
    shadow: ShadowSite = ShadowSite()
    order: OrderSite = OrderSite()
    trace: TraceSite = TraceSite()

    def is_dummy(self, partition: str, kind: str, type_: str) -> bool:
        """Whether the site says that these devices of the partition's nodes are none."""
        return any(
            one.dummy and one.partition == partition and one.kind == kind and one.type in ("", type_)
            for one in self.pools
        )

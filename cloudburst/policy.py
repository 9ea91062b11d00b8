"""What an admin allows: burst.toml as frozen values (`policy_file` reads it)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

EACH = "*"


class Purchase(StrEnum):
    """How an instance is paid for."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"
    RESERVED = "reserved"


class Level(StrEnum):
    """Whom a cap binds."""

    SITE = "site"
    ACCOUNT = "account"
    USER = "user"
    WORKLOAD = "workload"


class Period(StrEnum):
    """How long a cap counts before it begins anew, in UTC. TOTAL never does."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Cap:
    """reserved + spent ≤ `limit_micro`, for one name of a level, or for each ("*"; "" for the site)."""

    level: Level
    name: str
    period: Period
    limit_micro: int


@dataclass(frozen=True, slots=True)
class ProviderSite:
    """[provider.NAME]: `kind` is "local", "ec2" or "exec"; `settings` are that kind's own keys."""

    name: str
    kind: str
    settings: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CloudPool:
    """[[pool]]: a partition of CLOUD nodes, each one instance of this type.

    `max_price_micro` is per instance and hour: nothing dearer is launched, and worst cases are computed with
    it. `boot_s` is expected until Slurm can use the node, `boot_timeout_s` (Slurm's ResumeTimeout) the most.
    `idle_s` is what an instance idles after its job (SuspendTime and the time to end it).
    `interruptions_per_hour` is the expected rate for spot. `billed_least_s` is the least that is billed.
    """

    partition: str
    provider: str
    instance_type: str
    purchases: tuple[Purchase, ...]
    max_price_micro: int
    zones: tuple[str, ...] = ()
    region: str = ""
    boot_s: float = 120.0
    boot_timeout_s: float = 600.0
    idle_s: float = 120.0
    interruptions_per_hour: float = 0.05
    billed_least_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Spill:
    """[spill]: when a waiting job may go to the cloud, and which.

    One of the triggers must hold: it is expected to wait `min_wait_s` or more on-premises; `queue_depth` or
    more jobs wait (0: never a reason); its deadline would be missed (`deadline`). `burst=only` needs none.
    None for accounts and qos: all. `stays` are URI prefixes of data that must not leave.
    """

    min_wait_s: float = 1800.0
    queue_depth: int = 0
    deadline: bool = True
    preemptible_only: bool = True
    accounts: frozenset[str] | None = None
    deny_accounts: frozenset[str] = frozenset()
    qos: frozenset[str] | None = None
    stays: frozenset[str] = frozenset()
    max_nodes_per_job: int = 16


@dataclass(frozen=True, slots=True)
class Retry:
    """[retry]: `requeues` runs more than the first are reserved for; `cooldown_s` per kind of error.

    `reservation_s`: a reservation whose job did not begin to boot by then expires. `guard_s`: the reconciler
    leaves alone what is younger. `heartbeat_s`: resume refuses when the reconciler's last sign is older.
    """

    requeues: int = 1
    cooldown_s: dict[str, float] = field(
        default_factory=lambda: {
            "capacity": 300.0,
            "quota": 1800.0,
            "throttle": 30.0,
            "price": 600.0,
            "configuration": 3600.0,
            "unavailable": 60.0,
            "interrupted": 900.0,
        }
    )
    reservation_s: float = 900.0
    guard_s: float = 60.0
    heartbeat_s: float = 60.0
    grace_s: float = 60.0
    checkpoint_signal: str = "USR1"


@dataclass(frozen=True, slots=True)
class Alert:
    """[[alert]]: run a command or call a webhook once when a cap is used up to a share, once per period."""

    at: tuple[float, ...] = (0.5, 0.8, 1.0)
    command: tuple[str, ...] = ()
    webhook: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole of burst.toml."""

    currency: str = "EUR"
    providers: tuple[ProviderSite, ...] = ()
    pools: tuple[CloudPool, ...] = ()
    spill: Spill = Spill()
    caps: tuple[Cap, ...] = ()
    alerts: tuple[Alert, ...] = ()
    retry: Retry = field(default_factory=Retry)

    @property
    def partitions(self) -> frozenset[str]:
        """Partitions whose nodes are instances."""
        return frozenset(pool.partition for pool in self.pools)

    def pool_of(self, partition: str) -> CloudPool | None:
        """The cloud pool behind a partition; None: not a cloud partition."""
        return next((pool for pool in self.pools if pool.partition == partition), None)

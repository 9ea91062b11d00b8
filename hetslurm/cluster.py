"""What Slurm says of itself, in Slurm's words: nodes, partitions, jobs, associations, reservations.

Adapters fill these values; everything that decides works on them alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

UNLIMITED = 2**31 - 1

# Base states of a node that runs jobs, and what takes it out whatever its base state is.
USABLE = frozenset({"IDLE", "MIXED", "ALLOCATED"})
UNUSABLE = frozenset(
    {"DOWN", "ERROR", "UNKNOWN", "FUTURE", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "INVAL"}
    | {"INVALID_REG", "MAINT", "MAINTENANCE", "RESERVED", "REBOOT", "REBOOT_ISSUED"}
)
# A node that Slurm is starting or has stopped need not respond.
_POWER = frozenset({"POWERED_DOWN", "POWERING_UP", "POWER_UP", "POWERING_DOWN", "POWER_DOWN"})


@dataclass(frozen=True, slots=True)
class Gres:
    """One generic resource: `gpu:a100:4` is Gres("gpu", "a100", 4)."""

    name: str
    type: str
    count: int


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `state` holds Slurm's base state and flags, upper case: {"IDLE", "DRAIN"}.

    `unfit_kinds` are device kinds that hetslurm finds too sick for new jobs; "cpu" in it: the whole node.
    `reason_by` is the user that set `reason`, `reason_at` when, Unix seconds. Of nodes that fit, Slurm takes
    those of the lowest `weight` first.
    """

    name: str
    cpus: int
    mem_mb: int
    state: frozenset[str]
    gres: tuple[Gres, ...] = ()
    gres_used: tuple[Gres, ...] = ()
    cpus_allocated: int = 0
    mem_mb_allocated: int = 0
    features: frozenset[str] = frozenset()
    reason: str = ""
    reason_by: str = ""
    reason_at: float | None = None
    unfit_kinds: frozenset[str] = frozenset()
    weight: int = 1

    def is_fit(self, kind: str) -> bool:
        """`is_usable`, and well enough for new jobs on this kind of device."""
        return self.is_usable and not self.unfit_kinds & {kind, "cpu"}

    @property
    def is_usable(self) -> bool:
        """Jobs can start on it, now or once its own end. A powered-down cloud node is: Slurm resumes it."""
        if not self.state & USABLE or self.state & UNUSABLE:
            return False
        return "NOT_RESPONDING" not in self.state or bool(self.state & _POWER)

    def units(self, kind: str, type_: str) -> int:
        """Devices of this kind and type, or cpus where `kind` is "cpu"."""
        if kind == "cpu":
            return self.cpus
        return sum(g.count for g in self.gres if g.name == kind and g.type == type_)

    def free_units(self, kind: str, type_: str) -> int:
        """Those of `units` that a job could have now: none without a free cpu and free memory."""
        cpus = self.cpus - self.cpus_allocated
        if cpus <= 0 or (self.mem_mb_allocated and self.mem_mb_allocated >= self.mem_mb):
            return 0
        if kind == "cpu":
            return cpus
        used = sum(g.count for g in self.gres_used if g.name == kind and g.type == type_)
        typed = {g.type for g in self.gres if g.name == kind}
        # Slurm does not always say which type an untyped request got.
        stray = sum(g.count for g in self.gres_used if g.name == kind and g.type not in typed)
        return max(0, self.units(kind, type_) - used - stray)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition. Empty allow lists mean "all" (None); a deny list may be empty."""

    name: str
    nodes: tuple[str, ...]
    state: str = "UP"
    is_default: bool = False
    max_time_min: int = UNLIMITED
    default_time_min: int | None = None
    min_nodes: int = 0
    max_nodes: int = UNLIMITED
    max_cpus_per_node: int = UNLIMITED
    max_mem_mb_per_node: int = UNLIMITED
    max_mem_mb_per_cpu: int = UNLIMITED
    allow_accounts: frozenset[str] | None = None
    deny_accounts: frozenset[str] = frozenset()
    allow_qos: frozenset[str] | None = None
    deny_qos: frozenset[str] = frozenset()
    allow_groups: frozenset[str] | None = None
    alloc_nodes: frozenset[str] | None = None
    root_only: bool = False
    disable_root_jobs: bool = False
    req_resv: bool = False
    priority_tier: int = 1


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A pending or running job (one array task, or the rest of an array that is not split yet).

    `gres` is per node. Times are Unix seconds; None: Slurm does not say. `admin_comment` is as stored.
    `predicted_run_s` is the run time that hetslurm placed it with, seconds; None for other people's jobs.
    `het_offset` counts the components of a heterogeneous job from 0; None: it is no such component.
    `gres_per_job`: it asked for (some of) its GRES in all, as `--gpus` does.
    """

    job_id: int
    state: str
    partition: str
    user: str
    nodes: int
    cpus: int
    mem_mb_per_node: int
    time_limit_min: int | None
    priority: int
    submit_at: float
    start_at: float | None
    end_at: float | None
    gres: tuple[Gres, ...] = ()
    node_names: tuple[str, ...] = ()
    tasks: int = 1
    reason: str = ""
    name: str = ""
    account: str = ""
    qos: str = ""
    admin_comment: str = ""
    predicted_run_s: float | None = None
    array_job_id: int | None = None
    array_task: str = ""
    het_offset: int | None = None
    gres_per_job: bool = False

    @property
    def leads_het_job(self) -> bool:
        """The first component of a heterogeneous job: to Slurm, its bare id means all of them."""
        return self.het_offset == 0


@dataclass(frozen=True, slots=True)
class PriorityRules:
    """How Slurm makes a job's priority. `weight_age` is what a job gets that waited `max_age_s` or longer.

    Without slurmdbd no job ages, whatever the weight: slurmctld never counts priorities anew (22.05.8).
    """

    type: str = "priority/basic"
    weight_age: int = 0
    max_age_s: float = 7 * 86400.0
    has_database: bool = True

    @property
    def has_factors(self) -> bool:
        """Multifactor priority: a site's factor counts, and so does age."""
        return self.type == "priority/multifactor"


@dataclass(frozen=True, slots=True)
class Association:
    """One row of the accounting database's associations. `partition` "" is any."""

    user: str
    account: str
    partition: str = ""
    default_qos: str = ""
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """Nodes that are kept from `start_at` to `end_at` (Unix seconds) for some users, or for maintenance.

    `flags` are Slurm's, upper case: {"MAINT", "SPEC_NODES"}. `cpus` are those that it takes of its nodes in
    all; 0: Slurm does not say.
    """

    name: str
    start_at: float
    end_at: float
    node_names: tuple[str, ...]
    flags: frozenset[str] = frozenset()
    cpus: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """All of the above at one instant.

    `uids` maps user names to uids (users of associations); `groups` maps a group's name to the uids of its
    members, primary members included. `read_at` is Unix seconds. `has_database`: there is a slurmdbd.
    """

    name: str
    version: tuple[int, int, int]
    read_at: float
    nodes: tuple[Node, ...]
    partitions: tuple[Partition, ...]
    jobs: tuple[QueuedJob, ...]
    associations: tuple[Association, ...] = ()
    enforces_associations: bool = False
    uids: dict[str, int] = field(default_factory=dict)
    groups: dict[str, frozenset[int]] = field(default_factory=dict)
    reservations: tuple[Reservation, ...] = ()
    has_database: bool = False

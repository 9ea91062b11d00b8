"""What hetslurm asks of Slurm, whoever carries the message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hetslurm.cluster import Cluster, Gres, Node, PriorityRules, QueuedJob
from hetslurm.slurm.ended import EndedJob


@dataclass(frozen=True, slots=True)
class JobDetail:
    """One job, with what only those need who change it.

    `features`, `required_nodes` and `dependency` are as the author wrote them ("" when not given).
    `tres` is what Slurm says it asked for or got in all: {"cpu": 4, "gres/gpu": 1}; memory in MiB.
    `eligible_at` is Unix seconds.
    """

    job: QueuedJob
    features: str = ""
    dependency: str = ""
    required_nodes: str = ""
    reservation: str = ""
    eligible_at: float | None = None
    restarts: int = 0
    command: str = ""
    work_dir: str = ""
    tres: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class JobUpdate:
    """A change of a pending job; None leaves a field as it is.

    `gres` is per node, `mem_mb_per_node` MiB, `cpus_per_node` what each node must give, `tasks` all of
    the job's. Where the count of cpus or nodes changes, give `nodes`, `tasks`, `cpus_per_task` and
    `cpus_per_node` together: Slurm derives none of them from another (22.05: cpus_per_task alone changes
    only the environment). An empty `gres` means none, for a job that has none already; `clear_gres` takes
    what it has away, beside a `gres` only what it asked for in all (`--gpus`); how releases take that is in
    hetslurm.rebinding.capability. `node_names` are the nodes that it must get; an empty one: any.
    `start_now` takes away the delay that Slurm puts before the next run of a requeued job. The time limit
    of a running job may be changed too. `site_factor` is added to its priority where that is multifactor.
    """

    partition: str | None = None
    gres: tuple[Gres, ...] | None = None
    nodes: int | None = None
    tasks: int | None = None
    cpus_per_task: int | None = None
    cpus_per_node: int | None = None
    mem_mb_per_node: int | None = None
    time_limit_min: int | None = None
    admin_comment: str | None = None
    qos: str | None = None
    node_names: tuple[str, ...] | None = None
    start_now: bool = False
    clear_gres: bool = False
    site_factor: int | None = None


class PowerDown(StrEnum):
    """What becomes of jobs on a node that is powered down: they are requeued, or end first."""

    FORCE = "force"
    ASAP = "asap"


class SlurmAdapter(Protocol):
    """Reading and changing a cluster.

    Every call raises SlurmUnavailable when a daemon does not answer in time, and SlurmRefused, with
    Slurm's own words, when it says no.
    """

    def read_cluster(self) -> Cluster:
        """Nodes, partitions, the queue, associations and reservations, as near to one instant as it goes."""
        ...

    def read_job(self, job_id: int) -> JobDetail:
        """One job that slurmctld still knows, finished or not."""
        ...

    def ended_between(self, since: float, until: float) -> tuple[EndedJob, ...]:
        """Runs that slurmdbd says ended from `since` to `until` (Unix seconds), in no order.

        SlurmUnavailable: there is no slurmdbd, or it does not answer.
        """
        ...

    def ended_lately(self) -> tuple[EndedJob, ...]:
        """The last run of every job that is over and that slurmctld still remembers (for MinJobAge)."""
        ...

    def read_task(self, array_job_id: int, task: int) -> JobDetail:
        """One task of an array that has a record of its own: one that runs, ran, or was changed alone."""
        ...

    def batch_script(self, job_id: int) -> bytes:
        """The script of a batch job, byte for byte."""
        ...

    def update_job(
        self, job_id: int, update: JobUpdate, *, leads_het_job: bool = False, task: int | None = None
    ) -> None:
        """Change a pending job, all fields in one request. Read the job back: Slurm may have its own mind.

        `task`: that task of the array `job_id` alone, which then has a record (and job id) of its own.

        `leads_het_job`: it is the first component of a heterogeneous job, and the others are to stay as they
        are. Its number of nodes stays 1: Slurm changes none there.
        """
        ...

    def hold(self, job_id: int, *, by_author: bool = False) -> None:
        """Hold a pending job as an administrator: its author cannot release it; `by_author`: he can."""
        ...

    def release(self, job_id: int, *, leads_het_job: bool = False, task: int | None = None) -> None:
        """Release a held job; of a heterogeneous job's first component, that one alone; or a task."""
        ...

    def read_node(self, name: str) -> Node:
        """One node as slurmctld has it now. SlurmRefused: it knows no such node."""
        ...

    def read_nodes(self, names: Sequence[str]) -> tuple[Node, ...]:
        """Those nodes as slurmctld has them now. SlurmRefused: it does not know one of them."""
        ...

    def drain_node(self, name: str, reason: str) -> None:
        """Take a node out for new jobs; those that run go on. Overwrites whatever reason the node has."""
        ...

    def resume_node(self, name: str) -> None:
        """Take a drain back, whoever made it. A node that is DOWN stays down."""
        ...

    def set_node_weight(self, names: Sequence[str], weight: int) -> None:
        """Set these nodes' weight, of all or, when one is not known, of none.

        It holds until slurmctld restarts or reads its configuration again: then theirs is slurm.conf's.
        """
        ...

    def count_node_updates(self) -> int:
        """How many changes of nodes slurmctld has carried out for anybody, since it last began to count.

        It begins anew when it starts, and once a day. Slurm's changes of nodes compare with nothing; that
        this number rose by one shows that a change of ours was the only one.
        """
        ...

    def controller_started_at(self) -> float:
        """When the slurmctld that answers was started, Unix seconds (whole)."""
        ...

    def read_priority(self) -> PriorityRules:
        """How slurmctld makes priorities; may be a minute old."""
        ...

    def read_site_factors(self) -> dict[int, int]:
        """The site's part of their priority of pending jobs that are not held, by job id.

        SlurmRefused without multifactor priority.
        """
        ...

    def node_down(self, names: Sequence[str], reason: str) -> None:
        """Set nodes DOWN: jobs on them are requeued at once. Overwrites whatever reason they have."""
        ...

    def power_down(self, names: Sequence[str], how: PowerDown = PowerDown.FORCE) -> None:
        """Let Slurm run its SuspendProgram for these nodes. A node that is DOWN is not once it is through."""
        ...

    def power_up(self, names: Sequence[str]) -> None:
        """Let Slurm run its ResumeProgram for these nodes, though no job asks for them."""
        ...

    def set_node_address(self, name: str, address: str, hostname: str) -> None:
        """Where slurmctld finds a node's slurmd from now on; the node's own name for both is the default."""
        ...

    def requeue(self, job_id: int) -> None:
        """Send a running job back to the queue."""
        ...

    def cancel(self, job_id: int) -> None:
        """End a job, pending or running, as `scancel` does. One that is over is no error."""
        ...

    def signal(self, job_id: int, signal: str, *, batch: bool = False) -> None:
        """Send a signal ("USR1") to a job's steps; with `batch`, to its script and all of its children.

        One that does not run is no error.
        """
        ...

    def notify(self, job_id: int, text: str) -> None:
        """Write a line to the standard error of a running batch job, or to salloc's and srun's terminal."""
        ...

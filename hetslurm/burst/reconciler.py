"""The reconciler at work: gathers what provider, Slurm and book say, has it judged, carries it out.

Every look finishes what any crashed process left, a step further. It goes on as far as it can while Slurm
or a provider is away. Its last act of a look is its heartbeat, without which nothing new is started.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from hetslurm.burst.addresses import tell_addresses
from hetslurm.burst.busy import read_busy
from hetslurm.burst.power import Power
from hetslurm.burst.reconcile_acts import Acts
from hetslurm.cloudburst.ledger.values import Reservation
from hetslurm.cloudburst.policy import Policy
from hetslurm.cloudburst.provider.protocol import Provider, ProviderError, Seen, SeenState
from hetslurm.cloudburst.reconcile import reconcile
from hetslurm.cloudburst.reconcile_runs import runs_seen
from hetslurm.cloudburst.reconcile_values import Memory, Sight, SlurmView
from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.errors import SlurmError, SlurmRefused, SlurmUnavailable

# A finished job is asked for by itself: at most this many a look.
_ASKED_A_LOOK = 50
_OVER = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
_ALIVE = frozenset({SeenState.PENDING, SeenState.RUNNING, SeenState.ENDING})


@dataclass(frozen=True, slots=True)
class Look:
    """What a look saw and did. `troubles` are the providers that did not answer, with their words."""

    at: float
    instances: Mapping[str, int] = field(default_factory=dict)
    seen: tuple[Seen, ...] = ()
    sight: Sight | None = None
    acts: Mapping[str, int] = field(default_factory=dict)
    failed: int = 0
    troubles: Mapping[str, str] = field(default_factory=dict)


class Reconciler:
    """One a controller, on its `acts`, whose policy and providers may change between two looks."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts
        self._memory = Memory()
        self._silent: set[str] = set()

    @property
    def _power(self) -> Power:
        return self._acts.power

    def look(self, cluster: Cluster | None) -> Look:
        """One look. `cluster` None: Slurm does not answer. Raises LedgerError."""
        book, policy, providers = self._power.book, self._power.policy, self._power.providers
        before = book.open_reservations()
        slurm = self._slurm_view(cluster, policy, before) if cluster is not None else None
        seen, troubles = self._seen(providers)
        # After Slurm: money is set aside before a job moves, and a node's before it powers up.
        instances, reservations = book.instances(), book.open_reservations()
        busy = read_busy(self._power.state_dir)
        now = self._power.clock.now()
        sight = Sight(now, policy, slurm, seen, instances, reservations, busy)
        # Before anything is paid, so that the report knows what was paid for.
        if runs := runs_seen(sight, book.runs(only_open=True)):
            book.ran(runs)
        actions, self._memory = reconcile(sight, self._memory)
        _, failed = self._acts.carry_out(actions, sight)
        if slurm is not None:
            self._tell_addresses(seen)
        book.beat()
        return Look(
            now,
            instances=Counter(str(row.state) for row in instances),
            seen=tuple(one for found in seen.values() for one in found or () if one.state in _ALIVE),
            sight=sight,
            acts=Counter(type(action).__name__ for action in actions),
            failed=failed,
            troubles=troubles,
        )

    def _seen(
        self, providers: Mapping[str, Provider]
    ) -> tuple[dict[str, tuple[Seen, ...] | None], dict[str, str]]:
        found: dict[str, tuple[Seen, ...] | None] = {}
        troubles = {}
        for name, provider in providers.items():
            try:
                found[name] = provider.seen()
                self._silent.discard(name)
            except ProviderError as error:
                found[name] = None
                troubles[name] = str(error)
                if name not in self._silent:
                    self._silent.add(name)
                    self._power.log.warning("burst provider does not answer", provider=name, error=error)
        return found, troubles

    def _tell_addresses(self, seen: Mapping[str, tuple[Seen, ...] | None]) -> None:
        """What a launch could not say: where its instance is."""
        live = {row.token for row in self._power.book.instances()}
        found = [one for some in seen.values() for one in some or () if one.token in live]
        try:
            tell_addresses(self._power.book, self._power.slurm, found)
        except SlurmError as error:
            self._power.log.warning("burst address", why=error)

    def _slurm_view(
        self, cluster: Cluster, policy: Policy, reservations: tuple[Reservation, ...]
    ) -> SlurmView | None:
        """Cloud nodes, the queue, and which jobs with money are over: those are asked for one by one."""
        names = {name for p in cluster.partitions if p.name in policy.partitions for name in p.nodes}
        nodes = {node.name: node for node in cluster.nodes if node.name in names}
        jobs = {job.job_id: job for job in cluster.jobs if job.state not in _OVER}
        ended = {job.job_id: job for job in cluster.jobs if job.state in _OVER}
        over = set(ended)
        live = {row.res_id for row in self._power.book.instances()}
        waiting = sorted(reservations, key=lambda r: r.res_id in live)
        missing = [r.wanted.job_id for r in waiting if r.wanted.job_id not in jobs.keys() | over]
        for job_id in missing[:_ASKED_A_LOOK]:
            try:
                job = self._job(job_id)
            except SlurmUnavailable:
                return None
            if job is None or job.state in _OVER:
                over.add(job_id)
                if job is not None:
                    ended[job_id] = job
            else:
                jobs[job_id] = job
        return SlurmView(nodes, jobs, frozenset(over), ended)

    def _job(self, job_id: int) -> QueuedJob | None:
        """The job as Slurm has it now; None: it does not know it any more."""
        try:
            return self._power.slurm.read_job(job_id).job
        except SlurmRefused as refused:
            if "Invalid job id" in str(refused):
                return None
            raise

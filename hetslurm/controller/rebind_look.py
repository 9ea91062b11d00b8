"""Which pending jobs may move, and what each would gain: from what a cycle saw to verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hetslurm.cluster import Cluster, Partition, QueuedJob
from hetslurm.controller.cycle import Plan, RecordedJob
from hetslurm.controller.decisions import JobKey
from hetslurm.controller.rebind_ledger import Who
from hetslurm.errors import DirectiveError
from hetslurm.job import Request
from hetslurm.native import kernel, parser
from hetslurm.placement import Asked
from hetslurm.pool import Pool
from hetslurm.rebinding.capability import Holding, Moves, Way
from hetslurm.rebinding.choose import Crowd
from hetslurm.rebinding.hysteresis import Standing
from hetslurm.rebinding.judge import Pair, Verdict, weigh
from hetslurm.scoring import Pending
from hetslurm.site import Site
from hetslurm.slurm.asked import asked_of, since_submit
from hetslurm.slurm.binding import needed_units
from hetslurm.slurm.job_text import expand_tasks
from hetslurm.slurm.protocol import JobDetail
from hetslurm.slurm.rebound import NEVER_RUNS, wanted_gres

# What a job waits for that no other placement brings. What it never runs for is another matter: NEVER_RUNS.
_ELSEWHERE_TOO = frozenset(
    {
        "BeginTime",
        "BurstBufferOperation",
        "DeadLine",
        "Dependency",
        "DependencyNeverSatisfied",
        "FedJobLock",
        "JobArrayTaskLimit",
        "JobHeldAdmin",
        "JobHeldUser",
        "Licenses",
        "Reservation",
    }
)
_LIMITS = ("Assoc", "QOS")
_MOST_REQUESTS = 50_000


def who_of(job: QueuedJob, task: int | None = None) -> Who:
    """What the job is to the mover: of an array, `task`, or the one that has a record of its own."""
    if job.array_job_id is None:
        return Who(JobKey(job.job_id, int(job.submit_at)), None, job.leads_het_job)
    if task is None and job.array_task.isdigit():
        task = int(job.array_task)
    return Who(JobKey(job.array_job_id, int(job.submit_at)), task)


def why_not(one: RecordedJob) -> str:
    """Why a recorded job is not looked at; "": it is."""
    job, record = one.job, one.record
    broken = job.reason in NEVER_RUNS and record.moves > 0  # by a move of ours, and on its way back
    hinders = (
        (job.state != "PENDING", "does not wait"),
        (record.state == "held" or (job.priority == 0 and not broken), "held"),
        (record.res is not None, "in the cloud"),
        (job.partition != record.partition, "moved by somebody else"),
        (job.reason in _ELSEWHERE_TOO or job.reason.startswith(_LIMITS), "waits for something else"),
        (job.reason in NEVER_RUNS and not broken, "Slurm says that it never runs"),
        (job.het_offset is not None, "heterogeneous job"),
    )
    return next((why for holds, why in hinders if holds), "")


@dataclass(slots=True)
class Seen:
    """A job that may move, with what does not change while it is looked at. `taken`: tasks that moved."""

    one: RecordedJob
    request: Request
    asked: Asked
    here: Pair | None
    standing: Standing
    resolved: tuple[Any, Any, Any, Any]
    row: Any
    reachable: Any
    verdict: Verdict = field(default_factory=Verdict)
    taken: int = 0

    @property
    def tasks(self) -> list[int]:
        """Of an array, those that wait; none for an ordinary job."""
        return expand_tasks(self.one.job.array_task) if self.one.job.array_job_id is not None else []

    @property
    def who(self) -> Who:
        """The job, or the array's next task."""
        tasks = self.tasks
        return who_of(self.one.job, tasks[self.taken] if self.taken < len(tasks) else None)

    @property
    def has_more(self) -> bool:
        """Another task of it may move after this one."""
        return self.taken + 1 < len(self.tasks)


class Look:
    """One cycle's look at all pending jobs. `lost_age_s` is the queue age that moves were seen to cost."""

    def __init__(
        self,
        plan: Plan,
        cluster: Cluster,
        view: kernel.View,
        site: Site,
        now: float,
        *,
        moves: Moves,
        lost_age_s: float,
        is_bad: Callable[[Who, str], bool],
        has_bad: Callable[[Who], bool],
        in_doubt: Callable[[str], bool],
        requests: dict[str, Request | None],
    ) -> None:
        self._plan = plan
        self._cluster = cluster
        self.view = view
        self._site = site
        self._now = now
        self._cost_s = site.rebind.settle_s + lost_age_s
        self._is_bad = is_bad
        self._has_bad = has_bad
        self._masks: dict[tuple[object, ...], Any] = {}
        self._in_doubt = in_doubt
        self._requests = requests
        self._moves = moves
        named = {pool.name: pool for pool in plan.pools}
        self.pools: tuple[Pool, ...] = tuple(named[name] for name in view.pools)  # in the snapshot's order
        self._index = {pool.name: i for i, pool in enumerate(self.pools)}
        self._ways: dict[tuple[object, object, str], Way] = {}
        self.crowd = Crowd([pool.units for pool in self.pools])
        self.skipped: Counter[str] = Counter()

    @property
    def now(self) -> float:
        """Unix seconds of this look."""
        return self._now

    def pending(self, one: RecordedJob) -> Pending | None:
        """The job as a batch scores it; None: it may not move, and `skipped` counts why."""
        why = why_not(one)
        request = None if why else self._request(one)
        if request is None:
            self.skipped[why or "its record holds no request"] += 1
            return None
        job, record = one.job, one.record
        here = self._here(one, request)
        start = self._plan.starts.get(job.job_id)
        fixed = (job.user, job.account, job.qos, job.partition, job.gres, job.submit_at)
        shape = (job.nodes, job.cpus, job.tasks, job.mem_mb_per_node, job.time_limit_min)
        return Pending(
            key=(job.job_id, job.array_task),
            stamp=(record.het, record.pins, *fixed, *shape),
            alt=here[0] if here else -1,
            pool=self.pools[here[1]].name if here else "",
            wait_s=-1.0 if start is None else max(0.0, start),
        )

    def wanted(self, one: RecordedJob) -> tuple[Request, Asked] | None:
        """What the job asks for, and what its author fixed."""
        request = self._request(one)
        return None if request is None else (request, self._asked(one, None))

    def _asked(self, one: RecordedJob, detail: JobDetail | None) -> Asked:
        return replace(asked_of(one.job, one.record.pins, self._cluster, detail), n_tasks=1)

    def seen(self, one: RecordedJob, detail: JobDetail | None = None) -> Seen | None:
        """The job as it may move; None: it may not, and `skipped` counts why. `detail`: as just read."""
        why = why_not(one)
        request = None if why else self._request(one)
        if request is None:
            self.skipped[why or "its record holds no request"] += 1
            return None
        job, record = one.job, one.record
        asked = self._asked(one, detail)
        resolved = kernel.resolve(self.view, request, asked, int(self._now))
        row = kernel.admit(self.view, resolved[0], [resolved[1]])[0]
        here = self._here(one, request)
        age = max(0.0, self._now - job.submit_at)
        standing = Standing(age, record.moves, self._cost_s)
        reachable = self._reachable(one, request)
        return Seen(one, request, asked, here, standing, resolved, row, reachable)

    def judge(self, seen: Seen) -> Verdict:
        """What the job would gain now, after the moves of this cycle."""
        _, _, job, alts = seen.resolved
        terms, _ = kernel.explain(self.view, job, alts, seen.row, backlog=self.crowd.backlog)
        own = self._own_wait(seen, terms)
        seen.verdict = weigh(
            terms, job["weights"], seen.here, own, seen.reachable, seen.standing, self._site.rebind
        )
        if seen.verdict.goes and self._in_doubt(seen.one.record.pool):
            seen.verdict = replace(seen.verdict, why="its pool has been away for a moment only")
        return seen.verdict

    def accept(self, seen: Seen) -> None:
        """The job goes where its verdict says: those that are looked at next know."""
        best, here = seen.verdict.best, seen.here
        if best is None:
            return
        terms = self.terms(seen)
        units = needed_units(seen.request.targets[best[0]], seen.asked)
        self.crowd.came(best[1], units, float(terms["run_s"][best]))
        if here is not None:
            units = needed_units(seen.request.targets[here[0]], seen.asked)
            start = self._plan.starts.get(seen.one.job.job_id, float(terms["wait_s"][here]))
            self.crowd.went(here[1], units, float(terms["run_s"][here]), start)

    def terms(self, seen: Seen) -> Any:
        """TERMS_DTYPE[targets, pools] of the job now."""
        _, _, job, alts = seen.resolved
        return kernel.explain(self.view, job, alts, seen.row, backlog=self.crowd.backlog)[0]

    def way(self, seen: Seen, pair: Pair) -> Way:
        """How Slurm gets the job there."""
        job, pool = seen.one.job, self.pools[pair[1]]
        want = wanted_gres(seen.request, seen.one.record.pins, pair[0], pool.kind, pool.type, job)
        return self._way(job, want, pool.partition)

    def partition(self, name: str) -> Partition:
        """The partition of that name. ValueError: it is gone."""
        for partition in self._cluster.partitions:
            if partition.name == name:
                return partition
        raise ValueError(f"there is no partition {name} any more")

    def place(self, seen: Seen, pair: Pair) -> str:
        """The name of a placement, in logs and in the ledger."""
        return self._name(seen.request, *pair)

    def _name(self, request: Request, alt: int, pool: int) -> str:
        return f"{request.targets[alt].label} on {self.pools[pool].name}"

    def _request(self, one: RecordedJob) -> Request | None:
        het = one.record.het
        if het not in self._requests:
            if len(self._requests) >= _MOST_REQUESTS:
                self._requests.clear()
            try:
                self._requests[het] = parser.parse(None, het.encode())
            except (DirectiveError, ValueError):
                self._requests[het] = None
        request = self._requests[het]
        return since_submit(request, one.job.submit_at) if request else None

    def _here(self, one: RecordedJob, request: Request) -> Pair | None:
        record = one.record
        index = self._index.get(record.pool)
        if index is None or self.pools[index].partition != record.partition:
            alike = (
                i
                for i, pool in enumerate(self.pools)
                if (pool.partition, pool.kind, pool.type) == (record.partition, record.kind, record.type)
            )
            index = next(alike, None)
        if index is None or record.alt >= len(request.targets):
            return None
        place = self._name(request, record.alt, index)
        return None if self._is_bad(who_of(one.job), place) else (record.alt, index)

    def _own_wait(self, seen: Seen, terms: Any) -> float | None:
        """Its own expected start, sooner by what left before it; None: nothing is known of it."""
        start = self._plan.starts.get(seen.one.job.job_id)
        if seen.here is None or start is None:
            return None
        return self.crowd.own_wait(seen.here[1], start)

    def _reachable(self, one: RecordedJob, request: Request) -> Any:
        """Which pairs a move leads to: Slurm can make it, it changes something, it is not known to fail."""
        job, record = one.job, one.record
        key = (record.het, record.pins, record.alt, job.gres, job.gres_per_job, job.partition)
        of_job = (*key, job.mem_mb_per_node, job.array_job_id is not None)
        mask = self._masks.get(of_job)
        if mask is None:
            mask = self._masks[of_job] = self._opened(one, request)
        who = who_of(job)
        bad = [
            (alt, i)
            for alt, i in (np.argwhere(mask).tolist() if self._has_bad(who) else ())
            if self._is_bad(who, self._name(request, alt, i))
        ]
        if bad:
            mask = mask.copy()
            mask[tuple(zip(*bad, strict=True))] = False
        return mask

    def _opened(self, one: RecordedJob, request: Request) -> Any:
        """The same for all jobs that ask for the same and have the same."""
        job, record = one.job, one.record
        mask = np.zeros((len(request.targets), len(self.pools)), dtype=bool)
        for alt, target in enumerate(request.targets):
            for i, pool in enumerate(self.pools):
                if pool.kind != target.kind or target.type not in ("", pool.type):
                    continue
                want = wanted_gres(request, record.pins, alt, pool.kind, pool.type, job)
                if pool.partition == job.partition and alt == record.alt and want == job.gres:
                    continue  # the same request: Slurm may start it there already
                mask[alt, i] = self._is_open(job, want, pool.partition) and self._keeps_memory(
                    one, request, alt, pool
                )
        return mask

    def _is_open(self, job: QueuedJob, want: tuple[Any, ...], partition: str) -> bool:
        way = self._way(job, want, partition)
        return way.is_open and not (way.needs_hold and job.array_job_id is not None)

    def _way(self, job: QueuedJob, want: tuple[Any, ...], partition: str) -> Way:
        key = (job.gres, want, partition)
        if key not in self._ways:
            self._ways[key] = self._moves.way(Holding(job.gres, job.gres_per_job), want, partition)
        return self._ways[key]

    @staticmethod
    def _keeps_memory(one: RecordedJob, request: Request, alt: int, pool: Pool) -> bool:
        """Memory that its target asked for stays with a job where the next one leaves it to Slurm."""
        here = request.targets[one.record.alt] if one.record.alt < len(request.targets) else None
        stays = "m" in one.record.pins or (here and here.mem_mb and not request.targets[alt].mem_mb)
        return not stays or one.job.mem_mb_per_node <= min(pool.mem_mb_per_node, pool.max_mem_mb_per_node)


def alike(seen: QueuedJob, now: QueuedJob) -> bool:
    """The job is as it was when the cluster was read, which may be a while ago."""

    def key(job: QueuedJob) -> tuple[object, ...]:
        return job.state, job.partition, job.gres, job.admin_comment, job.priority > 0, int(job.submit_at)

    return key(seen) == key(now)

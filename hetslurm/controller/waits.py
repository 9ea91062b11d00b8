"""Follows what pending jobs were told of their wait until they start, and corrects what the next are told.

A correction never feeds on itself: what is compared with the truth is the estimate before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hetslurm.cluster import Cluster
from hetslurm.controller.cycle import RecordedJob
from hetslurm.controller.decisions import JobKey
from hetslurm.controller.wait_store import Promise, WaitStore
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError
from hetslurm.estimates.calibration import KEPT, Waited, WaitError, earned_correction, wait_error
from hetslurm.estimates.demand import competes

# Snapshots whose corrections are remembered: a job is seen a cycle or two after the one that placed it.
_SNAPSHOTS_KEPT = 64
# A job's first sight this long after its submit is no news: the controller was away.
_NEWS_S = 60.0


@dataclass(frozen=True, slots=True)
class WaitFacts:
    """How estimates of waits are, in all and by pool, and each pool's correction."""

    all: WaitError = field(default_factory=WaitError)
    by_pool: Mapping[str, WaitError] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)


class Waits:
    """One a controller."""

    def __init__(self, store: WaitStore, *, log: Log) -> None:
        self._store = store
        self._log = log
        self._failed = False
        self._seen: set[JobKey] = set()
        self._ended: dict[str, deque[Waited]] = {}
        self._in_force: dict[int, Mapping[str, float]] = {}
        for one in store.waits():
            self._keep(one)
        self._promises = store.promises()
        self.facts = WaitFacts()
        self._judge()

    @property
    def factors(self) -> Mapping[str, float]:
        """What each pool's estimated waits are multiplied by; pools that are not in it: 1."""
        return self.facts.factors

    def follow(self, recorded: Iterable[RecordedJob], cluster: Cluster, generation: int) -> None:
        """Take in what a cycle saw. `generation` is that of the snapshot that it wrote with `factors`."""
        self._in_force[generation] = self.factors
        for old in sorted(self._in_force)[:-_SNAPSHOTS_KEPT]:
            del self._in_force[old]
        now = cluster.read_at
        ended: list[Waited] = []
        made: dict[JobKey, Promise] = {}
        gone: set[JobKey] = set()
        there: set[JobKey] = set()
        for one in recorded:
            there.add(one.key)
            before = self._promises.get(one.key)
            if one.job.state == "PENDING":
                promise, cut = self._pending(one, before, now)
                ended += cut
                if promise is None:
                    gone |= {one.key} & self._promises.keys()
                elif promise != before:
                    made[one.key] = promise
            elif (promise := before or self._unseen(one, now)) is not None:
                ended += _started(one, promise, moved=self._is_new(one, promise))
                gone.add(one.key)
        for key in self._promises.keys() - there:
            gone.add(key)
            ended += _cut(self._promises[key], now)
        self._seen = there
        self._promises = {k: p for k, p in (self._promises | made).items() if k not in gone}
        for wait in ended:
            self._keep(wait)
        if ended or made or gone:
            self._write(ended, made, gone, now)
        if ended:
            self._judge()

    def _pending(
        self, one: RecordedJob, before: Promise | None, now: float
    ) -> tuple[Promise | None, list[Waited]]:
        """The promise that holds for a job that waits, and what became of the one before."""
        if before is not None and not self._is_new(one, before):
            if not before.void and not competes(one.job):
                return before._replace(void=True), []
            if before.slurm_at is None and one.job.start_at is not None:
                return before._replace(slurm_at=one.job.start_at), []
            return before, []
        since = now if before is not None or self._moved_by_us(one) else one.job.submit_at
        return self._promise(one, since), [] if before is None else _cut(before, now)

    @staticmethod
    def _is_new(one: RecordedJob, before: Promise) -> bool:
        """It was placed anew since, or taken back."""
        record = one.record
        return record.state != "placed" or (record.pool, record.gen) != (before.pool, before.generation)

    @staticmethod
    def _moved_by_us(one: RecordedJob) -> bool:
        """The controller placed it, some time after its submit."""
        return '"by":"controller"' in one.job.admin_comment

    def _unseen(self, one: RecordedJob, now: float) -> Promise | None:
        """Of a job that started before any cycle saw it wait."""
        job = one.job
        news = one.key not in self._seen and now - job.submit_at < _NEWS_S
        return self._promise(one, job.submit_at) if news and not self._moved_by_us(one) else None

    def _promise(self, one: RecordedJob, since: float) -> Promise | None:
        record = one.record
        if record.state != "placed" or record.wait_s is None:
            return None
        factor = self._in_force.get(record.gen, self.factors).get(record.pool, 1.0)
        void = one.job.state == "PENDING" and not competes(one.job)
        return Promise(record.pool, record.gen, since, record.wait_s / factor, record.wait_s, void)

    def _keep(self, wait: Waited) -> None:
        self._ended.setdefault(wait.pool, deque(maxlen=KEPT)).append(wait)

    def _judge(self) -> None:
        self.facts = WaitFacts(
            wait_error(wait for waits in self._ended.values() for wait in waits),
            {pool: wait_error(waits) for pool, waits in self._ended.items()},
            {pool: earned_correction(waits) for pool, waits in self._ended.items()},
        )

    def _write(
        self, ended: list[Waited], made: Mapping[JobKey, Promise], gone: set[JobKey], now: float
    ) -> None:
        """A disk that refuses costs what a restart would have remembered, and is said once."""
        try:
            self._store.change(ended, made, gone, now)
        except HetslurmError as error:
            if not self._failed:
                self._log.error("waits are not kept", why=error)
            self._failed = True
            return
        self._failed = False


def _started(one: RecordedJob, promise: Promise, *, moved: bool) -> list[Waited]:
    start = one.job.start_at
    if promise.void or start is None:
        return []
    slurm_s = None if promise.slurm_at is None else max(promise.slurm_at - promise.since, 0.0)
    waited = max(start - promise.since, 0.0)
    return [Waited(promise.pool, start, promise.estimated_s, promise.shown_s, waited, moved, slurm_s)]


def _cut(promise: Promise, now: float) -> list[Waited]:
    if promise.void:
        return []
    waited = max(now - promise.since, 0.0)
    return [Waited(promise.pool, now, promise.estimated_s, promise.shown_s, waited, cut=True)]


def wait_status(facts: WaitFacts) -> dict[str, Any]:
    """For `state_dir/controller.json`."""
    return {
        **_error(facts.all),
        "pools": {
            pool: {"factor": facts.factors.get(pool, 1.0), **_error(error)}
            for pool, error in sorted(facts.by_pool.items())
        },
    }


def _error(error: WaitError) -> dict[str, Any]:
    return asdict(error) | {"slurm_coverage": error.slurm_coverage}

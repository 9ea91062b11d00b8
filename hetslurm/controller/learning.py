"""Learns from the runs that end, in a thread of its own: the history, the run estimator, the table it gives.

The cycle hands over what it saw and takes the newest table; it waits for neither Slurm, nor disk, nor
estimator. At the start the last runs of the store are learnt again, and then, between looks at Slurm, all of
them; half of the time is left to the cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from hetslurm.clock import Clock
from hetslurm.cluster import Cluster
from hetslurm.controller.burst_worker import Worker
from hetslurm.controller.cycle import Plan
from hetslurm.controller.run_feed import Look, RunFeed, source_of
from hetslurm.daemon.log import Log
from hetslurm.errors import HetslurmError, HistoryError
from hetslurm.estimate import RunEstimate
from hetslurm.estimates.runs import RunEstimator
from hetslurm.history import HistoryStore
from hetslurm.runs import Run
from hetslurm.site import Site
from hetslurm.slurm.protocol import SlurmAdapter

_CHUNK = 250
# Estimates are there once the last runs are learnt; they are what counts most. All follow, a slice a look.
LAST_RUNS = 20_000
_SLICE_S = 1.0
_STOP_S = 5.0
# A new table at most so often, and not more than a tenth of the time.
TABLE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class LearningFacts:
    """How learning stands. Times are Unix seconds; `error` is the newest trouble, "" when there is none.

    `stored` runs are in the history, `learnt` were learnt since the start; `ready`: all that are stored have
    been. `rows` are in the newest table, `lost` jobs ended and nobody could tell how.
    """

    source: str = "off"
    stored: int = 0
    learnt: int = 0
    ready: bool = False
    rows: int = 0
    lost: int = 0
    read_at: float | None = None
    read_until: float | None = None
    errors: int = 0
    error: str = ""


class Learning:
    """What the controller knows of runs. Of its methods only `_work` and what it calls are the thread's."""

    def __init__(self, adapter: SlurmAdapter, state_dir: Path, *, log: Log, clock: Clock) -> None:
        self._adapter = adapter
        self._state_dir = state_dir
        self._log = log
        self._clock = clock
        self._stop = Event()
        self._store: HistoryStore | None = None
        self._feed: RunFeed | None = None
        self._estimator: RunEstimator | None = None
        self._fuller: tuple[RunEstimator, Iterator[Run]] | None = None
        self._classes: frozenset[tuple[str, str]] = frozenset()
        self._meanwhile: dict[tuple[int, float], Run] = {}
        self._begun_at = 0.0
        self._stale = False
        self._table_at = float("-inf")
        self._table_took_s = 0.0
        self.table: tuple[RunEstimate, ...] = ()
        self.facts = LearningFacts()
        self.listeners: list[Callable[[Sequence[Run]], None]] = []
        self._worker: Worker[Look] = Worker(self._work, "hetslurm-learning")

    def known(self, site: Site) -> tuple[RunEstimate, ...]:
        """The newest table, where the site uses it."""
        return self.table if site.history.use and site.history.source != "off" else ()

    def follow(self, plan: Plan, cluster: Cluster, site: Site, wait_s: float = 0.0) -> bool:
        """Hand over what a cycle saw. True: it has been worked through (`wait_s` is for tests)."""
        source = source_of(site.history.source, cluster.has_database)
        if source == "off":
            self.facts = LearningFacts()
            return True
        look = Look(
            plan.recorded,
            {pool.name: pool.speed.value for pool in plan.pools},
            source,
            frozenset((pool.kind, pool.type) for pool in plan.pools),
            site.history.keep_runs,
            site.history.keep_days,
        )
        return self._worker.give(look, wait_s)

    def close(self) -> None:
        """Stop where it is; what was not stored is found again at the next start."""
        self._stop.set()
        if self._worker.stop(_STOP_S):
            self._let_go()

    def _work(self, look: Look) -> None:
        try:
            self._learn(look)
        except HetslurmError as error:
            self._failed(look.source, str(error))
            if isinstance(error, HistoryError) and error.damaged:
                self._let_go()  # opened anew, it is set aside
        except Exception as error:  # the controller goes on without, and says so
            self._failed(look.source, f"{type(error).__name__}: {error}")
        else:
            if self.facts.error and self._feed is not None and not self._feed.failures:
                self._log.info("history works again")
                self.facts = replace(self.facts, error="")

    def _failed(self, source: str, text: str) -> None:
        if text != self.facts.error:
            self._log.error("runs not learnt", error=text)
        self.facts = replace(self.facts, source=source, errors=self.facts.errors + 1, error=text)

    def _learn(self, look: Look) -> None:
        store, feed = self._open(look)
        store.keep_runs, store.keep_days = look.keep_runs, look.keep_days
        self.facts = replace(self.facts, source=look.source, stored=store.count)
        if store.was_cut() or self._estimator is None:
            self._begin(store)
        if self._estimator is None:
            return  # stopped on the way
        self._go_on()
        try:
            new = feed.read(look)
            for run in new:
                self._estimator.learn(run)
                if self._fuller is not None:
                    self._meanwhile[run.job_id, run.submit_at] = run
            if new:
                for listener in self.listeners:
                    listener(new)
                self._stale = True
                self._log.info("runs learnt", runs=len(new), stored=store.count)
        finally:
            self.facts = replace(
                self.facts,
                stored=store.count,
                learnt=(self._fuller[0] if self._fuller else self._estimator).learnt,
                lost=feed.lost,
                read_at=feed.read_at,
                read_until=store.read_until(),
            )
            self._publish(look)

    def _open(self, look: Look) -> tuple[HistoryStore, RunFeed]:
        if self._store is None:
            store = HistoryStore(self._state_dir, keep_runs=look.keep_runs, keep_days=look.keep_days)
            self._store = store
            if store.set_aside:
                self._log.warning("history could not be read; begun anew", old=store.set_aside)
        if self._feed is None:
            self._feed = RunFeed(self._adapter, self._store, self._clock, self._stop.is_set)
        return self._store, self._feed

    def _let_go(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = self._feed = self._fuller = None

    def _begin(self, store: HistoryStore) -> None:
        """Learn the last runs; all that are stored are learnt by another one, which takes over in the end."""
        self._estimator, self._fuller, self._meanwhile = None, None, {}
        estimator = RunEstimator()
        self.facts = replace(self.facts, ready=False)
        self._begun_at = self._clock.monotonic()
        if not self._learn_some(estimator, store.runs(last=LAST_RUNS), None):
            return
        self._estimator = estimator
        self._stale = True
        if store.count > LAST_RUNS:
            self._fuller, self._meanwhile = (RunEstimator(), store.runs()), {}
        else:
            self._is_ready(estimator)

    def _go_on(self) -> None:
        """A slice of all that is stored. What is stored meanwhile comes at the end, once."""
        if self._fuller is None:
            return
        estimator, runs = self._fuller
        if self._learn_some(estimator, runs, self._clock.monotonic() + _SLICE_S):
            for run in self._meanwhile.values():
                estimator.learn(run)
            self._estimator, self._fuller = estimator, None
            self._stale = True
            self._is_ready(estimator)

    def _is_ready(self, estimator: RunEstimator) -> None:
        self.facts = replace(self.facts, ready=True)
        seconds = round(self._clock.monotonic() - self._begun_at, 3)
        self._log.info("history learnt", runs=estimator.learnt + estimator.passed_over, seconds=seconds)

    def _learn_some(self, estimator: RunEstimator, runs: Iterator[Run], until: float | None) -> bool:
        """Learn, and rest as long, `until` (monotonic seconds) or the end of `runs`: then True."""
        step = self._clock.monotonic()
        for count, run in enumerate(runs, start=1):
            if (run.job_id, run.submit_at) not in self._meanwhile:
                estimator.learn(run)
            if count % _CHUNK == 0:
                now = self._clock.monotonic()
                if self._stop.wait(min(1.0, max(0.0, now - step))) or (until is not None and now >= until):
                    return False
                step = self._clock.monotonic()
        return True

    def _publish(self, look: Look) -> None:
        """A new table, where something changed."""
        begun = self._clock.monotonic()
        pause = max(TABLE_EVERY_S, 10 * self._table_took_s)
        if not (self._stale or look.classes != self._classes) or self._estimator is None:
            return
        if begun - self._table_at < pause:
            return
        self.table = tuple(self._estimator.table(look.classes, self._clock.now()))
        self._classes, self._stale, self._table_at = look.classes, False, begun
        self._table_took_s = self._clock.monotonic() - begun
        self.facts = replace(self.facts, rows=len(self.table))


def learning_status(facts: LearningFacts) -> dict[str, Any] | None:
    """For the controller's status file; None where nothing is learnt."""
    if facts.source == "off":
        return None
    return {
        "source": facts.source,
        "runs": facts.stored,
        "learnt": facts.learnt,
        "ready": facts.ready,
        "rows": facts.rows,
        "lost": facts.lost,
        "read_at": facts.read_at,
        "read_until": facts.read_until,
        "errors": facts.errors,
        "error": facts.error or None,
    }

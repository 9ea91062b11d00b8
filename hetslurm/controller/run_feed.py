"""Finds the runs that ended, once each: in slurmdbd, or in what slurmctld still remembers.

Both ways bring the last minutes again at each look, and the store knows what it has. What ended while the
controller was away is found by both: by slurmdbd as far back as need be, by slurmctld for MinJobAge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from hetslurm.clock import Clock
from hetslurm.cluster import QueuedJob
from hetslurm.controller.cycle import RecordedJob
from hetslurm.errors import SlurmError
from hetslurm.history import Followed, HistoryStore
from hetslurm.runs import Run
from hetslurm.slurm.ended import EndedJob, run_of
from hetslurm.slurm.protocol import SlurmAdapter

DAY_S = 86400.0
# Slurm is asked when a job is gone, and so often though none is.
ASK_EVERY_S = 60.0
ASK_AFTER_S = {"sacct": 5.0, "observed": 2.0}
# slurmctld may bring slurmdbd what ended earlier: so much is read again, at a start, and every SWEEP_EVERY_S.
OVERLAP_S = 600.0
START_OVERLAP_S = 3600.0
SWEEP_S, SWEEP_EVERY_S = 2 * DAY_S, 6 * 3600.0
# How far a new history looks back.
FIRST_LOOK_S = 30 * DAY_S
# Windows of the past grow while they hold few runs, and shrink when they hold many.
WINDOW_S, LEAST_WINDOW_S, MOST_WINDOW_S = 3600.0, 300.0, 8 * DAY_S
FEW, MANY = 2000, 20_000
# After so long no more will be heard of a job that is gone.
GIVE_UP_S = {"sacct": 900.0, "observed": 60.0}
_ON_NODES = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "CONFIGURING", "STOPPED"})

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Look:
    """What one cycle saw: jobs with a record, the speeds of pools by name, device classes (kind, type)."""

    recorded: tuple[RecordedJob, ...]
    speeds: Mapping[str, float]
    source: str
    classes: frozenset[tuple[str, str]] = frozenset()
    keep_runs: int = 1_000_000
    keep_days: float = 730.0


@dataclass(slots=True)
class RunFeed:
    """Follows one cluster's runs into one store.

    `lost` counts jobs whose end nobody could tell, `failures` the looks in a row that failed until now.
    """

    adapter: SlurmAdapter
    store: HistoryStore
    clock: Clock
    stopping: Callable[[], bool] = lambda: False
    lost: int = 0
    read_at: float | None = None
    failures: int = 0
    _followed: dict[Key, Followed] = field(default_factory=dict)
    _missing: dict[Key, float] = field(default_factory=dict)
    _here: frozenset[Key] = frozenset()
    _seen: set[Key] = field(default_factory=set)
    _asked_at: float = float("-inf")
    _took_s: float = 0.0
    _swept_at: float = float("-inf")
    _failed_at: float = float("-inf")
    _held: bool = False
    _back_at: float | None = None
    _window_s: float = WINDOW_S
    _caught_up: bool = False

    def __post_init__(self) -> None:
        self._followed = {(one.job_id, one.submit_at): one for one in self.store.followed()}

    def read(self, look: Look) -> list[Run]:
        """Runs that are new to the store, in the order of their ends. SlurmError, HistoryError: try later."""
        here = {(one.key.job_id, one.key.submit_at): one for one in look.recorded}
        running = {key: one for key, one in here.items() if one.job.state in _ON_NODES}
        vanished = bool(self._here - here.keys())
        self._here = frozenset(here)
        self._follow(running, look.speeds)
        now = self.clock.monotonic()
        for key in self._followed.keys() - running.keys():
            self._missing.setdefault(key, now)
        if not self._is_due(look.source, now, vanished=vanished):
            return []
        self._asked_at = now
        try:
            in_database = look.source == "sacct"
            found = self._from_database(look) if in_database else self._from_controller(look, here)
        except SlurmError:
            self._failed_at, self._held, self._back_at = self.clock.monotonic(), True, None
            self.failures += 1
            self._missing = dict.fromkeys(self._missing, now)
            raise
        finally:
            self._took_s = self.clock.monotonic() - now
        self.failures = 0
        self.read_at = self.clock.now()
        self._give_up(look.source)
        return found

    def _is_due(self, source: str, now: float, *, vanished: bool) -> bool:
        since = now - self._asked_at
        if self.failures:
            pause = ASK_AFTER_S[source] * 2.0 ** min(self.failures - 1, 8)
            return now - self._failed_at >= min(ASK_EVERY_S, pause)
        if since >= ASK_EVERY_S or not self._caught_up:
            return True
        # A look that takes long is not taken all the time.
        return (vanished or bool(self._missing)) and since >= max(ASK_AFTER_S[source], 10 * self._took_s)

    def _follow(self, running: Mapping[Key, RecordedJob], speeds: Mapping[str, float]) -> None:
        new = [
            Followed(*key, speeds.get(one.record.pool, 1.0), render_running(one.job))
            for key, one in running.items()
            if key not in self._followed
        ]
        if new:
            self.store.follow(new)
            self._followed |= {(one.job_id, one.submit_at): one for one in new}

    def _from_database(self, look: Look) -> list[Run]:
        """Window after window, up to now; each is stored with how far it reached."""
        now = self.clock.now()
        until = self.store.read_until()
        if until is None:
            begin = now - min(look.keep_days * DAY_S, FIRST_LOOK_S)
        else:
            begin = min(until, now) - (OVERLAP_S if self._caught_up else START_OVERLAP_S)
        if not self._caught_up:
            self._swept_at = self.clock.monotonic()
        elif self.clock.monotonic() - self._swept_at >= SWEEP_EVERY_S:
            self._swept_at = self.clock.monotonic()
            begin = min(begin, now - SWEEP_S)
        held = until if self._is_held() else None
        new: list[Run] = []
        seen: set[Key] = set()
        while begin < now and not self.stopping():
            end = min(begin + self._window_s, now)
            jobs = self.adapter.ended_between(begin, end)
            reached = end if held is None else min(end, held)
            new += self._store(jobs, look.speeds, max(reached, until or 0.0))
            seen |= {_key(job) for job in jobs if job.start_at + job.run_s >= now - 2 * OVERLAP_S}
            self._window_s = _next_window(self._window_s, len(jobs))
            begin = end
        if begin >= now:
            self._seen = seen
            self._caught_up = True
        return new

    def _is_held(self) -> bool:
        """slurmctld has not told slurmdbd all yet when that is back: for a while, what it brings is late."""
        if self._held:
            now = self.clock.monotonic()
            self._back_at = now if self._back_at is None else self._back_at
            self._held = now - self._back_at < OVERLAP_S
        return self._held

    def _from_controller(self, look: Look, here: Mapping[Key, RecordedJob]) -> list[Run]:
        jobs = list(self.adapter.ended_lately())
        seen = {_key(job) for job in jobs}
        again = dict(here.keys())
        for key in self._missing:
            job_id, submit_at = key
            if key not in seen and again.get(job_id, 0) > submit_at:
                jobs.append(requeued(self._followed[key], again[job_id]))
        new = self._store(jobs, look.speeds, None)
        self._seen = seen
        self._caught_up = True
        return new

    def _store(
        self, jobs: Iterable[EndedJob], speeds: Mapping[str, float], read_until: float | None
    ) -> list[Run]:
        runs = []
        for job in jobs:
            key = _key(job)
            run = None if key in self._seen else run_of(job)
            if run is not None:
                followed = self._followed.get(key)
                speed = followed.speed if followed else speeds.get(run.pool, 1.0)
                runs.append(replace(run, speed=speed))
        runs.sort(key=lambda run: run.end_at)
        new = self.store.add(runs, now=self.clock.now(), read_until=read_until)
        for run in runs:
            self._drop((run.job_id, int(run.submit_at)))
        return new

    def _give_up(self, source: str) -> None:
        """Of those that are gone for long nobody will tell: they are forgotten."""
        now = self.clock.monotonic()
        gone = [key for key, since in self._missing.items() if now - since >= GIVE_UP_S[source]]
        if gone:
            self.store.follow([], gone)
            self.lost += len(gone)
            for key in gone:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        self._followed.pop(key, None)
        self._missing.pop(key, None)


def source_of(configured: str, has_database: bool) -> str:
    """ "sacct" or "observed": what `auto` means here."""
    if configured != "auto":
        return configured
    return "sacct" if has_database else "observed"


def render_running(job: QueuedJob) -> str:
    """A job that runs, as JSON, from which `requeued` can make a run."""
    seen = EndedJob(
        job_id=job.job_id,
        submit_at=job.submit_at,
        start_at=job.start_at or job.submit_at,
        run_s=0.0,
        state=job.state,
        exit_code=0,
        user=job.user,
        account=job.account,
        partition=job.partition,
        nodes=job.nodes,
        cpus=job.cpus,
        limit_min=job.time_limit_min,
        node_names=job.node_names,
        devices={gres.name: gres.count * job.nodes for gres in job.gres},
        energy_j=None,
        admin_comment=job.admin_comment,
    )
    return msgspec.json.encode(seen).decode()


def requeued(followed: Followed, submit_at: int) -> EndedJob:
    """The run of a job that Slurm has since submitted anew, at `submit_at`: that is when the run ended."""
    job = msgspec.json.decode(followed.job, type=EndedJob)
    return replace(job, state="REQUEUED", run_s=max(0.0, submit_at - job.start_at))


def _next_window(window_s: float, found: int) -> float:
    if found > MANY:
        return max(LEAST_WINDOW_S, window_s / 2)
    return min(MOST_WINDOW_S, window_s * 2) if found < FEW else window_s


def _key(job: EndedJob) -> Key:
    return job.job_id, int(job.submit_at)

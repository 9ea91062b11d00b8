"""The life of recorded jobs, seen from the queue: submitted, placed, started, requeued, finished."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hetslurm.clock import Clock
from hetslurm.controller.cycle import RecordedJob
from hetslurm.controller.decisions import JobKey
from hetslurm.controller.event import Event, What
from hetslurm.controller.events import EventLog
from hetslurm.daemon.log import Log
from hetslurm.errors import SlurmError, SlurmUnavailable
from hetslurm.runs import Run
from hetslurm.slurm.protocol import SlurmAdapter
from hetslurm.slurm.record import Record

WAITING_STATES = frozenset({"PENDING"})
# What runs; everything else is over, or on its way there.
RUNNING_STATES = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "CONFIGURING", "RESIZING", "SIGNALING"})
ENDING_STATES = frozenset({"COMPLETING", "STAGE_OUT"})
_APP = re.compile(r"(?:^|[;,])app=([^;,]+)")
RUNS_WAITING = 100_000
# How long an end that slurmctld has forgotten may still come from the history.
FORGOTTEN_S = 120.0
# Slurm's own times of one instant differ by the second.
SLACK_S = 2.0


@dataclass(slots=True)
class _Life:
    """A life whose job is in the queue, as the last cycle saw it."""

    key: JobKey
    one: RecordedJob


class Lives:
    """Compares each cycle's queue with what it saw before, and tells the event log what changed.

    A job that is requeued gets a new submit time from Slurm and stays the same life here.
    """

    def __init__(self, adapter: SlurmAdapter, events: EventLog, *, log: Log, clock: Clock) -> None:
        self._adapter = adapter
        self._events = events
        self._log = log
        self._clock = clock
        self._last: dict[JobKey, What] = events.lives()
        self._queue: dict[int, _Life] = {}  # of the last cycle, by job id
        # Lives that are not over and not in the queue: all at the start.
        self._away: dict[JobKey, RecordedJob | None] = dict.fromkeys(self._last)
        self._gone_at: dict[JobKey, float] = {}
        self._ended_runs: deque[Run] = deque(maxlen=RUNS_WAITING)

    def take_runs(self, runs: Sequence[Run]) -> None:
        """Runs that the history found to be over: those that no cycle saw are told of, too. Any thread."""
        self._ended_runs.extend(runs)

    def follow(self, jobs: Sequence[RecordedJob], *, until: float) -> None:
        """Tell what happened since the last cycle; `until` (monotonic seconds) bounds the reading back."""
        events: list[Event] = []
        queue: dict[int, _Life] = {}
        away = {key.job_id: key for key in self._away}
        for one in jobs:
            job = one.job
            life = self._queue.get(job.job_id)
            if life is None:
                key = one.key if one.key in self._away else away.get(job.job_id, one.key)
                life = _Life(key, one)
                events += self._steps(key, self._away.pop(key, None), one)
                self._gone_at.pop(key, None)
            elif life.one.job.state != job.state or life.one.record.res != one.record.res:
                events += self._steps(life.key, life.one, one)
            life.one = one
            queue[job.job_id] = life
        self._away |= {life.key: life.one for job_id, life in self._queue.items() if job_id not in queue}
        self._queue = queue
        events += self._from_runs()
        events += self._ended(until)
        self._events.add(sorted(events, key=lambda event: event.at))

    def _over(self, key: JobKey) -> None:
        for kept in (self._last, self._away, self._gone_at):
            kept.pop(key, None)

    def _steps(self, key: JobKey, before: RecordedJob | None, one: RecordedJob) -> Iterator[Event]:
        job, record = one.job, one.record
        last = self._last.get(key)
        if last is None:
            last = self._last[key] = What.SUBMITTED
            yield from _begun(key, one)
        yield from self._moved_by_money(key, before, one)
        if job.state in RUNNING_STATES and last is not What.STARTED:
            self._last[key] = What.STARTED
            more = {"nodes": list(job.node_names), **_place(record)}
            yield self._event(key, one, job.start_at or self._clock.now(), What.STARTED, "", more)
        elif job.state in WAITING_STATES and last is What.STARTED:
            self._last[key] = What.REQUEUED
            why = f"Slurm has it waiting again: {job.reason or 'no reason'}"
            yield self._event(key, one, self._clock.now(), What.REQUEUED, why)

    def _moved_by_money(self, key: JobKey, before: RecordedJob | None, one: RecordedJob) -> Iterator[Event]:
        """Burst writes the reservation of a job that leaves into its record, and takes it out again."""
        if before is None or before.record.res == one.record.res:
            return
        facts = {**_place(one.record), "res": one.record.res}
        if one.record.res is not None:
            why = f"its money is set aside: reservation {one.record.res}"
            yield self._event(key, one, self._clock.now(), What.SPILLED, why, facts)
        else:
            why = one.record.why or f"reservation {before.record.res} is let go of"
            yield self._event(key, one, self._clock.now(), What.CAME_HOME, why, _place(one.record))

    def _from_runs(self) -> Iterator[Event]:
        """The ends, and the lives, of jobs that came and went between two cycles."""
        lives = {key.job_id: key for key in self._away}
        while self._ended_runs:
            run = self._ended_runs.popleft()
            key = lives.get(run.job_id, JobKey(run.job_id, int(run.submit_at)))
            if run.job_id in self._queue or self._events.finished(run.job_id, run.end_at - SLACK_S):
                continue
            about: dict[str, object] = {"user": run.user, "account": run.account, "app": run.app}
            place = {"target": run.target, "pool": run.pool, "partition": run.partition}
            last, one = self._last.get(key), self._away.get(key)
            self._over(key)
            about |= facts_about(one) if one else {}
            task = task_of(one)
            if last is None:
                yield Event(key, run.submit_at, What.SUBMITTED, "", task, about)
                yield Event(key, run.submit_at, What.PLACED, "", task, about | place)
            if last is not What.STARTED:
                nodes = {"nodes": list(run.node_names)}
                yield Event(key, run.start_at, What.STARTED, "", task, about | nodes | place)
            facts = about | {"state": run.ending.upper(), "run_s": run.run_s, "exit_code": run.exit_code}
            yield Event(key, run.end_at, What.FINISHED, _words(run.ending), task, facts)

    def _ended(self, until: float) -> list[Event]:
        """Those that are in the queue no more, read back while there is time."""
        found: list[Event] = []
        for key in tuple(self._away):
            if self._clock.monotonic() > until:
                break
            try:
                events = self._read_end(key)
            except SlurmUnavailable:
                break
            except SlurmError:
                events = self._forgotten(key)
            if events:
                self._over(key)
            found += events
        return found

    def _forgotten(self, key: JobKey) -> list[Event]:
        """It ended somehow, some time before now, unless the history tells soon."""
        now = self._clock.monotonic()
        if now - self._gone_at.setdefault(key, now) < FORGOTTEN_S:
            return []
        one = self._away.get(key)
        facts = (facts_about(one) if one else {}) | {"state": "UNKNOWN"}
        return [Event(key, self._clock.now(), What.FINISHED, "Slurm has forgotten how", task_of(one), facts)]

    def _read_end(self, key: JobKey) -> list[Event]:
        """Its start, where no cycle saw that, and its end; nothing while it is not over."""
        one = self._away.get(key)
        job = self._adapter.read_job(key.job_id).job
        if job.state in RUNNING_STATES | ENDING_STATES | WAITING_STATES:
            return []
        about: dict[str, object] = facts_about(one) if one else {"user": job.user}
        found = []
        end_at = job.end_at or self._clock.now()
        ran = job.start_at is not None and bool(job.node_names)
        if ran and self._last[key] is not What.STARTED:
            more = {"nodes": list(job.node_names)} | (_place(one.record) if one else {})
            found.append(Event(key, job.start_at or end_at, What.STARTED, "", task_of(one), about | more))
        facts = about | {"state": job.state}
        if ran and job.start_at is not None:
            facts["run_s"] = round(end_at - job.start_at, 3)
        return [*found, Event(key, end_at, What.FINISHED, _words(job.state), task_of(one), facts)]

    def _event(
        self,
        key: JobKey,
        one: RecordedJob,
        at: float,
        what: What,
        why: str,
        more: dict[str, object] | None = None,
    ) -> Event:
        return Event(key, at, what, why, task_of(one), facts_about(one) | (more or {}))


def _begun(key: JobKey, one: RecordedJob) -> Iterator[Event]:
    """The first steps, which the plugin took inside slurmctld."""
    record, at = one.record, float(key.submit_at)
    about, task = facts_about(one), task_of(one)
    yield Event(key, at, What.SUBMITTED, "", task, about)
    if record.is_held:
        yield Event(key, at, What.HELD, record.why or "it waits for the controller", task, about)
    elif record.by != "controller":
        yield Event(key, at, What.PLACED, _why_placed(record), task, about | _place(record))


def facts_about(one: RecordedJob) -> dict[str, object]:
    """What every event of a job holds: user, name, account, app, and the array that it is of."""
    job = one.job
    app = _APP.search(one.record.het)
    facts: dict[str, object] = {"user": job.user, "name": job.name, "account": job.account}
    facts["app"] = app[1] if app else ""
    if job.array_job_id is not None:
        facts["array"] = job.array_job_id
    return {key: value for key, value in facts.items() if value != ""}


def task_of(one: RecordedJob | None) -> str:
    """The array's task (or tasks) that a job is, "" for one that is of no array."""
    return one.job.array_task if one is not None and one.job.array_job_id is not None else ""


def _place(record: Record) -> dict[str, object]:
    found = {
        "target": record.target,
        "pool": record.pool,
        "partition": record.partition,
        "score": record.score,
        "wait_s": record.wait_s,
        "run_s": record.run_s,
        "money": record.money,
        "generation": record.gen,
    }
    return {key: value for key, value in found.items() if value not in (None, "")}


def _why_placed(record: Record) -> str:
    if record.state == "ordered":
        return "the plugin had a stale snapshot: its author's order of targets decided"
    return f"the plugin scored it best of what was open, generation {record.gen}"


def _words(state: str) -> str:
    return state.lower().replace("_", " ")

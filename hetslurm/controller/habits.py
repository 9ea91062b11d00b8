"""Learns what share of their limits jobs use, from all jobs that leave the queue, hetslurm's and others'.

What is lost is learned again in a day: the file is written now and then, and one that cannot be read is said
and begun anew.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import msgspec

from hetslurm.clock import Clock
from hetslurm.cluster import UNLIMITED, Cluster, QueuedJob
from hetslurm.daemon.log import Log
from hetslurm.estimates.usage import CLASSES, Usage

_VERSION = 1
_SAVE_EVERY_S = 60.0
# A job that left while nobody looked for longer than this may have ended at any time.
_BLIND_S = 30.0


class _Running(NamedTuple):
    user: str
    limit_s: float


class _Stored(msgspec.Struct):
    """`state_dir/usage.json`."""

    version: int
    everybody: list[float]
    users: dict[str, list[float]]


class Habits:
    """One a controller."""

    def __init__(self, state_dir: Path, *, log: Log, clock: Clock) -> None:
        self._path = state_dir / "usage.json"
        self._log = log
        self._clock = clock
        self._running: dict[tuple[int, float], _Running] = {}
        self._read_at = 0.0
        self._saved_at = clock.monotonic()
        self._dirty = False
        self._failed = False
        self.usage = self._load()

    def follow(self, cluster: Cluster) -> None:
        """Take in what a cycle saw: jobs that ran in the last one and do not any more have ended."""
        running: dict[tuple[int, float], _Running] = {}
        waiting = {job.job_id for job in cluster.jobs if job.state == "PENDING"}
        ended = {job.job_id: job.end_at for job in cluster.jobs if job.state == "COMPLETING"}
        for job in cluster.jobs:
            if job.state == "RUNNING" and job.start_at is not None and _is_limited(job):
                running[job.job_id, job.start_at] = _Running(job.user, 60.0 * (job.time_limit_min or 0))
        seeing = cluster.read_at - self._read_at < _BLIND_S
        for key in self._running.keys() - running.keys():
            job_id, start_at = key
            if job_id in waiting:  # requeued: how long it would have run is not known
                continue
            end_at = ended.get(job_id)
            if end_at is None and not seeing:
                continue
            used = (end_at or (self._read_at + cluster.read_at) / 2.0) - start_at
            self.usage.learn(self._running[key].user, max(used, 0.0), self._running[key].limit_s)
            self._dirty = True
        self._running, self._read_at = running, cluster.read_at
        if self._dirty and self._clock.monotonic() - self._saved_at >= _SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write what was learned. A disk that refuses is said once."""
        if not self._dirty:
            return
        self._saved_at = self._clock.monotonic()
        stored = _Stored(_VERSION, self.usage.everybody, dict(self.usage.users))
        fresh = self._path.with_suffix(".json.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(fresh, flags, 0o640), "wb") as out:
                out.write(msgspec.json.encode(stored))
            fresh.replace(self._path)
        except OSError as error:
            if not self._failed:
                self._log.error("what jobs use of their limits is not kept", file=self._path, why=error)
            self._failed = True
            return
        self._dirty = self._failed = False

    def _load(self) -> Usage:
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            return Usage()
        except (OSError, ValueError) as error:
            self._log.warning("what jobs use of their limits is learned anew", file=self._path, why=error)
            return Usage()
        rows = [stored.everybody, *stored.users.values()]
        if stored.version != _VERSION or any(len(row) != CLASSES for row in rows):
            self._log.warning("what jobs use of their limits is learned anew: another version wrote it")
            return Usage()
        return Usage(stored.everybody, OrderedDict(stored.users))


def _is_limited(job: QueuedJob) -> bool:
    return job.time_limit_min is not None and 0 < job.time_limit_min < UNLIMITED

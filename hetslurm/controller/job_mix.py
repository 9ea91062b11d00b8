"""The recent mix: the last jobs that carried hetslurm's record, and where each could run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.controller.cycle import RecordedJob, wants_only_cloud
from hetslurm.controller.decisions import JobKey
from hetslurm.errors import DirectiveError, HetslurmError
from hetslurm.estimates.shadow import Options
from hetslurm.native import kernel, parser
from hetslurm.native.layout import REASONS, name_hash
from hetslurm.slurm.asked import asked_of, since_submit
from hetslurm.slurm.record import parse_record

# Reasons that may pass (a node that is down, a deadline) say nothing about where a job belongs.
_LASTING = np.uint32(sum(1 << bit for bit, (_, soft, _) in enumerate(REASONS) if not soft))
_CPU = name_hash("cpu")


@dataclass(frozen=True, slots=True)
class Seen:
    """A job of the mix. `count`: the most tasks that it had at once, of an array that is not split."""

    one: RecordedJob
    count: int


class JobMix:
    """Remembers jobs in the order in which they were first seen; the oldest go first."""

    def __init__(self, seen: Iterable[QueuedJob] = ()) -> None:
        """`seen`: jobs that an earlier controller saw."""
        self._seen: dict[JobKey, Seen] = {}
        for job in seen:
            record = parse_record(job.admin_comment)
            if record is not None:
                one = RecordedJob(job, record)
                self._seen[one.key] = Seen(one, max(1, job.tasks))

    def see(self, recorded: Iterable[RecordedJob], most: int) -> None:
        """Take note of jobs that are there now; keep the last `most`."""
        new = sorted(
            (one for one in recorded if self._is_new(one) and not wants_only_cloud(one.record)),
            key=lambda one: (one.job.submit_at, one.job.job_id),
        )
        for one in new:
            # What is kept for long is kept small: where it runs now does not matter.
            job = replace(one.job, node_names=(), name="")
            self._seen[one.key] = Seen(RecordedJob(job, one.record), max(1, one.job.tasks))
        while len(self._seen) > most:
            del self._seen[next(iter(self._seen))]

    def _is_new(self, one: RecordedJob) -> bool:
        """Neither seen, nor a task of an array that was seen whole."""
        array = one.job.array_job_id
        whole = one.key if array is None else JobKey(array, one.key.submit_at)
        return one.key not in self._seen and whole not in self._seen

    def jobs(self) -> tuple[Seen, ...]:
        """Everything that is remembered, oldest first."""
        return tuple(self._seen.values())


def options_of(seen: Iterable[Seen], view: kernel.View, cluster: Cluster) -> tuple[list[Options], float]:
    """Where the jobs of a mix could run, by the kernel's own filters and run times, and when the first came.

    The second value is Unix seconds, infinity without any job. Jobs that can run nowhere, or whose request
    cannot be read any more, are left out.
    """
    found, first = [], np.inf
    for each in seen:
        try:
            options = _options(each, view, cluster)
        except (HetslurmError, DirectiveError, ValueError):
            continue
        if len(options.pool):
            found.append(options)
            first = min(first, each.one.job.submit_at)
    return found, float(first)


def _options(seen: Seen, view: kernel.View, cluster: Cluster) -> Options:
    job, record = seen.one.job, seen.one.record
    request = parser.parse(None, record.het.encode())
    if request is None:
        raise ValueError("its record holds no request")
    asked = asked_of(job, record.pins, cluster)
    author, nodes, row, alts = kernel.resolve(
        view, since_submit(request, job.submit_at), asked, int(job.submit_at)
    )
    terms, _ = kernel.explain(view, row, alts, kernel.admit(view, author, [nodes])[0])
    alt, pool = np.nonzero(terms["reasons"] & _LASTING == 0)
    per_node = np.where(alts["kind"] == _CPU, alts["cpus"], alts["devices"])
    units = (per_node * alts["nodes"]).astype(np.float64)
    return Options(pool.astype(np.int64), units[alt], terms["run_s"][alt, pool], float(seen.count))


def as_named(prices: Iterable[float], names: Iterable[str]) -> Mapping[str, float]:
    """Prices by pool."""
    return {name: round(float(price), 9) for name, price in zip(names, prices, strict=True)}

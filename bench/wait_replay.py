"""Estimated waits against replayed truth: a log's jobs through EASY backfill, and what was expected of each.

    python -m bench.wait_replay LOG.swf[.gz] [--procs N] [--every K] [--half first|second|both]

Each job's run is cut at its request, and EASY (bench/easy.py) says when it would have started. At every K-th
submit the wait estimator sees the jobs that run and wait at that instant, and nothing later, in four ways:
with requests alone (what Slurm's backfill knows: `squeue --start`), with run estimates of users as the
controller learns them, with the share of their requests that users' jobs use, and with both. Of each, the
wait of the job's size and length class at submit is taken, bare and corrected, and the job's own expected
start. The error is
the median |ln(estimate / truth)|, both at least 10 s, over the jobs that waited longer than that.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil, log
from pathlib import Path
from statistics import median
from typing import Any

from bench.easy import Job, Pool, replay
from hetslurm.cluster import Cluster, Node, Partition, QueuedJob
from hetslurm.estimates import plan_waits
from hetslurm.estimates.calibration import FLOOR_S, KEPT, Waited, earned_correction, log_ratio
from hetslurm.estimates.runs import RunEstimator, RunQuestion
from hetslurm.estimates.usage import Usage
from hetslurm.inventory import derive_pools
from hetslurm.pool import WAIT_LENGTHS, WAIT_LENGTHS_MIN, WAIT_SIZES
from hetslurm.runs import Ending, Run
from hetslurm.site import Site
from hetslurm.workloads.swf import SwfLog

WAYS = ("requests", "runs", "usage", "both")


def read_jobs(path: Path, procs: int) -> list[Job]:
    """The log's jobs that have a size; a run is at most what was asked for."""
    jobs = []
    for one in SwfLog(path):
        size = one.procs_requested or one.procs or 0
        if size <= 0 or one.run_s is None or one.run_s < 0:
            continue
        limit_s = one.time_requested_s or max(one.run_s, 1.0)
        run_s = min(one.run_s, limit_s)
        jobs.append(Job(one.job, one.submit_s, run_s, limit_s, min(size, procs), str(one.user)))
    return jobs


@dataclass(slots=True)
class Foreseen:
    """One job's waits, seconds, at its submit: the truth, and by way its class's estimate and its own.

    `corrected` is the class's, multiplied by what the waits that had ended by then say.
    """

    at: float
    truth_s: float
    by_class: dict[str, float] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)
    corrected: dict[str, float] = field(default_factory=dict)


def correct(seen: Sequence[Foreseen]) -> None:
    """Fill in `corrected`, in the order of submits."""
    ends = sorted(range(len(seen)), key=lambda n: seen[n].at + seen[n].truth_s)
    for way in WAYS:
        ended: deque[Waited] = deque(maxlen=KEPT)
        known = 0
        for one in seen:
            while known < len(ends) and seen[ends[known]].at + seen[ends[known]].truth_s <= one.at:
                past = seen[ends[known]]
                estimate = past.by_class[way]
                ended.append(Waited("", past.at + past.truth_s, estimate, estimate, past.truth_s))
                known += 1
            one.corrected[way] = one.by_class[way] * earned_correction(ended)


class Watcher:
    """Follows a replay, learns from ends, and notes what was expected at submits."""

    def __init__(self, procs: int, truth: dict[int, float], chosen: set[int]) -> None:
        self._procs = procs
        self._truth = truth
        self._chosen = chosen
        self._runs = RunEstimator()
        self._usage = Usage()
        self._expected: dict[int, float | None] = {}
        self.seen: list[Foreseen] = []

    def submit(self, pool: Pool, job: Job, now: float) -> None:
        """See the pool at a submit."""
        question = RunQuestion(now, "cpu", user=job.user, units=job.procs, limit_s=job.limit_s)
        answer = self._runs.estimate(question)
        self._expected[job.job_id] = answer.mean_s if answer.n else None
        if job.job_id not in self._chosen:
            return
        seen = Foreseen(now, self._truth[job.job_id] - now)
        for way in WAYS:
            usage = self._usage if way in {"usage", "both"} else None
            cluster = self._cluster(pool, now, with_runs=way in {"runs", "both"})
            pools = derive_pools(cluster, Site())
            waits = plan_waits(pools, cluster, usage=usage).pools[0].wait_s
            seen.by_class[way] = waits[self._class_of(job)]
            mine = self._queued(job, with_runs=way in {"runs", "both"})
            with_me = replace(cluster, jobs=(*cluster.jobs, mine))
            seen.own[way] = plan_waits(pools, with_me, usage=usage).starts[job.job_id]
        self.seen.append(seen)

    def end(self, pool: Pool, job: Job, now: float) -> None:
        """Learn from a job that ended."""
        del pool
        ending = Ending.COMPLETED if job.run_s < job.limit_s else Ending.TIMEOUT
        self._runs.learn(
            Run(
                job.job_id,
                job.submit_at,
                now - job.run_s,
                job.run_s,
                ending,
                job.user,
                "cpu",
                units=job.procs,
                limit_s=job.limit_s,
            )
        )
        self._usage.learn(job.user, job.run_s, job.limit_s)

    def _class_of(self, job: Job) -> int:
        size = next(k for k in range(WAIT_SIZES) if job.procs <= self._procs * 2.0 ** (k + 1 - WAIT_SIZES))
        lengths = [n for n, bound in enumerate(WAIT_LENGTHS_MIN) if job.limit_s <= 60.0 * bound]
        return size * WAIT_LENGTHS + (lengths[0] if lengths else WAIT_LENGTHS - 1)

    def _cluster(self, pool: Pool, now: float, *, with_runs: bool) -> Cluster:
        """One node of all processors: this log's jobs may be anywhere."""
        running = [
            replace(
                self._queued(job, with_runs=with_runs),
                state="RUNNING",
                start_at=start,
                end_at=start + job.limit_s,
                node_names=("n",),
            )
            for job, start in pool.running.values()
        ]
        waiting = [self._queued(job, with_runs=with_runs) for job in pool.queue]
        taken = self._procs - pool.free
        node = Node("n", self._procs, 1 << 20, frozenset({"IDLE"}), cpus_allocated=taken)
        part = (Partition("p", ("n",)),)
        return Cluster("replay", (22, 5, 8), now, (node,), part, (*running, *waiting))

    def _queued(self, job: Job, *, with_runs: bool) -> QueuedJob:
        return QueuedJob(
            job_id=job.job_id,
            state="PENDING",
            partition="p",
            user=job.user,
            nodes=1,
            cpus=job.procs,
            mem_mb_per_node=0,
            time_limit_min=max(1, ceil(job.limit_s / 60.0)),
            priority=1,
            submit_at=job.submit_at,
            start_at=None,
            end_at=None,
            predicted_run_s=self._expected.get(job.job_id) if with_runs else None,
        )


def foresee(jobs: Sequence[Job], procs: int, chosen: set[int]) -> list[Foreseen]:
    """Replay twice: for the truth, and for what is expected at the submits of `chosen` jobs."""
    watcher = Watcher(procs, replay(jobs, procs), chosen)
    replay(jobs, procs, on_submit=watcher.submit, on_end=watcher.end)
    return watcher.seen


def replayed(jobs: Sequence[Job], procs: int) -> dict[str, float]:
    """What the replay itself comes to, to compare with others' (bounded slowdown with 10 s)."""
    starts = replay(jobs, procs)
    flows = [(starts[job.job_id] - job.submit_at + job.run_s, job.run_s) for job in jobs]
    return {
        "mean_bounded_slowdown": sum(max(1.0, flow / max(10.0, run)) for flow, run in flows) / len(flows),
        "mean_flow_s": sum(flow for flow, _ in flows) / len(flows),
    }


def figures(seen: Sequence[Foreseen]) -> dict[str, Any]:
    """By way: median error, bias (median ln(estimate/truth)) and the share within a factor of two."""
    waited = [one for one in seen if one.truth_s > FLOOR_S]
    found: dict[str, Any] = {"jobs": len(seen), "waited": len(waited)}
    for name in ("by_class", "corrected", "own"):
        for way in WAYS:
            off = [log_ratio(getattr(one, name)[way], one.truth_s) for one in waited]
            everyone = [abs(log_ratio(getattr(one, name)[way], one.truth_s)) for one in seen]
            found[f"{name}_{way}"] = {
                "error": median(abs(one) for one in off),
                "bias": median(off),
                "within_2": sum(abs(one) <= log(2.0) for one in off) / len(off),
                "error_all_jobs": median(everyone),
            }
    return found


def main() -> None:
    """Replay and print."""
    parser = argparse.ArgumentParser(prog="bench.wait_replay", description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--procs", type=int, default=100)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--half", choices=("first", "second", "both"), default="both")
    options = parser.parse_args()
    jobs = read_jobs(options.log, options.procs)
    order = [job.job_id for job in sorted(jobs, key=lambda job: (job.submit_at, job.job_id))]
    middle = len(order) // 2
    part = {"first": order[:middle], "second": order[middle:], "both": order}[options.half]
    seen = foresee(jobs, options.procs, set(part[:: options.every]))
    correct(seen)
    print(json.dumps({"replay": replayed(jobs, options.procs), **figures(seen)}, indent=2))


if __name__ == "__main__":
    main()

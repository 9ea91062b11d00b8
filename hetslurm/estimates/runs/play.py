"""Plays finished jobs through the estimator in the order of their submits, and scores what it said.

At a submit the estimator knows the runs that had ended by then and no other: each run waits in a heap until
the clock of the log passes its end.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isnan

import numpy as np

from hetslurm.estimates.runs.estimator import RunEstimator
from hetslurm.estimates.runs.question import RunQuestion
from hetslurm.estimates.runs.ring import Vector
from hetslurm.runs import Ending, Run

# Logs are sorted by submit, nearly: jobs that stray this far in the file are put in order.
REORDER = 10_000
NAN = float("nan")


@dataclass(slots=True)
class Scores:
    """A row a job in the order of submits: seconds it ran, was guessed to, and its 90 % quantile.

    `rows` is what the snapshot's rows alone would have said, the limit where there is none. `request` and
    `last_two` are the rules of old: the limit, and the mean of the user's last two runs that say something,
    at most the limit. NaN: no answer.
    """

    ran: array[float] = field(default_factory=lambda: array("d"))
    guess: array[float] = field(default_factory=lambda: array("d"))
    q90: array[float] = field(default_factory=lambda: array("d"))
    rows: array[float] = field(default_factory=lambda: array("d"))
    request: array[float] = field(default_factory=lambda: array("d"))
    last_two: array[float] = field(default_factory=lambda: array("d"))
    completed: array[int] = field(default_factory=lambda: array("b"))
    late: int = 0

    def report(self) -> dict[str, float | int | None]:
        """The numbers of `hetslurm history evaluate`; None where there is nothing to average.

        Accuracy is min(p, r) / max(p, r); the second half is that of the jobs, in the order of submits.
        Runs below a second count as one.
        """
        ran = np.maximum(np.frombuffer(self.ran), 1.0) if self.ran else np.empty(0)
        half = len(ran) // 2
        guess = accuracy(self.guess, ran)
        covered = ran <= np.asarray(self.q90) * (1.0 + 1e-9)
        return {
            "jobs": len(ran),
            "accuracy_mean": _mean(guess),
            "accuracy_second_half": _mean(guess[half:]),
            "coverage_90": _mean(covered[half:].astype(np.float64)),
            "coverage_90_all": _mean(covered.astype(np.float64)),
            "mae_s": _mean(np.abs(np.asarray(self.guess) - ran)),
            "accuracy_completed_second_half": _mean(
                guess[half:][np.frombuffer(self.completed, np.int8)[half:] > 0]
            ),
            "accuracy_rows_second_half": _mean(accuracy(self.rows, ran)[half:]),
            "accuracy_request_second_half": _mean(accuracy(self.request, ran)[half:]),
            "accuracy_last_two_second_half": _mean(accuracy(self.last_two, ran)[half:]),
            "mae_request_s": _mean(np.abs(np.asarray(self.request) - ran)),
            "mae_last_two_s": _mean(np.abs(np.asarray(self.last_two) - ran)),
            "out_of_order": self.late,
        }


def accuracy(guess: Sequence[float] | array[float], ran: Vector) -> Vector:
    """min(p, r) / max(p, r) by job; NaN where there was no guess."""
    p = np.maximum(np.asarray(guess, dtype=np.float64), 1.0)
    return np.minimum(p, ran) / np.maximum(p, ran)


def _mean(values: Vector) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def play(runs: Iterable[Run], estimator: RunEstimator) -> Scores:
    """Score every run at its submit, then let the estimator learn it at its end."""
    scores = Scores()
    under_way: list[tuple[float, int, Run]] = []
    last: dict[str, tuple[float, float]] = {}
    clock = float("-inf")
    for n, run in enumerate(in_order(runs)):
        if run.submit_at < clock:
            scores.late += 1
        else:
            clock = run.submit_at
            while under_way and under_way[0][0] <= clock:
                ended = heapq.heappop(under_way)[2]
                estimator.learn(ended)
                last[ended.user] = (last.get(ended.user, (NAN, NAN))[1], ended.run_s)
            _score(run, estimator, last.get(run.user), scores)
        heapq.heappush(under_way, (max(run.end_at, clock), n, run))
    return scores


def in_order(runs: Iterable[Run]) -> Iterator[Run]:
    """By submit, for runs that stray less than `REORDER` places."""
    waiting: list[tuple[float, int, Run]] = []
    for n, run in enumerate(runs):
        if len(waiting) < REORDER:
            heapq.heappush(waiting, (run.submit_at, n, run))
        else:
            yield heapq.heappushpop(waiting, (run.submit_at, n, run))[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def _score(run: Run, estimator: RunEstimator, last: tuple[float, float] | None, scores: Scores) -> None:
    question = RunQuestion(
        run.submit_at, run.kind, run.type, run.user, run.app, run.work, run.units, run.declared_s, run.limit_s
    )
    answer = estimator.estimate(question)
    scores.ran.append(run.run_s)
    scores.completed.append(run.ending is Ending.COMPLETED)
    scores.guess.append(answer.mean_s)
    scores.q90.append(answer.q90_s)
    limit = run.limit_s if run.limit_s > 0 else NAN
    scores.request.append(limit)
    rows = estimator.by_rows(question)
    scores.rows.append(limit if isnan(rows) else rows)
    two = limit
    if last is not None:
        mean = last[1] if isnan(last[0]) else (last[0] + last[1]) / 2.0
        two = min(mean, limit) if not isnan(limit) else mean
    scores.last_two.append(two)

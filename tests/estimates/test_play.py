"""Logs played through the estimator: what it may know, and how good it is where the truth is known."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from hetslurm.estimates.runs import RunEstimator
from hetslurm.estimates.runs.play import in_order, play
from hetslurm.runs import Ending, Run


def sessions(jobs: int, seed: int = 1, users: int = 20) -> Iterator[Run]:
    """Users who repeat few kinds of jobs in sessions: a kind has its units, its limit and its length.

    Limits are round and three to ten times the length; a job in ten fails after a few seconds.
    """
    rng = random.Random(seed)
    kinds = [
        [
            (rng.choice((1, 2, 4, 8)), rng.choice((1, 4, 12)) * 3600.0, rng.lognormvariate(6.5, 1.2))
            for _ in range(rng.randint(1, 4))
        ]
        for _ in range(users)
    ]
    at, current = 0.0, [0] * users
    for n in range(jobs):
        at += rng.expovariate(1.0 / 120.0)
        user = min(int(rng.expovariate(0.2)), users - 1)
        if rng.random() < 0.15:
            current[user] = rng.randrange(len(kinds[user]))
        units, limit, length = kinds[user][current[user]]
        run_s = length * rng.lognormvariate(0.0, 0.25)
        ending = Ending.COMPLETED
        if rng.random() < 0.1:
            run_s, ending = rng.uniform(1.0, 20.0), Ending.FAILED
        elif run_s >= limit:
            run_s, ending = limit, Ending.TIMEOUT
        start = at + rng.expovariate(1.0 / 300.0)
        yield Run(n, at, start, run_s, ending, f"user{user}", "cpu", units=units, limit_s=limit)


class Watched(RunEstimator):
    """Checks at each question that all that was learnt had ended."""

    newest_end = float("-inf")

    def learn(self, run: Run) -> None:
        self.newest_end = max(self.newest_end, run.end_at)
        super().learn(run)

    def estimate(self, question):  # type: ignore[no-untyped-def]
        assert self.newest_end <= question.at
        return super().estimate(question)


def test_at_a_submit_only_what_had_ended_is_known() -> None:
    scores = play(sessions(400), Watched())
    assert len(scores.ran) == 400


def test_the_estimator_beats_the_rules_of_old() -> None:
    report = play(sessions(3000), RunEstimator()).report()
    assert report["jobs"] == 3000
    best = report["accuracy_completed_second_half"]
    assert best is not None
    assert best > 0.7
    assert report["accuracy_second_half"] > report["accuracy_last_two_second_half"] + 0.05
    assert report["accuracy_second_half"] > report["accuracy_request_second_half"] + 0.3
    assert 0.87 < report["coverage_90"] < 0.95


def test_the_order_in_the_file_does_not_matter() -> None:
    runs = list(sessions(300))
    shuffled = runs.copy()
    random.Random(3).shuffle(shuffled)
    assert [run.job_id for run in in_order(shuffled)] == [run.job_id for run in runs]
    assert play(shuffled, RunEstimator()).report() == play(runs, RunEstimator()).report()


def test_a_job_far_out_of_order_is_learnt_and_not_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hetslurm.estimates.runs.play.REORDER", 2)
    runs = list(sessions(50))
    scores = play([*runs[10:], *runs[:10]], Watched())
    assert scores.late == 10
    assert len(scores.ran) == 40


def test_an_empty_log_has_no_averages() -> None:
    report = play([], RunEstimator()).report()
    assert report["jobs"] == 0
    assert report["accuracy_mean"] is None
    assert report["coverage_90"] is None


def test_the_numbers_are_what_they_say() -> None:
    runs = [
        Run(n, 1000.0 * n, 1000.0 * n, seconds, Ending.COMPLETED, "ann", "cpu", limit_s=400.0)
        for n, seconds in enumerate((100.0, 100.0, 200.0, 50.0))
    ]
    scores = play(runs, RunEstimator())
    report = scores.report()
    np.testing.assert_allclose(scores.request, 400.0)
    np.testing.assert_allclose(scores.last_two, [400.0, 100.0, 100.0, 150.0])
    assert report["accuracy_request_second_half"] == pytest.approx((0.5 + 0.125) / 2)
    assert report["accuracy_last_two_second_half"] == pytest.approx((0.5 + 1 / 3) / 2)
    guesses = np.array(scores.guess)
    ran = np.array([run.run_s for run in runs])
    assert report["mae_s"] == pytest.approx(np.abs(guesses - ran).mean())
    assert report["accuracy_mean"] == pytest.approx(
        (np.minimum(guesses, ran) / np.maximum(guesses, ran)).mean()
    )


def test_what_failed_is_scored_and_not_learnt() -> None:
    runs = list(sessions(200))
    failed = [replace(run, ending=Ending.FAILED) for run in runs]
    estimator = RunEstimator()
    assert len(play(failed, estimator).ran) == 200
    assert estimator.learnt == 0

"""An instance that is taken away: its job gets its signal and grace, and runs again on money it has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.cloudburst.interruption import (
    MARGIN_S,
    Do,
    Interruption,
    Scene,
    Stage,
    covers_another,
    follow,
    reason_at,
    reason_of,
)

from .views import NOW, POLICY, job, node, reservation, row

AT = NOW + 120


def scene(**more: object) -> Scene:
    """Job 7 runs on c1, and has money for another run."""
    made = Scene(NOW, POLICY.retry, row(), node(), job(), reservation())
    return replace(made, **more)  # type: ignore[arg-type]


def noticed(**more: object) -> Interruption:
    """c1's instance has two minutes."""
    return replace(Interruption("k-c1-1", "c1", AT, NOW), **more)  # type: ignore[arg-type]


def signalled(**more: object) -> Interruption:
    """Its job got its signal at NOW."""
    return noticed(**{"stage": Stage.SIGNALLED, "job_id": 7, "signalled_at": NOW} | more)


def test_a_noticed_instance_is_drained_and_its_offering_rests() -> None:
    after = follow(noticed(), scene())
    assert after.acts == (Do.COOL, Do.DRAIN)
    assert after.progress.stage is Stage.DRAINED


def test_its_job_gets_the_checkpoint_signal() -> None:
    after = follow(noticed(stage=Stage.DRAINED), scene())
    assert after.acts == (Do.SIGNAL,)
    assert (after.progress.job_id, after.progress.signalled_at) == (7, NOW)


def test_nothing_is_done_during_the_grace() -> None:
    assert follow(signalled(), scene(now=NOW + 59)).acts == ()


def test_after_the_grace_the_job_is_requeued_and_the_instance_ended() -> None:
    after = follow(signalled(), scene(now=NOW + 60))
    assert after.acts == (Do.REQUEUE, Do.TERMINATE)
    assert after.progress.outcome == "requeued"


def test_the_grace_ends_before_the_instance_does() -> None:
    soon = signalled(at=NOW + 30)
    assert follow(soon, scene(now=NOW + 30 - MARGIN_S - 1)).acts == ()
    assert follow(soon, scene(now=NOW + 30 - MARGIN_S)).acts[0] is Do.REQUEUE


def test_a_job_that_ended_in_the_grace_is_not_run_again() -> None:
    after = follow(signalled(), scene(job=None, now=NOW + 5))
    assert after.acts == (Do.TERMINATE,)
    assert after.progress.stage is Stage.OVER


def test_a_job_that_another_controller_had_requeued_is_not_requeued_twice() -> None:
    after = follow(signalled(), scene(job=job("PENDING"), now=NOW + 61))
    assert after.acts == (Do.TERMINATE,)
    assert after.progress.outcome == "requeued by Slurm"


def test_a_job_whose_money_covers_no_other_run_is_told() -> None:
    poor = scene(now=NOW + 60, reservation=reservation(spent_micro=1_200_000))
    assert not covers_another(poor)
    assert follow(signalled(), poor).acts == (Do.TELL_POOR, Do.REQUEUE, Do.TERMINATE)


def test_an_idle_instance_is_just_ended() -> None:
    after = follow(noticed(stage=Stage.DRAINED), scene(job=None))
    assert after.acts == (Do.TERMINATE,)
    assert after.progress.stage is Stage.OVER


@pytest.mark.parametrize("stage", [Stage.NOTICED, Stage.DRAINED])
def test_an_instance_that_went_at_once_needs_no_more_steps(stage: Stage) -> None:
    assert follow(noticed(stage=stage), scene(row=None)).progress.stage is Stage.OVER


def test_a_drains_reason_says_when_and_is_read_back() -> None:
    assert reason_at(reason_of(AT)) == AT
    assert reason_at("hetslurm: interruption at 1800000123.5") == 1_800_000_123.5
    assert reason_at("hetslurm: interruption at 2027-01-15T08:00:00Z") == 1_800_000_000.0
    assert reason_at("hetslurm: interruption at soon") is None
    assert reason_at("an admin's") is None

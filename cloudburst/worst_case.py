"""The most that a job can cost, reserved before anything is started. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hetslurm.cloudburst.money import cost_micro
from hetslurm.cloudburst.policy import CloudPool, Retry

# An instance is told to end this much before its money does: clocks differ, and ending takes a moment.
SLACK_S = 10.0


@dataclass(frozen=True, slots=True)
class WorstCase:
    """An instance lives `attempt_s` seconds at most; `total_micro` is for all attempts and nodes."""

    attempt_s: float
    attempts: int
    attempt_micro: int
    total_micro: int


def worst_case(pool: CloudPool, retry: Retry, *, nodes: int, limit_s: float) -> WorstCase:
    """Boot timeout + time limit + grace + idle tail + slack, at the price cap, for every attempt allowed."""
    attempt_s = pool.boot_timeout_s + limit_s + retry.grace_s + pool.idle_s + SLACK_S
    attempts = 1 + retry.requeues
    attempt = nodes * cost_micro(pool.max_price_micro, attempt_s, least_s=pool.billed_least_s)
    return WorstCase(attempt_s, attempts, attempt, attempts * attempt)

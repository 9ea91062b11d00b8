"""What is not known and has to be estimated. Pure."""

from __future__ import annotations

from hetslurm.estimates.wait import WaitPlan, estimate_waits, expected_starts, plan_waits

__all__ = ["WaitPlan", "estimate_waits", "expected_starts", "plan_waits"]

"""What is not known and has to be estimated. Pure."""

from __future__ import annotations

from hetslurm.estimates.wait import estimate_waits

__all__ = ["estimate_waits"]

"""Slurm, seen from hetslurm: one protocol, and who speaks it."""

from __future__ import annotations

from hetslurm.slurm.adapters import choose_adapter
from hetslurm.slurm.protocol import JobDetail, JobUpdate, PowerDown, SlurmAdapter
from hetslurm.slurm.record import Record, parse_record, render_record

__all__ = [
    "JobDetail",
    "JobUpdate",
    "PowerDown",
    "Record",
    "SlurmAdapter",
    "choose_adapter",
    "parse_record",
    "render_record",
]

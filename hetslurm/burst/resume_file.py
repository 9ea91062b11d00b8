"""SLURM_RESUME_FILE: which job each node is started for. The parser is pure.

22.05 says `nodes` and `all_nodes`; 23.02 and later `nodes_alloc`, `nodes_resume` and `all_nodes_resume`. The
file is slurmctld's, and gone soon after it stops: it is read before anything else is done.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from hetslurm.errors import SlurmError
from hetslurm.slurm.hostlist import expand_hostlist

MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ResumeFile:
    """`jobs` maps a node to the jobs that it is started for: none for a node that somebody powered up."""

    nodes: tuple[str, ...]
    jobs: Mapping[str, frozenset[int]]


class _Job(msgspec.Struct):
    job_id: int
    nodes: str | None = None
    nodes_alloc: str | None = None
    nodes_resume: str | None = None


class _File(msgspec.Struct):
    jobs: list[_Job] = []
    all_nodes: str | None = None
    all_nodes_resume: str | None = None


def parse_resume_file(content: bytes) -> ResumeFile:
    """The file of any release from 22.05 on. Raises SlurmError: it is none, or was cut."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except msgspec.MsgspecError as cause:
        raise SlurmError(f"SLURM_RESUME_FILE cannot be read: {cause}") from cause
    jobs: dict[str, set[int]] = {}
    for job in file.jobs:
        for node in expand_hostlist(job.nodes_resume or job.nodes_alloc or job.nodes or ""):
            jobs.setdefault(node, set()).add(job.job_id)
    nodes = expand_hostlist(file.all_nodes_resume or file.all_nodes or "")
    return ResumeFile(nodes, {node: frozenset(ids) for node, ids in jobs.items()})


def read_resume_file(environment: Mapping[str, str] = os.environ) -> ResumeFile | None:
    """The file that slurmctld points to; None when there is none. Raises SlurmError: it cannot be read."""
    path = environment.get("SLURM_RESUME_FILE")
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES)
    except OSError as cause:
        raise SlurmError(f"SLURM_RESUME_FILE {path} cannot be read: {cause.strerror}") from cause
    return parse_resume_file(content)

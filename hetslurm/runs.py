"""One run of a job that has ended: what run estimates learn from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Ending(StrEnum):
    """How a run ended. Only `COMPLETED` says how long the work takes; `TIMEOUT` says that it takes longer."""

    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    NODE_FAIL = "node_fail"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out_of_memory"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a job (or of an array's task) on a target, from start to end.

    `submit_at` and `start_at` are Unix seconds; `run_s` seconds. `restarts` counts the runs before this one
    of the same job: (job_id, submit_at, restarts) is a run for good. `app` "" and `work` 0: its author did
    not say. `declared_s` is the author's own time for the target, `limit_s` the kill limit; 0: none. `units`
    are devices, or cpus where `kind` is "cpu", of all nodes together. `speed` is the pool's when it began:
    0.5 takes twice as long as its class. `energy_j` None: Slurm does not know. `exit_code` is the script's.
    """

    job_id: int
    submit_at: float
    start_at: float
    run_s: float
    ending: Ending
    user: str
    kind: str
    type: str = ""
    app: str = ""
    work: float = 0.0
    account: str = ""
    target: str = ""
    pool: str = ""
    partition: str = ""
    nodes: int = 1
    units: int = 1
    node_names: tuple[str, ...] = ()
    declared_s: float = 0.0
    limit_s: float = 0.0
    speed: float = 1.0
    exit_code: int = 0
    energy_j: float | None = None
    restarts: int = 0

    @property
    def end_at(self) -> float:
        """Unix seconds."""
        return self.start_at + self.run_s

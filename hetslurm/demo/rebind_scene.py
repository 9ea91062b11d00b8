"""The demo of pending jobs that move: the cluster, the jobs, and what must come of them. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetslurm.sandbox import Spec, parse_nodes
from hetslurm.slurm.record import parse_record

JOBS = 60
RUN_S = 5.0
# Half of the jobs are done: now one pool goes into maintenance for so long, and another one comes.
HALF_WAY = JOBS // 2
MAINTENANCE_S = 45.0
DRAINED, ADDED = "gpu", "fpga"
PROMISED_RATIO = 1.5
SCRIPT = f"""#!/bin/sh
#HET target=gpu:a100:1 cpus=1 time=1:00
#HET target=cpu cpus=4 time=1:00
#HET target=fpga:u250:1 cpus=1 time=1:00
echo "running on $HET_KIND in $SLURM_JOB_PARTITION"
sleep {RUN_S:g}
"""
# Declared times say enough here: nothing is to be learnt from the first run for the second.
CONFIG = """
[history]
use = false

[rebind]
mode = "off"
min_gain_s = 5
settle_s = 2
moves_per_minute = 600
"""


def spec_for(version: tuple[int, int]) -> Spec:
    """2 cpu nodes with room for 4 jobs, 4 GPUs, and 8 FPGAs that come later.

    Releases that cannot take a GRES away from a pending job get what lets it move nevertheless.
    """
    return Spec(
        parse_nodes("cpu=2,gpu:a100:2=2,fpga:u250:4=2", cpus=8, mem_mb=16_000),
        config_toml=CONFIG,
        cycle_s=1.0,
        dummies=version < (24, 11),
        filler=(24, 11) <= version < (26, 5),
    )


@dataclass(frozen=True, slots=True)
class JobSeen:
    """One job at the end of a run. Times are Unix seconds; `said` is its output."""

    job_id: int
    state: str
    partition: str
    record: str
    submit_at: float
    start_at: float
    end_at: float
    said: str

    @property
    def moves(self) -> int:
        """How often it was moved."""
        record = parse_record(self.record)
        return record.moves if record else 0


@dataclass(frozen=True, slots=True)
class Played:
    """One run of the queue, rebinding "off" or "on"."""

    mode: str
    jobs: tuple[JobSeen, ...]

    @property
    def makespan_s(self) -> float:
        """From the first submit to the last end."""
        return max(job.end_at for job in self.jobs) - min(job.submit_at for job in self.jobs)

    @property
    def where(self) -> dict[str, int]:
        """How many jobs ran in each partition."""
        partitions = sorted({job.partition for job in self.jobs})
        return {name: sum(job.partition == name for job in self.jobs) for name in partitions}

    @property
    def moved(self) -> int:
        """How many moves there were."""
        return sum(job.moves for job in self.jobs)


def broken_promise(played: Sequence[Played]) -> str | None:
    """What was promised and did not happen; None: all of it did."""
    for one in played:
        if len(one.jobs) != JOBS:
            return f"{one.mode}: {len(one.jobs)} jobs of {JOBS} are there"
        failed = [job for job in one.jobs if job.state != "COMPLETED"]
        if failed:
            return f"{one.mode}: job {failed[0].job_id} ended as {failed[0].state}"
        lost = [job for job in one.jobs if f"running on {job.partition} in {job.partition}" not in job.said]
        if lost:
            return (
                f"{one.mode}: job {lost[0].job_id} did not find in HET_KIND that it is on {lost[0].partition}"
            )
    off, on = played
    if off.moved:
        return f"{off.moved} jobs moved though rebinding was off"
    if ratio(off, on) < PROMISED_RATIO:
        return f"the makespan is {ratio(off, on):.2f} times shorter, not {PROMISED_RATIO:g}"
    return None


def ratio(off: Played, on: Played) -> float:
    """How many times shorter the queue is with rebinding."""
    return off.makespan_s / max(on.makespan_s, 1e-9)


def played_json(off: Played, on: Played) -> dict[str, object]:
    """The result, for machines: times in seconds."""
    runs = {
        one.mode: {
            "makespan_s": one.makespan_s,
            "moves": one.moved,
            "ran_in": one.where,
            "jobs": len(one.jobs),
        }
        for one in (off, on)
    }
    return {
        **runs,
        "ratio": ratio(off, on),
        "promised_ratio": PROMISED_RATIO,
        "maintenance_s": MAINTENANCE_S,
        "broken_promise": broken_promise((off, on)),
    }

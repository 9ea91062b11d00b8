"""A run of a job that has ended, as Slurm tells of it afterwards, and as a Run of the history. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from hetslurm.cluster import UNLIMITED
from hetslurm.errors import DirectiveError
from hetslurm.job import Request
from hetslurm.native import parser
from hetslurm.runs import Ending, Run
from hetslurm.slurm.record import Record, parse_record

# Slurm's words for how a run ended. A requeue by hand, a resize or a deadline says nothing about the work.
ENDINGS = {
    "COMPLETED": Ending.COMPLETED,
    "FAILED": Ending.FAILED,
    "TIMEOUT": Ending.TIMEOUT,
    "CANCELLED": Ending.CANCELLED,
    "DEADLINE": Ending.CANCELLED,
    "REQUEUED": Ending.CANCELLED,
    "REVOKED": Ending.CANCELLED,
    "NODE_FAIL": Ending.NODE_FAIL,
    "BOOT_FAIL": Ending.NODE_FAIL,
    "LAUNCH_FAILED": Ending.NODE_FAIL,
    "PREEMPTED": Ending.PREEMPTED,
    "OUT_OF_MEMORY": Ending.OUT_OF_MEMORY,
}
# What sacct and squeue take to select them.
ENDED_STATES = "CD,F,TO,CA,NF,PR,OOM,BF,DL"


@dataclass(frozen=True, slots=True)
class EndedJob:
    """One run of a job, array task or component, that is over.

    Times are Unix seconds; `run_s` seconds without those that it was suspended for. `state` is Slurm's word
    alone ("CANCELLED"). `devices` are GRES of all nodes together, by name, where Slurm accounts for them.
    `limit_min` None: none. (job_id, submit_at) is a run for good: Slurm submits a requeued job anew.
    """

    job_id: int
    submit_at: float
    start_at: float
    run_s: float
    state: str
    exit_code: int
    user: str
    account: str
    partition: str
    nodes: int
    cpus: int
    limit_min: int | None
    node_names: tuple[str, ...]
    devices: dict[str, int]
    energy_j: float | None
    admin_comment: str
    restarts: int = 0


def run_of(job: EndedJob, speed: float = 1.0) -> Run | None:
    """The run, where the job carries hetslurm's record and ran on a target; `speed` is its pool's."""
    record = parse_record(job.admin_comment)
    ending = ENDINGS.get(job.state)
    if record is None or ending is None or not record.kind or not job.node_names or job.run_s < 0:
        return None
    request = _request(record)
    target = request.targets[record.alt] if request and record.alt < len(request.targets) else None
    devices = job.devices.get(record.kind, 0)
    if not devices and target is not None:
        devices = target.count * job.nodes
    return Run(
        job_id=job.job_id,
        submit_at=job.submit_at,
        start_at=job.start_at,
        run_s=job.run_s,
        ending=ending,
        user=job.user,
        kind=record.kind,
        type=record.type,
        app=(request.app or "") if request else "",
        work=(request.work or 0.0) if request else 0.0,
        account=job.account,
        target=record.target,
        pool=record.pool,
        partition=job.partition,
        nodes=job.nodes,
        units=max(1, job.cpus if record.kind == "cpu" else devices),
        node_names=job.node_names,
        declared_s=float(target.time_s) if target else 0.0,
        limit_s=60.0 * job.limit_min if job.limit_min and job.limit_min < UNLIMITED else 0.0,
        speed=speed,
        exit_code=job.exit_code,
        energy_j=job.energy_j,
        restarts=job.restarts,
    )


def exit_code_of(text: str) -> int:
    """`3:0` (code and signal) or a wait status as one number, as a shell would say it: 128 + signal."""
    code, colon, signal = text.partition(":")
    if colon:
        numbers = (int(code) if code.isdigit() else 0, int(signal) if signal.isdigit() else 0)
    else:
        status = int(code) if code.isdigit() else 0
        numbers = (status >> 8 & 0xFF, status & 0x7F)
    return numbers[0] or (128 + numbers[1] if numbers[1] else 0)


def _request(record: Record) -> Request | None:
    try:
        return parser.parse(None, record.het.encode()) if record.het else None
    except (DirectiveError, ValueError):
        return None

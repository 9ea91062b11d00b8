"""`squeue -O` in columns of fixed width, as QueuedJob values. Pure.

A job's name, comment or working directory may hold anything, newlines too, so no separator is safe.
Columns of a fixed number of bytes are: squeue cuts and pads each by bytes (LC_ALL=C). A value that fills
its column may have been cut; the job is then read again with wider columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hetslurm.cluster import Gres, QueuedJob
from hetslurm.errors import SlurmError
from hetslurm.slurm.durations import parse_instant, parse_minutes
from hetslurm.slurm.gres import gres_of_tres, parse_gres, parse_mem_mb, parse_tres
from hetslurm.slurm.hostlist import expand_hostlist
from hetslurm.slurm.protocol import JobDetail
from hetslurm.slurm.record import predicted_run_s

GROW = 8
WIDEST = 1 << 17
_NUMBER = 16
_NONE = frozenset({"(null)", "N/A", "None"})

# What is read of every job, and how wide at first. `Name` may be cut: it is only for people.
QUEUE_COLUMNS = {
    "JobID": _NUMBER,
    "ArrayJobID": _NUMBER,
    "ArrayTaskID": 48,
    "HetJobOffset": _NUMBER,
    "State": 24,
    "Partition": 48,
    "UserName": 32,
    "Account": 32,
    "QOS": 24,
    "NumNodes": _NUMBER,
    "NumCPUs": _NUMBER,
    "NumTasks": _NUMBER,
    "MinMemory": _NUMBER,
    "TimeLimit": _NUMBER,
    "PriorityLong": _NUMBER,
    "SubmitTime": _NUMBER,
    "StartTime": _NUMBER,
    "EndTime": _NUMBER,
    "tres-alloc": 96,
    "tres-per-node": 40,
    "tres-per-job": 24,
    "tres-per-socket": 16,
    "tres-per-task": 24,
    "NodeList": 48,
    "Reason": 48,
    "Name": 48,
    "admin_comment": 600,
}
DETAIL_COLUMNS = QUEUE_COLUMNS | {
    "Feature": 256,
    "Dependency": 256,
    "ReqNodes": 256,
    "Reservation": 128,
    "EligibleTime": _NUMBER,
    "RestartCnt": _NUMBER,
    "Command": 512,
    "WorkDir": 512,
}
_MAY_BE_CUT = frozenset({"Name", "Command", "WorkDir"})


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns by name and width in bytes."""

    widths: dict[str, int]

    @property
    def format(self) -> str:
        """The argument of `squeue -O`."""
        return ",".join(f"{name}:{width}" for name, width in self.widths.items())

    def wider(self) -> Columns | None:
        """The same, `GROW` times as wide; None when they are as wide as they get."""
        wider = {n: min(w * GROW, WIDEST) for n, w in self.widths.items()}
        return None if wider == self.widths else Columns(wider)

    def rows(self, output: bytes) -> Iterator[tuple[dict[str, str], bool]]:
        """Every record's fields, and whether one that matters was cut.

        Raises SlurmError when the output is not made of such records.
        """
        size = sum(self.widths.values()) + 1
        if len(output) % size:
            raise SlurmError(f"squeue wrote {len(output)} bytes, not records of {size}")
        spans, start = [], 0
        for name, width in self.widths.items():
            spans.append((name, start, start + width))
            start += width
        blank = 32
        watched = [(name, end - 1) for name, _, end in spans if name not in _MAY_BE_CUT]
        for at in range(0, len(output), size):
            record = output[at : at + size]
            if record[-1] != 10:
                raise SlurmError("squeue wrote a record that does not end where it should")
            fields = {n: record[a:b].decode("utf-8", "replace").rstrip(" ") for n, a, b in spans}
            yield fields, any(record[last] != blank for _, last in watched)


def job_of_row(fields: dict[str, str]) -> QueuedJob:
    """One record as a job. Where Slurm only knows a job's total, GRES and memory per node are rounded up."""
    tres = parse_tres(fields["tres-alloc"])
    # squeue's own count of a pending job's nodes is a guess from the size of the cluster's nodes.
    nodes = tres.get("node", 0) or max(parse_tres_number(fields["NumNodes"]), 1)
    tasks = max(parse_tres_number(fields["NumTasks"]), 1)
    submitted = parse_instant(fields["SubmitTime"])
    array = fields["ArrayTaskID"]
    total_mem = tres.get("mem")
    return QueuedJob(
        job_id=int(fields["JobID"]),
        state=fields["State"],
        partition=fields["Partition"],
        user=fields["UserName"],
        nodes=nodes,
        cpus=max(parse_tres_number(fields["NumCPUs"]), tres.get("cpu", 0)),
        mem_mb_per_node=-(-total_mem // nodes)
        if total_mem is not None
        else (parse_mem_mb(fields["MinMemory"]) or 0),
        time_limit_min=parse_minutes(fields["TimeLimit"]),
        priority=int(fields["PriorityLong"]),
        submit_at=submitted if submitted is not None else 0.0,
        start_at=parse_instant(fields["StartTime"]),
        end_at=parse_instant(fields["EndTime"]),
        gres=_gres(fields, tres, nodes, tasks),
        node_names=expand_hostlist(fields["NodeList"]),
        tasks=count_array_tasks(array),
        reason=_text(fields["Reason"]),
        name=fields["Name"],
        account=_text(fields["Account"]),
        qos=_text(fields["QOS"]),
        admin_comment=(comment := _text(fields["admin_comment"])),
        predicted_run_s=predicted_run_s(comment),
        array_job_id=int(fields["ArrayJobID"])
        if array not in _NONE and fields["ArrayJobID"].isdigit()
        else None,
        array_task=_text(array),
        het_offset=int(offset) if (offset := fields["HetJobOffset"]).isdigit() else None,
        gres_per_job=bool(parse_gres(fields["tres-per-job"])),
    )


def detail_of_row(fields: dict[str, str]) -> JobDetail:
    """One record of `DETAIL_COLUMNS`."""
    return JobDetail(
        job=job_of_row(fields),
        features=_text(fields["Feature"]),
        dependency=_text(fields["Dependency"]),
        required_nodes=_text(fields["ReqNodes"]),
        reservation=_text(fields["Reservation"]),
        eligible_at=parse_instant(fields["EligibleTime"]),
        restarts=parse_tres_number(fields["RestartCnt"]),
        command=_text(fields["Command"]),
        work_dir=_text(fields["WorkDir"]),
        tres=tuple(parse_tres(fields["tres-alloc"]).items()),
    )


def count_array_tasks(expression: str) -> int:
    """How many tasks of an array may be there at once: `1-9:2,20%3` is 3 of 6; 1 for what is no array."""
    _, _, at_once = expression.partition("%")
    count = sum(len(one) for one in _task_ranges(expression))
    return max(1, min(count, int(at_once)) if at_once.isdigit() and int(at_once) else count)


def expand_tasks(expression: str) -> list[int]:
    """The tasks of an array's expression in its order; none for what is no array."""
    return [task for one in _task_ranges(expression) for task in one]


def first_task(expression: str) -> int | None:
    """The first of them; None for what is no array."""
    return next((one[0] for one in _task_ranges(expression) if one), None)


def _task_ranges(expression: str) -> Iterator[range]:
    for part in expression.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        low, _, high = span.partition("-")
        if low.isdigit() and (not high or high.isdigit()):
            yield range(int(low), int(high or low) + 1, max(int(step) if step.isdigit() else 1, 1))


def parse_tres_number(text: str) -> int:
    """A count, or the low end of a range such as `2-4`; 0 when there is none."""
    low = text.partition("-")[0]
    return int(low) if low.isdigit() else 0


def _gres(fields: dict[str, str], tres: dict[str, int], nodes: int, tasks: int) -> tuple[Gres, ...]:
    """GRES per node: as asked for per node, job or task, and what the TRES have beyond that."""
    found = {(g.name, g.type): g.count for g in parse_gres(fields["tres-per-node"])}
    per_socket = {(g.name, g.type): g.count for g in parse_gres(fields["tres-per-socket"])}
    for column, times in (("tres-per-job", 1), ("tres-per-task", tasks)):
        for g in parse_gres(fields[column]):
            found.setdefault((g.name, g.type), -(-g.count * times // nodes))
    names = {name for name, _ in found}
    for g in gres_of_tres(tres, nodes):
        if g.name not in names:
            found[g.name, g.type] = g.count
    for key, count in per_socket.items():
        found.setdefault(key, count)
    return tuple(Gres(name, kind, count) for (name, kind), count in found.items() if count > 0)


def _text(value: str) -> str:
    return "" if value in _NONE else value

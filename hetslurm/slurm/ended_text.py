"""What `sacct` and `squeue` say of runs that are over, as EndedJob values. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from hetslurm.slurm.durations import parse_instant, parse_minutes
from hetslurm.slurm.ended import EndedJob, exit_code_of
from hetslurm.slurm.gres import parse_tres
from hetslurm.slurm.hostlist import expand_hostlist
from hetslurm.slurm.job_text import parse_tres_number

# No name, account or node list can hold it.
SEPARATOR = "\x1f"
# The comment comes last: an admin's own may hold a newline, and then costs only itself.
_FIELDS = (
    "JobIDRaw",
    "Submit",
    "Start",
    "ElapsedRaw",
    "State",
    "ExitCode",
    "User",
    "Account",
    "Partition",
    "NNodes",
    "NCPUS",
    "TimelimitRaw",
    "NodeList",
    "AllocTRES",
    "ConsumedEnergyRaw",
    "AdminComment",
)
SACCT_FORMAT = ",".join(_FIELDS)
# The same of jobs that slurmctld still remembers, in columns (see job_text).
ENDED_COLUMNS = {
    "JobID": 16,
    "State": 24,
    "Partition": 48,
    "UserName": 32,
    "Account": 32,
    "NumNodes": 16,
    "NumCPUs": 16,
    "TimeLimit": 16,
    "SubmitTime": 16,
    "StartTime": 16,
    "EndTime": 16,
    "exit_code": 16,
    "RestartCnt": 16,
    "tres-alloc": 96,
    "NodeList": 48,
    "admin_comment": 600,
}
_NOBODY = frozenset({"", "(null)", "N/A", "None", "None assigned", "Unknown"})
# Slurm's numbers for "not known" are its largest.
_MOST_J = 1e15


def parse_ended(text: str) -> Iterator[EndedJob]:
    """`sacct -nP -X -D --delimiter=SEPARATOR -o SACCT_FORMAT`; what never ran is left out."""
    for line in text.split("\n"):
        fields = line.split(SEPARATOR, len(_FIELDS) - 1)
        if len(fields) < len(_FIELDS) or not fields[0].isdigit():
            continue
        row = dict(zip(_FIELDS, fields, strict=True))
        job = _of_sacct(row)
        if job is not None:
            yield job


def ended_of_row(fields: dict[str, str]) -> EndedJob | None:
    """One record of `ENDED_COLUMNS`; None for a job that never ran."""
    start, end = parse_instant(fields["StartTime"]), parse_instant(fields["EndTime"])
    submitted, names = parse_instant(fields["SubmitTime"]), _names(fields["NodeList"])
    if start is None or end is None or submitted is None or not names:
        return None
    tres = parse_tres(fields["tres-alloc"])
    return EndedJob(
        job_id=int(fields["JobID"]),
        submit_at=submitted,
        start_at=start,
        run_s=max(0.0, end - start),
        state=fields["State"],
        exit_code=exit_code_of(fields["exit_code"]),
        user=fields["UserName"],
        account=_text(fields["Account"]),
        partition=fields["Partition"],
        nodes=max(1, tres.get("node", 0) or parse_tres_number(fields["NumNodes"])),
        cpus=max(1, tres.get("cpu", 0) or parse_tres_number(fields["NumCPUs"])),
        limit_min=parse_minutes(fields["TimeLimit"]),
        node_names=names,
        devices=_devices(tres),
        energy_j=_energy("", tres),
        admin_comment=_text(fields["admin_comment"]),
        restarts=parse_tres_number(fields["RestartCnt"]),
    )


def utc_time(unix_s: float) -> str:
    """An instant as `sacct -S` takes it, for TZ=UTC."""
    return datetime.fromtimestamp(int(unix_s), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _of_sacct(row: dict[str, str]) -> EndedJob | None:
    start, submitted = parse_instant(row["Start"]), parse_instant(row["Submit"])
    names = _names(row["NodeList"])
    if start is None or submitted is None or not names:
        return None
    tres = parse_tres(row["AllocTRES"])
    return EndedJob(
        job_id=int(row["JobIDRaw"]),
        submit_at=submitted,
        start_at=start,
        run_s=float(parse_tres_number(row["ElapsedRaw"])),
        state=row["State"].partition(" ")[0],  # "CANCELLED by 1000"
        exit_code=exit_code_of(row["ExitCode"]),
        user=row["User"],
        account=row["Account"],
        partition=row["Partition"],
        nodes=max(1, parse_tres_number(row["NNodes"])),
        cpus=max(1, parse_tres_number(row["NCPUS"])),
        limit_min=_minutes(row["TimelimitRaw"]),
        node_names=names,
        devices=_devices(tres),
        energy_j=_energy(row["ConsumedEnergyRaw"], tres),
        admin_comment=row["AdminComment"],
    )


def _minutes(text: str) -> int | None:
    """TimelimitRaw is minutes as a number; UNLIMITED and Partition_Limit are no limit of its own."""
    return int(text) if text.isdigit() else None


def _names(text: str) -> tuple[str, ...]:
    return () if text in _NOBODY else expand_hostlist(text)


def _text(value: str) -> str:
    return "" if value in _NOBODY else value


def _devices(tres: dict[str, int]) -> dict[str, int]:
    """`gres/gpu` and `gres/gpu:a100` by name; the name's own total wins over its types' sum."""
    typed: dict[str, int] = {}
    total: dict[str, int] = {}
    for key, count in tres.items():
        if key.startswith("gres/"):
            name, _, kind = key[len("gres/") :].partition(":")
            found = typed if kind else total
            found[name] = found.get(name, 0) + count
    return typed | total


def _energy(raw: str, tres: dict[str, int]) -> float | None:
    """Joules; None where Slurm measures none, which it writes as nothing, 0 or its largest number."""
    for value in (float(raw) if raw.isdigit() else 0.0, float(tres.get("energy", 0))):
        if 0 < value < _MOST_J:
            return value
    return None

"""From a decision on a held job to what must be changed in it: only what its author left open. Pure."""

from __future__ import annotations

import json

from hetslurm.cluster import Gres, QueuedJob
from hetslurm.job import Request
from hetslurm.placement import Asked, Candidate, Decision
from hetslurm.slurm.gres import parse_gres
from hetslurm.slurm.protocol import JobUpdate
from hetslurm.target import Target

# What a record only holds where the job was placed.
_PLACED = (
    "target",
    "kind",
    "type",
    "alt",
    "pool",
    "partition",
    "score",
    "wait_s",
    "run_s",
    "money",
    "by",
    "res",
)


def bind(request: Request, asked: Asked, pins: str, chosen: Candidate) -> JobUpdate:
    """The changes that put a job where it was decided, as the plugin would have: a task a node."""
    target = request.targets[chosen.alt]
    tasks_open = "k" not in pins
    nodes = needed_nodes(target, asked)
    cpus = target.cpus if "c" not in pins and tasks_open and target.cpus else None
    beside = parse_gres(asked.gres)
    fixed = "g" in pins and any(g.name == chosen.kind for g in beside)
    device = Gres(chosen.kind, chosen.type, target.count)
    return JobUpdate(
        partition=chosen.partition,
        gres=(*beside, device) if target.count and not fixed else None,
        nodes=nodes if "n" not in pins and (target.nodes or tasks_open) else None,
        tasks=nodes if cpus else None,
        cpus_per_node=cpus,
        cpus_per_task=cpus,
        mem_mb_per_node=target.mem_mb if target.mem_mb and "m" not in pins else None,
        time_limit_min=(chosen.limit_min or None) if target.time_s and "t" not in pins else None,
    )


def differences(update: JobUpdate, job: QueuedJob) -> list[str]:
    """Where a job, read back, is not what the update asked for."""
    wanted: dict[str, object] = {"partition": update.partition, "nodes": update.nodes}
    wanted |= {"mem_mb_per_node": update.mem_mb_per_node, "time_limit_min": update.time_limit_min}
    found = [
        f"{name} is {getattr(job, name)}, not {value}"
        for name, value in wanted.items()
        if value is not None and getattr(job, name) != value
    ]
    for gres in update.gres or ():
        if not any(
            g.name == gres.name and g.type in ("", gres.type) and g.count == gres.count for g in job.gres
        ):
            found.append(f"gres is {job.gres}, without {gres.name}:{gres.type}:{gres.count}")
    if update.gres or update.clear_gres:
        asked = {gres.name for gres in update.gres or ()}
        if left := tuple(g for g in job.gres if g.name not in asked):
            found.append(f"gres is {job.gres}, still with {', '.join(g.name for g in left)}")
    cpus = (update.cpus_per_node or 0) * max(1, job.nodes)
    if job.cpus < cpus:
        found.append(f"cpus are {job.cpus}, fewer than {cpus}")
    return found


def needed_nodes(target: Target, asked: Asked) -> int:
    """Nodes that the job takes there."""
    return asked.nodes or target.nodes or 1


def needed_units(target: Target, asked: Asked) -> float:
    """Devices (cpus for a cpu target) that all tasks of the job take together."""
    per_node = target.count or asked.cpus or target.cpus or 1
    return float(per_node * needed_nodes(target, asked) * max(1, asked.n_tasks))


def placed_record(record_text: str, decision: Decision, chosen: Candidate) -> str:
    """The job's record, as the plugin would have left it; what else it held stays."""
    return with_fields(record_text, placed_fields(decision.generation, chosen), without=("why",))


def placed_fields(generation: int, chosen: Candidate) -> dict[str, object]:
    """What a record says of a placement that the controller made by this snapshot."""
    return {
        "state": "placed",
        "gen": generation,
        "target": chosen.target,
        "kind": chosen.kind,
        "type": chosen.type,
        "alt": chosen.alt,
        "pool": chosen.pool,
        "partition": chosen.partition,
        "score": chosen.score,
        "wait_s": chosen.terms["wait_s"].value,
        "run_s": chosen.terms["run_s"].value,
        "money": chosen.terms["money"].value,
        "by": "controller",
    }


def spilled_record(record_text: str, decision: Decision, chosen: Candidate, res_id: int) -> str:
    """The record of a job that goes to the cloud on this reservation's money."""
    return with_fields(placed_record(record_text, decision, chosen), {"res": res_id})


def waiting_record(record_text: str, why: str) -> str:
    """The record of a job that is held until it can go to the cloud, or again."""
    return with_fields(record_text, {"state": "held", "why": why}, without=_PLACED)


def refused_record(record_text: str, why: str) -> str:
    """The record of a job that nothing here can run: still held, and saying why."""
    return with_fields(record_text, {"why": why})


def held_record(record_text: str) -> str:
    """The record of a job that is to be placed anew."""
    return with_fields(record_text, {"state": "held"})


def with_fields(record_text: str, fields: dict[str, object], without: tuple[str, ...] = ()) -> str:
    """The record with these fields set and those left out; the request stays last, where one looks for it."""
    old = json.loads(record_text)
    request = {"het": old.pop("het", "")}  # last, where the eye expects the long one
    kept = {key: value for key, value in old.items() if key not in without}
    return json.dumps({**kept, **fields, **request}, separators=(",", ":"), ensure_ascii=False)

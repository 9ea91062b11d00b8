"""A JobUpdate as the words of `scontrol update`, the forms that a real slurmctld was seen to obey. Pure.

Measured on 22.05.8, from inside the jobs: a held job without GRES goes to GPU, FPGA or other CPU nodes with
`Partition Gres NumNodes NumTasks NumCPUs CPUsPerTask MinCPUsNode MinMemoryNode TimeLimit` in one request,
and gets exactly that. `CPUsPerTask` alone leaves the allocation as it was; without `MinCPUsNode` a job of
several nodes that never said `-c` gets one cpu on all but the first. `Gres=` (empty) is refused ("Invalid
Trackable RESource") although the rest of the request takes effect: so it is never written. `Gres=` takes
`gpu:a100:1` in every release: scontrol adds the prefix that its own release wants.

What a job has is taken away by `TresPerNode= TresPerJob=`, no error where there is nothing to take. 22.05
then asks for 0 of it (`JOB_GRES=gpu:a100:0`), on nodes that have it; 24.11 ends in BadConstraints, 26.05 asks
for none. Beside a `Gres=`, `TresPerNode=` leaves the old one there (`TresPerNode=,gres:fpga:u250:1`), so that
it is not written then, but `TresPerJob=` is: with it, 24.11 and 26.05 let go of `--gpus`.

Of a heterogeneous job's components, each is changed under its own id but the first: there the id means all,
and `ID+0` that one. scontrol takes no `NumNodes` with `ID+0`, nor with the id that means all.
"""

from __future__ import annotations

from collections.abc import Iterator

from hetslurm.errors import SlurmRefused
from hetslurm.slurm.gres import render_gres
from hetslurm.slurm.protocol import JobUpdate


def render_update(update: JobUpdate, *, leads_het_job: bool = False) -> list[str]:
    """`Key=Value` arguments, one each; empty when there is nothing to change.

    Raises SlurmRefused when a heterogeneous job's first component were to get more nodes than its one.
    """
    settings = dict(_settings(update))
    if leads_het_job and settings.pop("NumNodes", None) and update.nodes != 1:
        raise SlurmRefused(f"scontrol cannot give {update.nodes} nodes to {HET_LEADER}")
    start = ["StartTime=now"] if update.start_now else []
    return [*(f"{key}={value}" for key, value in settings.items()), *start]


HET_LEADER = "the first component of a heterogeneous job"


def _settings(update: JobUpdate) -> Iterator[tuple[str, object]]:
    if update.partition is not None:
        yield "Partition", update.partition
    yield from _gres(update)
    if update.nodes is not None:
        yield "NumNodes", f"{update.nodes}-{update.nodes}"
    if update.node_names is not None:
        yield "ReqNodeList", ",".join(update.node_names)
    if update.tasks is not None:
        yield "NumTasks", update.tasks
    if update.cpus_per_node is not None:
        yield "MinCPUsNode", update.cpus_per_node
        if update.nodes is not None:
            yield "NumCPUs", update.cpus_per_node * update.nodes
    if update.cpus_per_task is not None:
        yield "CPUsPerTask", update.cpus_per_task
    if update.mem_mb_per_node is not None:
        yield "MinMemoryNode", update.mem_mb_per_node
    if update.time_limit_min is not None:
        yield "TimeLimit", update.time_limit_min
    as_given = {
        "QOS": update.qos,
        "AdminComment": update.admin_comment,
        "SiteFactor": update.site_factor,
    }
    yield from ((key, value) for key, value in as_given.items() if value is not None)


def _gres(update: JobUpdate) -> Iterator[tuple[str, object]]:
    if update.clear_gres:
        if not update.gres:
            yield "TresPerNode", ""
        yield "TresPerJob", ""
    if update.gres:
        yield "Gres", render_gres(update.gres)

"""Whether a node does nothing, so that measuring its speed disturbs nobody and measures only the node."""

from __future__ import annotations

from hetslurm.host.kernelfs import entries, read_text
from hetslurm.host.processors import read_processors

# Load average over one minute, for each cpu, below which a node is idle: daemons always do something.
IDLE_LOAD_PER_CPU = 0.1
# On a machine with few cpus, a single daemon is more than that.
IDLE_LOAD = 0.5


def is_job_step(comm: str, cmdline: str) -> bool:
    """A process is the slurmstepd of a step that runs.

    With cgroup v2 slurmd keeps one "slurmstepd infinity" for as long as it lives, which holds no job.
    """
    words = cmdline.split("\0")
    return comm.strip() == "slurmstepd" and not (len(words) > 1 and words[1] == "infinity")


def count_job_steps(base: str) -> int:
    """Steps that run on this host, of whichever slurmd."""
    steps = 0
    for name in entries(f"{base}/proc"):
        if not name.isdecimal():
            continue
        comm = read_text(f"{base}/proc/{name}/comm", 64)
        if comm is not None and comm.startswith("slurmstepd"):
            steps += is_job_step(comm, read_text(f"{base}/proc/{name}/cmdline", 4096) or "")
    return steps


def why_not_idle(base: str, idle_load_per_cpu: float = IDLE_LOAD_PER_CPU) -> str:
    """What the node is busy with, in words; "" when it is idle. What cannot be seen counts as busy."""
    steps = count_job_steps(base)
    if steps:
        return f"not idle: {steps} job steps run"
    values = read_processors(base)
    load, cpus = values.get("load1"), values.get("cpus")
    if load is None or cpus is None:
        return "not idle as far as is known: load or cpus cannot be read"
    limit = max(IDLE_LOAD, idle_load_per_cpu * cpus)
    if not load <= limit:
        return f"not idle: load {load:.2f}, {limit:.2f} is the most for {cpus:.0f} cpus"
    return ""

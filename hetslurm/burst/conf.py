"""What slurm.conf needs for cloud nodes, and the programs that it names.

Measured on 22.05: ResumeProgram must be a path without arguments, gets no PATH, and starts with its signals
blocked; what it prints goes nowhere.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from hetslurm.cloudburst.policy import CloudPool, Policy

# Slurm's key, the name of the file, and the command that it runs.
PROGRAMS: tuple[tuple[str, str, str], ...] = (
    ("ResumeProgram", "hetslurm-resume", "resume"),
    ("SuspendProgram", "hetslurm-suspend", "suspend"),
    ("ResumeFailProgram", "hetslurm-resume-fail", "resume-fail"),
)
SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class SlurmConf:
    """`settings` are whole lines, `lists` words to add to a comma-separated setting, `partitions` the options
    of each cloud partition; `cloud_partitions` is the line of job_submit_hetslurm.conf.
    """

    settings: tuple[tuple[str, str], ...]
    lists: tuple[tuple[str, tuple[str, ...]], ...]
    partitions: tuple[tuple[str, str], ...]
    cloud_partitions: str


def slurm_conf(policy: Policy, version: tuple[int, ...], programs: PurePath, *, poll_s: int = 5) -> SlurmConf:
    """The lines for a Slurm release; `programs` is the folder with the three programs.

    Slurm looks every `poll_s` seconds for nodes to start or end.
    """
    settings = [(key, str(programs / name)) for key, name, _ in PROGRAMS]
    settings += [("ResumeRate", "0"), ("SuspendRate", "0"), ("ReturnToService", "2")]
    power = (
        "idle_on_node_suspend",
        f"power_save_interval={poll_s}",
        f"power_save_min_interval={min(poll_s, 1)}",
    )
    lists: list[tuple[str, tuple[str, ...]]] = [("SlurmctldParameters", power)]
    if version < (23, 2):
        lists.append(("PrivateData", ("cloud",)))
    return SlurmConf(
        settings=tuple(settings),
        lists=tuple(lists),
        partitions=tuple((pool.partition, partition_options(pool)) for pool in policy.pools),
        cloud_partitions=",".join(pool.partition for pool in policy.pools),
    )


def partition_options(pool: CloudPool) -> str:
    """A cloud partition's own words: nobody's but through hetslurm, and its times.

    Not EXCLUSIVE, although a node is one job's: in a cluster with GRES, Slurm 22.05 does not run such a job
    again once it was requeued (BadConstraints). hetslurm sends no other job there.
    `idle_s` covers SuspendTime and SuspendTimeout, which take a third of it, 120 s at most.
    """
    suspend_timeout_s = max(1, min(120, int(pool.idle_s / 3)))
    suspend_s = max(1, int(pool.idle_s) - suspend_timeout_s)
    return (
        f"OverSubscribe=NO RootOnly=YES SuspendTime={suspend_s} "
        f"ResumeTimeout={int(pool.boot_timeout_s)} SuspendTimeout={suspend_timeout_s}"
    )


def render_conf(conf: SlurmConf, policy: Policy) -> str:
    """For people, to be copied into slurm.conf and job_submit_hetslurm.conf."""
    lines = ["# slurm.conf"]
    lines += [f"{key}={value}" for key, value in conf.settings]
    for key, words in conf.lists:
        lines += [f"# add to what {key} says already:", f"{key}={','.join(words)}"]
    for pool, (partition, options) in zip(policy.pools, conf.partitions, strict=True):
        lines += [
            f"# your names for the nodes; what {pool.instance_type} has",
            f"#NodeName={partition}[1-64] CPUs=… RealMemory=… State=CLOUD",
            f"PartitionName={partition} Nodes={partition}[1-64] {options}",
        ]
    lines += ["", "# job_submit_hetslurm.conf, beside slurm.conf", f"CloudPartitions={conf.cloud_partitions}"]
    return "\n".join(lines) + "\n"


def json_conf(conf: SlurmConf) -> dict[str, object]:
    """The same for programs."""
    return {
        "slurm_conf": dict(conf.settings),
        "slurm_conf_lists": {key: list(words) for key, words in conf.lists},
        "partitions": dict(conf.partitions),
        "job_submit_hetslurm_conf": {"CloudPartitions": conf.cloud_partitions},
    }


def add_words(line: str, words: tuple[str, ...]) -> str:
    """`Key=a,b` with the words that are not in it yet."""
    key, _, value = line.partition("=")
    there = [word for word in value.split(",") if word]
    return f"{key}={','.join([*there, *(word for word in words if word not in there)])}"


def program_text(
    command: str, *, python: str, config: str, log: str, environment: Mapping[str, str] | None = None
) -> str:
    """One of the three programs: a shell script that runs `hetslurm burst COMMAND NODES`.

    Its output goes to `log`, or nowhere when that cannot be written: the nodes matter more.
    """
    setting = {"PATH": SAFE_PATH} | dict(environment or {})
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in setting.items())
    return (
        "#!/bin/sh\n"
        "# Written by `hetslurm burst conf --write`. Slurm gives it no PATH, and its output no place.\n"
        f"{exports}"
        f"if (umask 077; true >>{shlex.quote(log)}); then exec >>{shlex.quote(log)} 2>&1; "
        "else exec >/dev/null 2>&1; fi\n"
        f'exec {shlex.quote(python)} -P -m hetslurm burst {command} --config {shlex.quote(config)} -- "$@"\n'
    )


def write_programs(
    folder: Path, *, python: str, config: str, log: str, environment: Mapping[str, str] | None = None
) -> tuple[Path, ...]:
    """The three programs, 0755, each replaced in one step: slurmctld may be running it."""
    written = []
    for _, name, command in PROGRAMS:
        new = folder / f".{name}.new"
        text = program_text(command, python=python, config=config, log=log, environment=environment)
        new.write_text(text, encoding="utf-8")
        new.chmod(0o755)
        new.replace(folder / name)
        written.append(folder / name)
    return tuple(written)

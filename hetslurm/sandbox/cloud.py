"""A sandbox's cloud: burst.toml, Slurm's power saving, and the programs that Slurm runs for it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable

from hetslurm.burst.conf import SlurmConf, add_words, slurm_conf, write_programs
from hetslurm.cloudburst.policy_file import parse_policy
from hetslurm.errors import SandboxError
from hetslurm.sandbox.commands import agent_command
from hetslurm.sandbox.layout import Layout
from hetslurm.sandbox.process import MARKER
from hetslurm.sandbox.spec import CloudGroup, Spec

PROVIDER = "local"
_DEFAULT_CAP = '[[cap]]\nlevel = "site"\nper = "day"\nlimit = 100\n'


def burst_toml(spec: Spec, layout: Layout) -> str:
    """The local provider unless the spec has one, a pool for every group, then the spec's own tables."""
    try:
        own = tomllib.loads(spec.burst_toml)
    except tomllib.TOMLDecodeError as error:
        raise SandboxError(f"the tables for burst.toml are no TOML: {error}") from error
    provider = next(iter(own.get("provider", {PROVIDER: None})))
    parts = [] if "provider" in own else [_local_provider(spec, layout)]
    parts += [_pool(group, provider) for group in spec.cloud]
    if "cap" not in own:
        parts.append(_DEFAULT_CAP)
    return "\n".join([*parts, spec.burst_toml])


def add_to_slurm_conf(lines: list[str], spec: Spec, layout: Layout, version: tuple[int, int]) -> list[str]:
    """slurm.conf with what power saving needs; words go into settings that are there already."""
    conf = _conf(spec, layout, version)
    words = dict(conf.lists)
    merged = [
        add_words(line, words.pop(key)) if (key := line.partition("=")[0]) in words else line
        for line in lines
    ]
    keys = {line.partition("=")[0] for line in lines}
    settings = [f"{key}={value}" for key, value in conf.settings if key not in keys]
    return [*merged, *settings, *(f"{key}={','.join(left)}" for key, left in words.items())]


def partition_lines(spec: Spec, layout: Layout, version: tuple[int, int]) -> list[str]:
    """The cloud partitions; `spec.partitions` adds to them as to the others."""
    conf = _conf(spec, layout, version)
    names = {group.partition: ",".join(group.node_names()) for group in spec.cloud}
    return [
        f"PartitionName={name} Nodes={names[name]} {options} {spec.partitions.get(name, '')}".rstrip()
        for name, options in conf.partitions
    ]


def cloud_partitions(spec: Spec) -> str:
    """The line of job_submit_hetslurm.conf; none without a cloud."""
    return f"CloudPartitions={','.join(group.partition for group in spec.cloud)}\n" if spec.cloud else ""


def prepare(layout: Layout) -> None:
    """The programs that slurm.conf names, marked as this sandbox's, so that all they start ends with it."""
    write_programs(
        layout.programs,
        python=sys.executable,
        config=str(layout.config),
        log=str(layout.log / "burst.log"),
        environment={MARKER: str(layout.root), "SLURM_CONF": str(layout.slurm_conf)},
    )


def _conf(spec: Spec, layout: Layout, version: tuple[int, int]) -> SlurmConf:
    return slurm_conf(parse_policy(burst_toml(spec, layout)), version, layout.programs, poll_s=1)


def _local_provider(spec: Spec, layout: Layout) -> str:
    ours = ("env", f"{MARKER}={layout.root}", f"SLURM_CONF={layout.slurm_conf}")
    start = _words((*ours, "slurmd", "-D", "-b", "-N", "{node}"))
    agent = _words((*ours, *agent_command(layout, "{node}"))) if spec.agents else ""
    return f"""\
[provider.{PROVIDER}]
kind = "local"
dir = "{layout.cloud}"
slurm_conf = "{layout.slurm_conf}"
start_command = [{start}]
agent_command = [{agent}]
capacity = {sum(group.nodes for group in spec.cloud)}
boot_s = {min(group.boot_s for group in spec.cloud)}
price = 0.4
on_demand_price = 1
zones = ["a", "b"]
faults = "{layout.cloud / "faults.json"}"
"""


def _words(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _pool(group: CloudGroup, provider: str) -> str:
    return f"""\
[[pool]]
partition = "{group.partition}"
provider = "{provider}"
instance_type = "{group.instance_type}"
purchases = [{_words(group.purchases)}]
zones = [{_words(group.zones)}]
max_price = {group.max_price}
boot_s = {group.boot_s}
boot_timeout_s = {group.boot_timeout_s}
idle_s = {group.idle_s}
billed_least_s = 1
"""

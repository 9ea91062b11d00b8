"""Slurm's and hetslurm's files for a sandbox, as text. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from hetslurm.health.rules import RULES
from hetslurm.sandbox import accounting, cloud, moving
from hetslurm.sandbox.layout import Layout
from hetslurm.sandbox.spec import NodeGroup, Spec


@dataclass(frozen=True, slots=True)
class Host:
    """What the files need to know of this machine and this start."""

    name: str
    user: str
    version: tuple[int, int]
    system_plugin_dir: str
    ports: Mapping[str, int]
    devices: tuple[str, ...]


def slurm_conf(spec: Spec, layout: Layout, host: Host) -> str:
    """slurm.conf: quick to schedule, slow to forget, and sure that its nodes are what it says."""
    lines = [
        "ClusterName=sandbox",
        f"SlurmctldHost={host.name}(127.0.0.1)",
        f"SlurmctldPort={host.ports['slurmctld']}",
        f"SlurmUser={host.user}",
        f"SlurmdUser={host.user}",
        "AuthType=auth/munge",
        f"AuthInfo=socket={layout.munge_socket}",
        "CredType=cred/munge",
        f"StateSaveLocation={layout.root}/state",
        f"SlurmdSpoolDir={layout.root}/spool/%n",
        f"SlurmctldPidFile={layout.run}/slurmctld.pid",
        f"SlurmdPidFile={layout.run}/slurmd-%n.pid",
        f"SlurmctldLogFile={layout.log}/slurmctld.log",
        f"SlurmdLogFile={layout.log}/slurmd-%n.log",
        "SlurmctldDebug=info",
        "SlurmdDebug=info",
        "SlurmdParameters=config_overrides",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU_Memory",
        f"DefMemPerCPU={min(group.mem_mb // group.cpus for group in all_groups(spec))}",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=batch_sched_delay=0,bf_interval=2,bf_resolution=1,sched_min_interval=1000",
        "EnforcePartLimits=ALL",
        "MaxJobCount=20000",
        "MinJobAge=7200",
        "ReturnToService=2",
        "SlurmctldTimeout=30",
        "SlurmdTimeout=120",
        "InactiveLimit=0",
        "KillWait=2",
        "MailProg=/bin/true",
        "MpiDefault=none",
        "SwitchType=switch/none" if host.version < (24, 5) else "",
        "PropagateResourceLimits=NONE",
    ]
    if spec.accounting:
        lines += [
            "AccountingStorageType=accounting_storage/slurmdbd",
            "AccountingStorageHost=127.0.0.1",
            f"AccountingStoragePort={host.ports['slurmdbd']}",
            f"AccountingStoragePass={layout.munge_socket}",
            "AccountingStorageEnforce=associations,limits,qos",
            "JobAcctGatherType=jobacct_gather/linux",
            "PriorityType=priority/multifactor",
        ]
    else:
        lines += ["AccountingStorageType=accounting_storage/none", "JobAcctGatherType=jobacct_gather/none"]
    if spec.plugins:
        lines += [
            f"PluginDir={layout.plugins}:{host.system_plugin_dir}",
            "JobSubmitPlugins=hetslurm",
            f"PlugStackConfig={layout.root}/plugstack.conf",
        ]
    kinds = sorted({one.name for group in all_groups(spec) for one in moving.gres_of(spec, group)})
    if kinds:
        lines.append(f"GresTypes={','.join(kinds)}")
    lines += spec.slurm_conf
    for group in spec.groups:
        lines += [_node_line(spec, group, name, host) for name in group.node_names()]
    lines += [_partition_line(spec, group, is_default=i == 0) for i, group in enumerate(spec.groups)]
    lines += spec.extra_partitions
    if spec.cloud:
        lines = cloud.add_to_slurm_conf(lines, spec, layout, host.version)
        for clouds in spec.cloud:
            group = clouds.as_nodes()
            lines += [_node_line(spec, group, name, host, state="CLOUD") for name in group.node_names()]
        lines += cloud.partition_lines(spec, layout, host.version)
    return "\n".join(filter(None, lines)) + "\n"


def all_groups(spec: Spec) -> tuple[NodeGroup, ...]:
    """Nodes that are there and nodes that can be had."""
    return (*spec.groups, *(group.as_nodes() for group in spec.cloud))


def _node_line(spec: Spec, group: NodeGroup, name: str, host: Host, *, state: str = "UNKNOWN") -> str:
    words = [
        f"NodeName={name} NodeHostname={host.name} NodeAddr=127.0.0.1 Port={host.ports[name]}",
        f"CPUs={group.cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={group.cpus} ThreadsPerCore=1",
        f"RealMemory={group.mem_mb}",
        f"Gres={','.join(one.words for one in gres)}" if (gres := moving.gres_of(spec, group)) else "",
        f"Feature={','.join(group.features)}" if group.features else "",
        f"State={state}",
    ]
    return " ".join(filter(None, words))


def _partition_line(spec: Spec, group: NodeGroup, *, is_default: bool) -> str:
    name = group.partition or group.kind
    words = [
        f"PartitionName={name} Nodes={','.join(group.node_names())}",
        "Default=YES" if is_default else "",
        spec.partitions.get(name, ""),
    ]
    return " ".join(filter(None, words))


def gres_conf(spec: Spec, host: Host) -> str:
    """gres.conf: GPUs need character devices, or SLURM_JOB_GPUS stays empty; other kinds are counted."""
    return (
        "\n".join(
            line
            for group in all_groups(spec)
            for gres in moving.gres_of(spec, group)
            for name in group.node_names()
            for line in gres.conf_lines(name, host.devices)
        )
        + "\n"
    )


def cgroup_conf(host: Host) -> str:
    """No plugin in use needs cgroups; releases from 23.11 can be told so."""
    return "CgroupPlugin=disabled\n" if host.version >= (23, 11) else "CgroupPlugin=cgroup/v1\n"


def plugstack_conf(layout: Layout) -> str:
    """SPANK: the --het option and HET_* variables."""
    return f"required {layout.plugins}/spank_hetslurm.so\n"


def job_submit_conf(spec: Spec, layout: Layout) -> str:
    """job_submit_hetslurm.conf, which the plugin reads beside slurm.conf."""
    own = f"Snapshot={layout.snapshot}\nStats={layout.stats}\nOnAbsent={spec.on_absent}\n"
    return own + cloud.cloud_partitions(spec) + moving.dummy_gres(spec)


def slurmdbd_conf(layout: Layout, host: Host) -> str:
    """slurmdbd.conf; it finds MariaDB's socket by MYSQL_UNIX_PORT."""
    return "\n".join(
        [
            "AuthType=auth/munge",
            f"AuthInfo=socket={layout.munge_socket}",
            f"DbdHost={host.name}",
            "DbdAddr=127.0.0.1",
            f"DbdPort={host.ports['slurmdbd']}",
            f"SlurmUser={host.user}",
            "StorageType=accounting_storage/mysql",
            "StorageHost=localhost",
            f"StorageUser={host.user}",
            f"StorageLoc={accounting.DATABASE}",
            f"LogFile={layout.log}/slurmdbd.log",
            f"PidFile={layout.run}/slurmdbd.pid",
            "",
        ]
    )


def hetslurm_toml(spec: Spec, layout: Layout, host: Host) -> str:
    """hetslurm.toml: the sandbox's own paths, then the spec's tables."""
    return f"""\
{_health_tables(spec, layout, host)}
[controller]
cycle_s = {spec.cycle_s}
state_dir = "{layout.controller_state}"
adapter = "commands"

[snapshot]
path = "{layout.snapshot}"
max_age_s = {spec.snapshot_max_age_s}
on_absent = "{spec.on_absent}"

{_burst_table(spec, layout)}{moving.dummy_pools(spec)}{spec.config_toml}"""


def _burst_table(spec: Spec, layout: Layout) -> str:
    return f'[burst]\npolicy = "{layout.burst_policy}"\n\n' if spec.cloud else ""


def _health_tables(spec: Spec, layout: Layout, host: Host) -> str:
    """The bus, and judgement as quick as a sandbox's users; a spec's own [health] wins."""
    if not spec.agents:
        return '[bus]\nlisten = ""\n'
    bus = (
        f'[bus]\nlisten = "tcp://127.0.0.1:{host.ports["bus"]}"\nkeys_dir = "{layout.keys}"\n'
        f"beat_s = {spec.beat_s}\n"
    )
    if "health" in tomllib.loads(spec.config_toml):
        return bus
    quick = f"clear_s = {2 * spec.beat_s}\n"
    # All pretended nodes are this one machine: how busy it is says nothing of any of them.
    shared = ", ".join(f'"{rule.name}"' for rule in RULES if rule.probe in {"host", "link"})
    return (
        f"{bus}\n[health]\n{quick}store_only = [{shared}]\n"
        f'\n[health.drain]\nmode = "on"\nburst_share = 0.5\n{quick}'
    )


def agent_toml(spec: Spec, layout: Layout, host: Host, node: str) -> str:
    """A node's own hetslurm.toml: where the controller is, and the devices that it pretends to have."""
    return f"""\
[bus]
connect = ["tcp://127.0.0.1:{host.ports["bus"]}"]
keys_dir = "{layout.node(node)}"
beat_s = {spec.beat_s}

[agent]
deadline_s = 5
fake_dir = "{layout.node(node)}"
"""

"""The pretended nodes' agents: a key, a configuration and pretended devices for each."""

from __future__ import annotations

from pathlib import Path

from hetslurm.bus.authority import Authority
from hetslurm.bus.keys import NODE_FILE
from hetslurm.clock import SystemClock
from hetslurm.errors import SandboxError
from hetslurm.fpga import fake as fake_fpga
from hetslurm.gpu import fake as fake_gpu
from hetslurm.sandbox import conf
from hetslurm.sandbox.layout import Layout
from hetslurm.sandbox.spec import NodeGroup, Spec


def prepare(spec: Spec, layout: Layout, host: conf.Host) -> None:
    """Write what the agents need; the sandbox's folders are there already."""
    authority = Authority(layout.keys, SystemClock())
    authority.init()
    groups = conf.all_groups(spec)  # a cloud node has its key before it has an instance
    names = [node for group in groups for node in group.node_names()]
    for node, key in zip(names, authority.issue(names), strict=True):
        layout.node(node).mkdir()
        key.rename(layout.node(node) / NODE_FILE)
        config = layout.node(node) / "hetslurm.toml"
        config.write_text(conf.agent_toml(spec, layout, host, node), encoding="utf-8")
    for group in groups:
        for node in group.node_names():
            _write_devices(group, layout.node(node))


def _write_devices(group: NodeGroup, folder: Path) -> None:
    """As many as Slurm is told of: a pretended node never shows this machine's own devices."""
    name = f"pretended {group.type or group.kind}"
    fake_gpu.write_fake(folder / "gpu.json", gpus=group.devices if group.kind == "gpu" else 0, name=name)
    fake_fpga.write_fake(folder / "fpga.json", cards=group.devices if group.kind == "fpga" else 0, name=name)


def break_device(layout: Layout, node: str, kind: str, index: int, fault: str) -> None:
    """Let a pretended device go bad. ProbeError names the faults there are."""
    folder = layout.node(node)
    try:
        if kind == "gpu":
            fake_gpu.break_fake(folder / "gpu.json", fault, index)
        else:
            fake_fpga.break_fake(folder / "fpga.json", fault, index)
    except IndexError:
        raise SandboxError(f"{node} has no {kind} {index}") from None


def heal(layout: Layout, node: str) -> None:
    """Make all pretended devices of a node healthy."""
    fake_gpu.heal_fake(layout.node(node) / "gpu.json")
    fake_fpga.heal_fake(layout.node(node) / "fpga.json")

"""GRES of pretended nodes: their devices, and what lets pending jobs move between them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hetslurm.sandbox.spec import NodeGroup, Spec

FILLER = "slot"
# Jobs that wait on the cpus of a node take a slot each; more than fit never run at once.
SLOTS = 64


@dataclass(frozen=True, slots=True)
class NodeGres:
    """One entry of a node's `Gres=`. `first` is the number of its first device on the node."""

    name: str
    type: str
    count: int
    first: int = 0

    @property
    def words(self) -> str:
        """In slurm.conf's words: `gpu:a100:1`."""
        return ":".join(part for part in (self.name, self.type, str(self.count)) if part)

    def conf_lines(self, node: str, devices: Sequence[str]) -> list[str]:
        """gres.conf: GPUs need character devices, or SLURM_JOB_GPUS stays empty; other kinds are counted.

        Each its own: slurmd ends at a file that is there twice, for a dummy as well.
        """
        start = f"NodeName={node} Name={self.name}" + (f" Type={self.type}" if self.type else "")
        if self.name == "gpu":
            return [f"{start} File={devices[(self.first + i) % len(devices)]}" for i in range(self.count)]
        return [f"{start} Count={self.count}" + (" Flags=CountOnly" if self.name == FILLER else "")]


def gres_of(spec: Spec, group: NodeGroup) -> tuple[NodeGres, ...]:
    """What each node of a group has."""
    own = [NodeGres(group.kind, group.type, group.devices)] if group.devices else []
    filler = [NodeGres(FILLER, "", SLOTS)] if spec.filler and not group.devices else []
    return (*own, *filler, *_dummies(spec, group))


def dummy_gres(spec: Spec) -> str:
    """job_submit_hetslurm.conf's line that keeps users from asking for dummies."""
    pairs = [
        f"{partition}:{':'.join(filter(None, (one.name, one.type)))}"
        for number, group in enumerate(spec.groups)
        for partition in (_partition(group), *([""] if number == 0 else []))  # the first is the default
        for one in _dummies(spec, group)
    ]
    return f"DummyGres={','.join(pairs)}\n" if pairs else ""


def dummy_pools(spec: Spec) -> str:
    """hetslurm.toml's entries that keep dummies from becoming pools."""
    return "".join(
        f'[[pool]]\npartition = "{_partition(group)}"\nkind = "{one.name}"\n'
        + (f'type = "{one.type}"\n' if one.type else "")
        + "dummy = true\n\n"
        for group in spec.groups
        for one in _dummies(spec, group)
    )


def _dummies(spec: Spec, group: NodeGroup) -> list[NodeGres]:
    most: dict[tuple[str, str], int] = {}
    for other in spec.groups if spec.dummies else ():
        key = (other.kind, other.type)
        if other.devices and key != (group.kind, group.type):
            most[key] = max(most.get(key, 0), other.devices)
    found, first = [], group.devices
    for (kind, type_), count in most.items():
        found.append(NodeGres(kind, type_, count, first))
        first += count
    return found


def _partition(group: NodeGroup) -> str:
    return group.partition or group.kind

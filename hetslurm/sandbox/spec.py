"""What a sandbox should look like. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from hetslurm.errors import SandboxError

_GROUP = re.compile(
    r"(?P<kind>[a-z][a-z0-9_]*)(?::(?P<type>[A-Za-z0-9_.-]+?))?(?::(?P<count>\d+))?=(?P<nodes>\d+)"
)
MAX_NODES = 512
MAX_DEVICES = 64


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Alike pretended nodes. `devices` per node; `cpus` and `mem_mb` are what Slurm is told of them."""

    kind: str
    nodes: int
    type: str = ""
    devices: int = 0
    cpus: int = 16
    mem_mb: int = 64_000
    partition: str = ""
    prefix: str = ""
    features: tuple[str, ...] = ()

    def node_names(self) -> tuple[str, ...]:
        """`cpu1`, `cpu2`… or `gpu-a100-1`… when the group has a prefix of its own."""
        return tuple(f"{self.prefix or self.kind}{i}" for i in range(1, self.nodes + 1))

    @property
    def gres(self) -> str:
        """In slurm.conf's words: `gpu:a100:1`; empty for cpu nodes."""
        if not self.devices:
            return ""
        return ":".join(part for part in (self.kind, self.type, str(self.devices)) if part)


@dataclass(frozen=True, slots=True)
class CloudGroup:
    """Alike CLOUD nodes of one partition: a slurmd each, started when Slurm asks and money is set aside.

    `devices` per node, as in a NodeGroup. `instance_type` is what burst.toml calls them; prices are text of
    the site's currency an hour. `boot_s` is how long one takes to come, `boot_timeout_s` the most;
    `idle_s` from its job's end until it is gone.
    """

    nodes: int
    partition: str = "cloud"
    kind: str = "cpu"
    type: str = ""
    devices: int = 0
    cpus: int = 16
    mem_mb: int = 64_000
    features: tuple[str, ...] = ()
    instance_type: str = "local"
    purchases: tuple[str, ...] = ("spot", "on-demand")
    zones: tuple[str, ...] = ()
    max_price: str = "4"
    boot_s: float = 1.0
    boot_timeout_s: float = 60.0
    idle_s: float = 6.0

    def node_names(self) -> tuple[str, ...]:
        """`cloud1`, `cloud2`… in a partition that is called cloud."""
        return tuple(f"{self.partition}{i}" for i in range(1, self.nodes + 1))

    def as_nodes(self) -> NodeGroup:
        """What they look like to Slurm once they are there."""
        return NodeGroup(
            *(self.kind, self.nodes, self.type, self.devices, self.cpus, self.mem_mb),
            partition=self.partition,
            prefix=self.partition,
            features=self.features,
        )


@dataclass(frozen=True, slots=True)
class Spec:
    """A sandbox to be: nodes, what runs beside Slurm, and lines for its files.

    With `agents`, one runs for every node, with pretended devices where Slurm is told of some; drains are on.
    `slurm_conf` lines are appended to slurm.conf; `partitions` adds options to a generated partition's
    line; `extra_partitions` are whole lines. `config_toml` is the rest of hetslurm.toml: [[pool]] and so on.

    `cloud` nodes are the local provider's instances, or those of the first [provider.NAME] that `burst_toml`
    has. That is the rest of burst.toml: caps, spill, retry; without a cap, the site's is 100 a day.

    What helps pending jobs to move (docs/rebinding-slurm.md): with `filler`, cpu nodes have a count-only GRES
    `slot`; with `dummies`, every node has every other group's devices as dummies.
    """

    groups: tuple[NodeGroup, ...]
    plugins: bool = True
    controller: bool = True
    agents: bool = False
    beat_s: float = 2.0
    accounting: bool = False
    cycle_s: float = 1.0
    on_absent: str = "hold"
    snapshot_max_age_s: float = 30.0
    partitions: dict[str, str] = field(default_factory=dict)
    extra_partitions: tuple[str, ...] = ()
    slurm_conf: tuple[str, ...] = ()
    config_toml: str = ""
    start_slurmd: bool = True
    cloud: tuple[CloudGroup, ...] = ()
    burst_toml: str = ""
    filler: bool = False
    dummies: bool = False


def parse_nodes(text: str, *, cpus: int = 16, mem_mb: int = 64_000) -> tuple[NodeGroup, ...]:
    """`cpu=4,gpu:a100=2,gpu:v100:4=1`: KIND[:TYPE[:DEVICES]]=NODES, one device a node if not said.

    Raises SandboxError with the word that is wrong.
    """
    groups = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        match = _GROUP.fullmatch(word)
        if match is None:
            raise SandboxError(
                f"--nodes: {word!r} is not KIND[:TYPE[:DEVICES]]=NODES, for example cpu=4 or gpu:a100:2=1"
            )
        kind, type_, nodes = match["kind"], match["type"] or "", int(match["nodes"])
        if kind == "cpu" and (type_ or match["count"]):
            raise SandboxError(f"--nodes: {word!r}: cpu nodes have no type and no devices; write cpu={nodes}")
        devices = 0 if kind == "cpu" else int(match["count"] or 1)
        if not 1 <= nodes <= MAX_NODES or devices > MAX_DEVICES:
            raise SandboxError(
                f"--nodes: {word!r}: 1 to {MAX_NODES} nodes with up to {MAX_DEVICES} devices each"
            )
        groups.append(NodeGroup(kind, nodes, type_, devices, cpus, mem_mb))
    if not groups:
        raise SandboxError("--nodes names no node; for example cpu=4,gpu:a100=2,fpga:u250=1")
    return _named_apart(groups)


def parse_cloud(text: str, *, cpus: int = 16, mem_mb: int = 64_000) -> tuple[CloudGroup, ...]:
    """The same for cloud nodes: a partition `cloud`, or `cloud-cpu`, `cloud-gpu`… where there are several."""
    groups = parse_nodes(text, cpus=cpus, mem_mb=mem_mb)
    return tuple(
        CloudGroup(
            group.nodes,
            "cloud" if len(groups) == 1 else f"cloud-{group.partition}",
            *(group.kind, group.type, group.devices, cpus, mem_mb),
        )
        for group in groups
    )


def _named_apart(groups: list[NodeGroup]) -> tuple[NodeGroup, ...]:
    """Give each group its partition and node prefix: the kind alone where that is unique, else kind-type."""
    kinds = [group.kind for group in groups]
    named = []
    for group in groups:
        alone = kinds.count(group.kind) == 1
        name = group.kind if alone else "-".join(p for p in (group.kind, group.type) if p)
        named.append(replace(group, partition=name, prefix=name if alone else f"{name}-"))
    names = [group.partition for group in named]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SandboxError(f"--nodes: {', '.join(sorted(twice))} is there twice; say it once with more nodes")
    return tuple(named)

"""Which moves a pending job can make: by Slurm's release and what the site's nodes offer. Pure.

An update changes a job's partition in every release. Its GRES are another matter, and what each release
makes of one was measured on real daemons (docs/rebinding-slurm.md): a release that was not measured counts
as the newest measured one before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from hetslurm.cluster import Cluster, Gres, Node
from hetslurm.site import Site

Version = tuple[int, int, int]
Device = tuple[str, str]
# Releases whose moves were measured. The first: a job can get GRES, and never loses any.
MEASURED: tuple[Version, ...] = ((22, 5, 8), (24, 11, 5), (26, 5, 5))
# From here on a job's GRES can be replaced, and then taken away; the micro release does not matter.
REPLACES, EMPTIES = (24, 11), (26, 5)


class Route(StrEnum):
    """How a move is made."""

    PLAIN = "plain"
    SET_GRES = "set-gres"
    FILLER = "filler"
    EMPTY_GRES = "empty-gres"
    DUMMY = "dummy"


@dataclass(frozen=True, slots=True)
class Holding:
    """The GRES that a pending job asks for, per node. `per_job`: it asked for them in all (`--gpus`)."""

    gres: tuple[Gres, ...] = ()
    per_job: bool = False


@dataclass(frozen=True, slots=True)
class Ground:
    """What a partition offers a job that cannot let go of GRES.

    `filler` is a count-only GRES that all its nodes have that take cpu jobs; `devices` (name, type) are on
    all of its nodes, real or dummies.
    """

    filler: str = ""
    devices: frozenset[Device] = frozenset()


@dataclass(frozen=True, slots=True)
class Way:
    """The route of a move, or why there is none.

    `gres` is what to ask for, per node; None: what the job has stays. `per_job`: it has what it asked for in
    all, which only a word of their own takes away. `hetslurm.slurm.routes` writes it.
    """

    route: Route | None
    gres: tuple[Gres, ...] | None = None
    why: str = ""
    per_job: bool = False

    @property
    def is_open(self) -> bool:
        """The move can be made."""
        return self.route is not None

    @property
    def needs_hold(self) -> bool:
        """It takes two updates, and the job has no GRES between them: it must not start there."""
        return self.route is Route.DUMMY and bool(self.gres)


@dataclass(frozen=True, slots=True)
class Moves:
    """What moves there are here. `kinds` are the real devices of the cluster, by (name, type)."""

    version: Version
    grounds: Mapping[str, Ground] = field(default_factory=dict)
    kinds: frozenset[Device] = frozenset()

    def way(self, have: Holding, want: Sequence[Gres], partition: str) -> Way:
        """How a pending job that holds `have` gets to ask for `want`, per node, in this partition."""
        ground = self.grounds.get(partition, Ground())
        held, wanted = _counts(have.gres), _counts(want)
        goal = tuple(want)
        if held == wanted:
            return Way(Route.PLAIN)
        if not held or (held.keys() <= wanted.keys() and not have.per_job):
            return Way(Route.SET_GRES, goal)
        way = self._to_others(held, goal, ground) if wanted else self._to_none(held, ground)
        return replace(way, per_job=have.per_job)

    def _to_others(self, held: Mapping[Device, int], goal: tuple[Gres, ...], ground: Ground) -> Way:
        """To a place where it shall have other ones."""
        if self.version[:2] >= REPLACES:
            return Way(Route.SET_GRES, goal)
        if self._has_dummies(held, ground):
            return Way(Route.DUMMY, goal)
        return _closed(
            f"{self._release} cannot change its {_words(held)} into {_words(_counts(goal))}, "
            "and the nodes there lack dummies of it"
        )

    def _to_none(self, held: Mapping[Device, int], ground: Ground) -> Way:
        """To a place where it shall have none."""
        if self.version[:2] >= EMPTIES:
            return Way(Route.EMPTY_GRES, ())
        if self.version[:2] >= REPLACES:
            if not ground.filler:
                return _closed(
                    f"{self._release} cannot take its {_words(held)} away, "
                    "and the nodes there have no count-only GRES to have instead"
                )
            if held.keys() == {(ground.filler, "")}:
                return Way(Route.PLAIN)
            return Way(Route.FILLER, (Gres(ground.filler, "", 1),))
        if self._has_dummies(held, ground):
            return Way(Route.DUMMY, ())
        return _closed(
            f"{self._release} cannot take its {_words(held)} away, and the nodes there lack dummies of it"
        )

    def _has_dummies(self, held: Mapping[Device, int], ground: Ground) -> bool:
        """Whatever the job held before, this partition's nodes have it too: Slurm 22.05 remembers it all."""
        return bool(self.kinds) and self.kinds <= ground.devices and held.keys() <= ground.devices

    @property
    def _release(self) -> str:
        return f"Slurm {self.version[0]}.{self.version[1]:02}"


def read_moves(cluster: Cluster, site: Site) -> Moves:
    """The moves of this cluster, by its nodes' GRES; dummies are what the site says they are."""
    nodes = {node.name: node for node in cluster.nodes}
    grounds, kinds = {}, set()
    for partition in cluster.partitions:
        there = [nodes[name] for name in partition.nodes if name in nodes]
        grounds[partition.name] = _ground(there, partition.name, site)
        kinds |= {d for node in there for d in _devices(node, site) if not site.is_dummy(partition.name, *d)}
    return Moves(cluster.version, grounds, frozenset(kinds))


def measured_as(version: Version) -> Version | None:
    """The measured release that this one counts as; None for one before all of them."""
    return max((one for one in MEASURED if one[:2] <= version[:2]), default=None)


def _ground(nodes: Sequence[Node], partition: str, site: Site) -> Ground:
    if not nodes:
        return Ground()
    everywhere = frozenset.intersection(*(frozenset(_devices(node, site)) for node in nodes))
    take_cpu_jobs = [
        node
        for node in nodes
        if site.accelerator_nodes_take_cpu_jobs
        or all(site.is_dummy(partition, *device) for device in _devices(node, site))
    ]
    filler = site.rebind.filler_gres
    has_filler = take_cpu_jobs and all(node.units(filler, "") for node in take_cpu_jobs)
    return Ground(filler if has_filler else "", everywhere)


def _devices(node: Node, site: Site) -> list[Device]:
    return [(g.name, g.type) for g in node.gres if g.count > 0 and g.name not in site.resource_gres]


def _counts(gres: Sequence[Gres]) -> dict[Device, int]:
    return {(one.name, one.type): one.count for one in gres if one.count > 0}


def _closed(why: str) -> Way:
    return Way(None, why=why)


def _words(counts: Mapping[Device, int]) -> str:
    return ", ".join(sorted(":".join(filter(None, one)) for one in counts))

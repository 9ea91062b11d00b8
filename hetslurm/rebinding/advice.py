"""What moves a site has, and the lines of its files that would give it more. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hetslurm.cluster import Cluster, Gres, Node, Partition
from hetslurm.rebinding.capability import EMPTIES, REPLACES, Holding, Way, measured_as, read_moves
from hetslurm.site import Site

CPU = "cpu"
# A count-only GRES costs nothing: more than jobs that fit a node are never needed.
MOST_SLOTS = 256


@dataclass(frozen=True, slots=True)
class Move:
    """One move of the table: from a kind (and type) to another in a partition."""

    source: str
    target: str
    partition: str
    way: Way


@dataclass(frozen=True, slots=True)
class Lines:
    """What to add to a file, and what for."""

    file: str
    why: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A partition as jobs see it: what it offers besides dummies ("cpu" or `gpu:a100`)."""

    partition: str
    offers: tuple[str, ...]
    nodes: tuple[Node, ...]


def places_of(cluster: Cluster, site: Site) -> list[Place]:
    """Partitions with what their nodes offer."""
    nodes = {node.name: node for node in cluster.nodes}
    found = []
    for partition in cluster.partitions:
        there = tuple(nodes[name] for name in partition.nodes if name in nodes)
        offers: dict[str, None] = {}
        for node in there:
            real = [_label(g) for g in _devices(node, partition, site)]
            offers |= dict.fromkeys(real)
            if not real or site.accelerator_nodes_take_cpu_jobs:
                offers[CPU] = None
        found.append(Place(partition.name, tuple(offers), there))
    return found


def moves_of(cluster: Cluster, site: Site) -> list[Move]:
    """Every pair of what the site offers, and partition only."""
    moves = read_moves(cluster, site)
    places = places_of(cluster, site)
    kinds = list(dict.fromkeys(offer for place in places for offer in place.offers))
    found = [
        Move(
            source, target, place.partition, moves.way(Holding(_gres(source)), _gres(target), place.partition)
        )
        for source in kinds
        for place in places
        for target in place.offers
        if source != target
    ]
    alike = [Move(kind, kind, "", moves.way(Holding(_gres(kind)), _gres(kind), "")) for kind in kinds]
    return found + alike


def more_lines(cluster: Cluster, site: Site) -> list[Lines]:
    """The lines that open the moves that are closed; empty where none is, or none can be opened."""
    closed = [move for move in moves_of(cluster, site) if not move.way.is_open]
    if not closed or measured_as(cluster.version) is None:
        return []
    release = cluster.version[:2]
    if release >= EMPTIES:
        return []
    return list(_fillers(cluster, site) if release >= REPLACES else _dummies(cluster, site))


def warnings_of(cluster: Cluster, site: Site, settings: dict[str, str]) -> list[str]:
    """What makes hetslurm fail without a word. `settings` are slurm.conf's, by lower-case key."""
    found = []
    release = f"{cluster.version[0]}.{cluster.version[1]:02}"
    measured = measured_as(cluster.version)
    if measured is None:
        found.append(f"Slurm {release} is older than any that was tried (22.05): hetslurm is not made for it")
    elif measured[:2] != cluster.version[:2]:
        told = f"{measured[0]}.{measured[1]:02}"
        found.append(
            f"Slurm {release} was not measured: it counts as {told}, the newest measured one before it"
        )
    if "hetslurm" not in _words(settings.get("jobsubmitplugins", "")):
        found.append("JobSubmitPlugins lacks hetslurm: directives are not read, and no job is placed")
    if settings and settings.get("selecttype", "select/cons_tres") != "select/cons_tres":
        found.append("SelectType is not select/cons_tres: GRES per node are not allocated as asked")
    filler = site.rebind.filler_gres
    for place in places_of(cluster, site):
        short = [n.name for n in place.nodes if 0 < n.units(filler, "") < n.cpus and CPU in place.offers]
        if short:
            found.append(
                f"partition {place.partition}: {short[0]} has fewer {filler} than cpus: "
                "moved jobs may wait for one"
            )
    found += [
        f"partition {one.name}: no node of it is known to slurmctld"
        for one in cluster.partitions
        if not one.nodes
    ]
    unsaid = _unsaid_dummies(cluster, site)
    if unsaid:
        found.append(
            f"hetslurm.toml calls {', '.join(unsaid)} dummies, and job_submit_hetslurm.conf's DummyGres must "
            "say so, too, or users get them by asking"
        )
    return found


def _unsaid_dummies(cluster: Cluster, site: Site) -> list[str]:
    names = {partition.name for partition in cluster.partitions}
    return sorted(f"{one.partition}:{one.kind}" for one in site.pools if one.dummy and one.partition in names)


def _fillers(cluster: Cluster, site: Site) -> Iterator[Lines]:
    """24.11: a count-only GRES on nodes that take cpu jobs."""
    filler = site.rebind.filler_gres
    lacking: dict[str, Node] = {}
    for place in places_of(cluster, site):
        if CPU in place.offers:
            lacking |= {node.name: node for node in place.nodes if not node.units(filler, "")}
    if not lacking:
        return
    why = "jobs may leave their devices for cpu nodes"
    kinds = sorted({g.name for node in cluster.nodes for g in node.gres} | {filler})
    slots = min(MOST_SLOTS, max(64, *(node.cpus for node in lacking.values())))
    nodes = fold_names(lacking)
    have = "" if not any(node.gres for node in lacking.values()) else ", beside what the line has"
    yield Lines(
        "slurm.conf",
        why,
        (
            f"GresTypes={','.join(kinds)}",
            f"NodeName={nodes} … Gres={filler}:{slots}   # added to its line{have}",
        ),
    )
    yield Lines("gres.conf", why, (f"NodeName={nodes} Name={filler} Count={slots} Flags=CountOnly",))


def _dummies(cluster: Cluster, site: Site) -> Iterator[Lines]:
    """22.05: every node has every device type, if only as a dummy."""
    moves = read_moves(cluster, site)
    slurm, gres, toml, plugin = [], [], [], []
    default = next((one.name for one in cluster.partitions if one.is_default), "")
    for place in places_of(cluster, site):
        lacks = sorted(moves.kinds - _everywhere(place))
        if not lacks or not place.nodes:
            continue
        nodes = fold_names({node.name: node for node in place.nodes})
        words = ",".join(f"{_label(Gres(kind, type_, 1))}:1" for kind, type_ in lacks)
        slurm.append(f"NodeName={nodes} … Gres=…,{words}   # added to its line")
        for number, (kind, type_) in enumerate(lacks):
            type_word = f" Type={type_}" if type_ else ""
            device = f" File=/dev/tty{40 + number}" if kind == "gpu" else " Count=1"
            gres.append(f"NodeName={nodes} Name={kind}{type_word}{device}")
            label = _label(Gres(kind, type_, 1))
            plugin += [
                f"{where}:{label}"
                for where in (place.partition, *([""] if place.partition == default else []))
            ]
            type_line = f', type = "{type_}"' if type_ else ""
            toml.append(
                f'[[pool]]   # partition = "{place.partition}", kind = "{kind}"{type_line}, dummy = true'
            )
    if not slurm:
        return
    why = "jobs may change or leave their devices (the dummies' File must be a device that no other line has)"
    kinds = sorted({g.name for node in cluster.nodes for g in node.gres})
    yield Lines("slurm.conf", why, (f"GresTypes={','.join(kinds)}", *slurm))
    yield Lines("gres.conf", why, tuple(gres))
    yield Lines(
        "job_submit_hetslurm.conf", "nobody gets a dummy by asking", (f"DummyGres={','.join(plugin)}",)
    )
    yield Lines("hetslurm.toml", "dummies make no pools", tuple(_toml_lines(toml)))


def _toml_lines(entries: list[str]) -> Iterator[str]:
    for entry in entries:
        head, _, rest = entry.partition("   # ")
        yield head
        yield from rest.split(", ")


def _everywhere(place: Place) -> frozenset[tuple[str, str]]:
    sets = [frozenset((g.name, g.type) for g in node.gres if g.count) for node in place.nodes]
    return frozenset.intersection(*sets) if sets else frozenset()


def fold_names(nodes: dict[str, Node]) -> str:
    """Node names as a comma list, runs of numbers folded: `cpu[1-4],gpu1`."""
    runs: dict[str, list[tuple[int, str]]] = {}
    rest = []
    for name in sorted(nodes):
        head = name.rstrip("0123456789")
        digits = name[len(head) :]
        if digits:
            runs.setdefault(f"{head}\0{len(digits) if digits[0] == '0' else 0}", []).append(
                (int(digits), digits)
            )
        else:
            rest.append(name)
    found = list(rest)
    for key, numbers in runs.items():
        head = key.partition("\0")[0]
        spans: list[list[tuple[int, str]]] = []
        for number in sorted(numbers):
            if spans and number[0] == spans[-1][-1][0] + 1:
                spans[-1].append(number)
            else:
                spans.append([number])
        words = [span[0][1] if len(span) == 1 else f"{span[0][1]}-{span[-1][1]}" for span in spans]
        alone = len(words) == 1 and "-" not in words[0]
        found.append(head + (words[0] if alone else f"[{','.join(words)}]"))
    return ",".join(found)


def _devices(node: Node, partition: Partition, site: Site) -> list[Gres]:
    return [
        g
        for g in node.gres
        if g.count > 0
        and g.name not in site.resource_gres
        and not site.is_dummy(partition.name, g.name, g.type)
    ]


def _label(gres: Gres) -> str:
    return ":".join(filter(None, (gres.name, gres.type)))


def _gres(label: str) -> tuple[Gres, ...]:
    name, _, type_ = label.partition(":")
    return () if label == CPU else (Gres(name, type_, 1),)


def _words(text: str) -> set[str]:
    return {word.strip() for word in text.split(",")}

"""slurm.conf as a Cluster without jobs: what its nodes and partitions offer. Pure but for Include."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hetslurm.cluster import Cluster, Node, Partition
from hetslurm.errors import SlurmError
from hetslurm.slurm.gres import parse_count, parse_gres
from hetslurm.slurm.hostlist import expand_hostlist

_DEEPEST = 8
_IDLE = frozenset({"IDLE"})


def read_conf(path: Path, version: tuple[int, int, int]) -> tuple[Cluster, dict[str, str]]:
    """The cluster that the file describes, and its plain settings by lower-case key.

    Raises SlurmError with the file and line of what cannot be read.
    """
    nodes: dict[str, Node] = {}
    sets: dict[str, tuple[str, ...]] = {}
    partitions: list[Partition] = []
    settings: dict[str, str] = {}
    defaults: dict[str, dict[str, str]] = {"nodename": {}, "partitionname": {}}
    for where, line in _lines(path, 0):
        fields = _fields(line)
        first = next(iter(fields), "")
        if first in defaults and fields[first].upper() == "DEFAULT":
            defaults[first] |= {key: value for key, value in fields.items() if key != first}
        elif first == "nodename":
            for name in _names(fields[first], where):
                nodes[name] = _node(name, defaults[first] | fields)
        elif first == "nodeset":
            sets[fields[first]] = _names(fields.get("nodes", ""), where)
        elif first == "partitionname":
            partitions.append(_partition(defaults[first] | fields, where, nodes, sets))
        else:
            settings |= fields
    if not nodes:
        raise SlurmError(f"{path}: no NodeName line: expected a slurm.conf")
    name = settings.get("clustername", "")
    return Cluster(name, version, 0.0, tuple(nodes.values()), tuple(partitions), ()), settings


def _lines(path: Path, depth: int) -> Iterator[tuple[str, str]]:
    """Logical lines without comments, with their place; Include is followed."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SlurmError(f"{path}: cannot be read: {error.strerror}") from error
    begun = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = begun + raw.partition("#")[0].strip()
        if line.endswith("\\"):
            begun = line[:-1] + " "
            continue
        begun = ""
        if line.lower().startswith("include "):
            if depth >= _DEEPEST:
                raise SlurmError(f"{path}:{number}: Include goes deeper than {_DEEPEST} files")
            yield from _lines(path.parent / line.split(None, 1)[1].strip(), depth + 1)
        elif line:
            yield f"{path}:{number}", line


def _fields(line: str) -> dict[str, str]:
    words = (word.partition("=") for word in line.split())
    return {key.lower(): value.strip('"') for key, equals, value in words if equals}


def _names(text: str, where: str) -> tuple[str, ...]:
    try:
        return expand_hostlist(text)
    except SlurmError as error:
        raise SlurmError(f"{where}: {error}") from error


def _node(name: str, fields: dict[str, str]) -> Node:
    cpus = _number(fields, "cpus", 0) or _number(fields, "procs", 0)
    boards, sockets = _number(fields, "boards", 1), _number(fields, "sockets", 0)
    sockets = sockets or boards * _number(fields, "socketsperboard", 1)
    cpus = cpus or sockets * _number(fields, "corespersocket", 1) * _number(fields, "threadspercore", 1)
    features = frozenset(filter(None, fields.get("feature", fields.get("features", "")).split(",")))
    gres = parse_gres(fields.get("gres", ""))
    return Node(name, cpus, _number(fields, "realmemory", 1), _IDLE, gres, features=features)


def _partition(
    fields: dict[str, str], where: str, nodes: dict[str, Node], sets: dict[str, tuple[str, ...]]
) -> Partition:
    listed = fields.get("nodes", "")
    if listed.upper() == "ALL":
        names = tuple(nodes)
    else:
        names = tuple(one for name in _names(listed, where) for one in sets.get(name, (name,)))
    is_default = fields.get("default", "NO").upper() in {"YES", "1", "TRUE"}
    return Partition(fields["partitionname"], names, fields.get("state", "UP").upper(), is_default)


def _number(fields: dict[str, str], key: str, default: int) -> int:
    count = parse_count(fields.get(key, ""))
    return default if count is None else count

"""The adapter over pyslurm, for sites that have the release that matches their Slurm.

pyslurm (new API, 23.11 and later) brings the nodes without a command and without text. All else is the
commands' even here: the queue, since `pyslurm.Job` has only the GRES asked for per node, not those of
`--gpus` or `--gpus-per-task`, which the waits need; partitions (its `allow_root_jobs` says the opposite of
its name), associations, reservations and settings, which are few; and every change, since `Job.modify` cannot
set the number of nodes.

Run against a live slurmctld in the matrix, see docs/pyslurm.md.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from typing import Any

from hetslurm.cluster import Cluster, Gres, Node, QueuedJob
from hetslurm.errors import SlurmError, SlurmUnavailable
from hetslurm.slurm.commands import CommandAdapter
from hetslurm.slurm.gres import parse_gres
from hetslurm.slurm.node_text import parse_state
from hetslurm.slurm.version import SlurmVersion, parse_version

OLDEST = (23, 11)


def pyslurm_release() -> str:
    """The release of the pyslurm that is installed. Raises SlurmError where none is."""
    try:
        return metadata.version("pyslurm")
    except metadata.PackageNotFoundError:
        raise SlurmError("pyslurm is not installed; see docs/pyslurm.md") from None


def import_pyslurm(slurm_conf: str | None = None) -> Any:
    """The module, for a slurm.conf (None: where libslurm finds it). Raises SlurmError where that fails.

    libslurm reads its slurm.conf once, when it is loaded, and ends the process when there is none. So a
    child tries the import first, and another slurm.conf later is an error.
    """
    if slurm_conf:
        known = os.environ.get("SLURM_CONF", "")
        if "pyslurm" in sys.modules and known != slurm_conf:
            raise SlurmError(
                f"pyslurm has read {known or 'its own slurm.conf'}, and never reads {slurm_conf}"
            )
        os.environ["SLURM_CONF"] = slurm_conf
    child = [sys.executable, "-P", "-c", "import pyslurm"]
    tried = subprocess.run(child, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if tried.returncode:
        words = tried.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SlurmError(f"pyslurm cannot be imported: {words[-1] if words else tried.returncode}")
    try:
        return importlib.import_module("pyslurm")
    except Exception as cause:  # a C extension can fail in any way, and must not take the controller with it
        raise SlurmError(f"pyslurm cannot be imported: {cause}") from cause


def check_release(pyslurm_version: str, slurm_version: SlurmVersion) -> None:
    """Raise SlurmError unless pyslurm has the new API and is of Slurm's own release."""
    found = parse_version(f"{pyslurm_version}.0")
    if found[:2] != slurm_version[:2] or found[:2] < OLDEST:
        raise SlurmError(
            f"pyslurm {pyslurm_version} does not fit Slurm {slurm_version[0]}.{slurm_version[1]:02d}"
            f" (it must be {OLDEST[0]}.{OLDEST[1]} or later, and of the same release)"
        )


class PyslurmAdapter(CommandAdapter):
    """See SlurmAdapter. `pyslurm` is the module; `how` is for CommandAdapter, which does all the rest."""

    def __init__(self, pyslurm: Any, **how: Any) -> None:
        super().__init__(**how)
        self.pyslurm = pyslurm

    def read_cluster(self) -> Cluster:
        """See SlurmAdapter."""
        cluster = super().read_cluster()
        return replace(cluster, nodes=tuple(count_gres_used(cluster.nodes, cluster.jobs)))

    def read_all_nodes(self) -> list[Node]:
        """Every node that is no template; their GRES in use as far as Slurm accounts for them."""
        try:
            nodes = [translate_node(node) for node in self.pyslurm.Nodes.load().values()]
        except self.pyslurm.RPCError as cause:
            raise SlurmUnavailable(f"pyslurm: {cause}") from cause
        return self._as_they_are(node for node in nodes if "FUTURE" not in node.state)


def translate_node(node: Any) -> Node:
    """A `pyslurm.Node`. Its `allocated_gres` knows only TRES that are accounted: see `count_gres_used`."""
    return Node(
        name=node.name,
        cpus=node.effective_cpus or node.total_cpus,
        mem_mb=max(0, (node.real_memory or 0) - (node.memory_reserved_for_system or 0)),
        state=parse_state(node.state),
        gres=_gres(node.configured_gres),
        gres_used=_gres(node.allocated_gres),
        cpus_allocated=node.allocated_cpus or 0,
        mem_mb_allocated=node.allocated_memory or 0,
        features=frozenset(node.active_features or ()),
        reason=node.reason or "",
        reason_by=(node.reason_user or "") if node.reason else "",
        reason_at=float(node.reason_time) if node.reason and node.reason_time else None,
        weight=node.weight or 0,  # None there: 0
    )


def count_gres_used(nodes: Iterable[Node], jobs: Iterable[QueuedJob]) -> list[Node]:
    """Nodes with the GRES of the jobs that run on them, where Slurm's accounting of them says less."""
    held: dict[str, dict[tuple[str, str], int]] = {}
    for job in jobs:
        for name in job.node_names if job.gres else ():
            on_node = held.setdefault(name, {})
            for g in job.gres:
                on_node[g.name, g.type] = on_node.get((g.name, g.type), 0) + g.count
    return [_with_used(node, held[node.name]) if node.name in held else node for node in nodes]


def _with_used(node: Node, held: dict[tuple[str, str], int]) -> Node:
    used: dict[tuple[str, str], int] = {}
    accounted = [((g.name, g.type), g.count) for g in node.gres_used]
    for (name, kind), count in (*accounted, *held.items()):
        # A job may have asked for any type, and accounting may know none; a node mostly has one.
        types = {g.type for g in node.gres if g.name == name}
        key = (name, kind or (types.pop() if len(types) == 1 else ""))
        used[key] = max(used.get(key, 0), count)
    return replace(node, gres_used=tuple(Gres(name, kind, count) for (name, kind), count in used.items()))


def _gres(counts: Mapping[str, Any] | None) -> tuple[Gres, ...]:
    """pyslurm's `{"gpu:a100": 2}`."""
    return parse_gres(",".join(f"{name}:{count}" for name, count in (counts or {}).items()))

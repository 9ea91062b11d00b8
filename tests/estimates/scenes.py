"""Clusters of a few nodes, by hand."""

from __future__ import annotations

from dataclasses import replace

from hetslurm.cluster import Cluster, Gres, Node, Partition, QueuedJob

NOW = 1_800_000_000.0
HOUR = 3600.0


def running(job_id: int, nodes: tuple[str, ...], cpus: int, left_s: float, **more: object) -> QueuedJob:
    """A job with a limit of two hours that has `left_s` of them left."""
    job = QueuedJob(
        job_id, "RUNNING", "p", "ann", len(nodes), cpus, 0, 120, 100, NOW, NOW, NOW + left_s, node_names=nodes
    )
    return replace(job, **more)  # type: ignore[arg-type]


def pending(job_id: int, cpus: int, limit_min: int | None = 60, **more: object) -> QueuedJob:
    """A job on one node that waits."""
    job = QueuedJob(job_id, "PENDING", "p", "ann", 1, cpus, 0, limit_min, 100, NOW + job_id, None, None)
    return replace(job, **more)  # type: ignore[arg-type]


def cluster_of(nodes: list[Node], jobs: list[QueuedJob], *partitions: Partition) -> Cluster:
    """The nodes with what the running jobs have of them; one partition "p" of all by default."""
    filled = []
    for node in nodes:
        mine = [j for j in jobs if node.name in j.node_names]
        used: dict[tuple[str, str], int] = {}
        for g in (g for j in mine for g in j.gres):
            used[g.name, g.type] = used.get((g.name, g.type), 0) + g.count
        filled.append(
            replace(
                node,
                cpus_allocated=sum(j.cpus // j.nodes for j in mine),
                mem_mb_allocated=sum(j.mem_mb_per_node for j in mine),
                gres_used=tuple(Gres(n, t, c) for (n, t), c in used.items()),
            )
        )
    parts = partitions or (Partition("p", tuple(node.name for node in nodes)),)
    return Cluster("c", (22, 5, 8), NOW, tuple(filled), parts, tuple(jobs))


def cpu_nodes(count: int = 4, cpus: int = 16) -> list[Node]:
    """Idle nodes c0, c1, …"""
    return [Node(f"c{i}", cpus, 64_000, frozenset({"IDLE"})) for i in range(count)]


def gpu_nodes(count: int = 2, gpus: int = 4) -> list[Node]:
    """Idle nodes g0, g1, … of 32 cpus."""
    return [
        Node(f"g{i}", 32, 64_000, frozenset({"IDLE"}), gres=(Gres("gpu", "a100", gpus),))
        for i in range(count)
    ]

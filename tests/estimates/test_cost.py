"""A plan of all queues fits into a cycle, whatever the queues are like."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from hetslurm.cluster import Cluster, Node, Partition, QueuedJob, Reservation
from hetslurm.estimates import plan_waits
from hetslurm.estimates.usage import Usage
from hetslurm.inventory import derive_pools
from hetslurm.site import Site

from .scenes import HOUR, NOW

POOLS, NODES_A_POOL, JOBS = 256, 20, 5000


def _site(*, one_pool: bool) -> Cluster:
    """5,120 full nodes; half of the 5,000 pending jobs want one of eight pools, or all the same one."""
    rng = random.Random(1)
    names = [[f"n{p}-{n}" for n in range(NODES_A_POOL)] for p in range(POOLS)]
    parts = [Partition(f"p{p}", tuple(mine)) for p, mine in enumerate(names)]
    if one_pool:
        parts = [Partition("p0", tuple(name for mine in names for name in mine))]
    nodes, jobs = [], []
    for p, mine in enumerate(names):
        for name in mine:
            nodes.append(Node(name, 64, 256_000, frozenset({"ALLOCATED"}), cpus_allocated=64))
            job = _job(len(jobs), "p0" if one_pool else f"p{p}", 1, rng.choice([60, 120, 600]))
            end_at = NOW + rng.uniform(1, 10 * HOUR)
            jobs.append(replace(job, state="RUNNING", start_at=NOW - 60, end_at=end_at, node_names=(name,)))
    for n in range(JOBS):
        p = 0 if one_pool else rng.randrange(POOLS) if n % 2 else rng.randrange(8)
        size, limit = rng.choice([1, 1, 1, 2, 4, 8]), rng.choice([10, 60, 120, 600, 1440])
        jobs.append(replace(_job(100_000 + n, f"p{p}", size, limit), priority=rng.randrange(1, 1000)))
    return Cluster("c", (22, 5, 8), NOW, tuple(nodes), tuple(parts), tuple(jobs))


def _job(job_id: int, partition: str, nodes: int, limit_min: int) -> QueuedJob:
    return QueuedJob(
        job_id, "PENDING", partition, f"u{job_id % 50}", nodes, 64 * nodes, 0, limit_min, 1, NOW, None, None
    )


@pytest.mark.parametrize("one_pool", [False, True])
@pytest.mark.parametrize("reserved", [False, True])
def test_5000_pending_jobs_on_5120_nodes_are_planned_well_within_a_cycle(
    one_pool: bool, reserved: bool
) -> None:
    """0.1 to 0.3 s of a core; the bound leaves room for a slow machine."""
    cluster = _site(one_pool=one_pool)
    if reserved:
        keep = tuple(
            Reservation(p.name, NOW + n * HOUR, NOW + (n + 2) * HOUR, p.nodes, frozenset({"MAINT"}))
            for n, p in enumerate(cluster.partitions)
        )
        cluster = replace(cluster, reservations=keep)
    usage = Usage()
    for n in range(2000):
        usage.learn(f"u{n % 50}", n % 60 * 60.0, HOUR)
    pools = derive_pools(cluster, Site())
    began = time.process_time()
    plan = plan_waits(pools, cluster, usage=usage)
    took = time.process_time() - began
    assert len(plan.starts) == JOBS
    assert took < 1.5

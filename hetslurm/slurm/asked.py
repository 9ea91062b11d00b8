"""What the author of a queued job fixed, as far as its record and Slurm still tell. Pure."""

from __future__ import annotations

import pwd
from dataclasses import replace

from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.job import Request
from hetslurm.placement import Asked
from hetslurm.slurm.hostlist import expand_hostlist
from hetslurm.slurm.protocol import JobDetail


def asked_of(job: QueuedJob, pins: str, cluster: Cluster, detail: JobDetail | None = None) -> Asked:
    """`pins`: the record's letters. Without `detail`, --constraint, --nodelist, --reservation are unknown."""
    nodes = max(1, job.nodes)
    uid = uid_of(job.user, cluster)
    gres = ",".join(":".join(p for p in ("gres", g.name, g.type, str(g.count)) if p) for g in job.gres)
    return Asked(
        uid=uid,
        privileged=uid == 0,
        account=job.account,
        qos=job.qos,
        partition=job.partition if "p" in pins else "",
        constraint=detail.features if detail else "",
        gres=gres if "g" in pins else "",
        node_names=expand_hostlist(detail.required_nodes) if detail else (),
        has_reservation=bool(detail and detail.reservation),
        nodes=nodes if "n" in pins else 0,
        cpus=-(-job.cpus // nodes) if "c" in pins or "k" in pins else 0,
        mem_mb=job.mem_mb_per_node if "m" in pins else 0,
        limit_min=(job.time_limit_min or 0) if "t" in pins else 0,
        n_tasks=job.tasks,
    )


def uid_of(user: str, cluster: Cluster) -> int:
    """The user's uid; one that no list admits where nobody knows the user."""
    if user in cluster.uids:
        return cluster.uids[user]
    if user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return 2**32 - 2


def since_submit(request: Request, submit_at: float) -> Request:
    """The request with a `deadline=+…` counted from submission, since it is read later."""
    if request.deadline_in_s is None:
        return request
    return replace(request, deadline_at=int(submit_at) + request.deadline_in_s, deadline_in_s=None)

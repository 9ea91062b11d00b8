"""What becomes of jobs on cloud partitions and of the money set aside for them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from hetslurm.cloudburst.ledger.values import Reservation, ReservationState
from hetslurm.cloudburst.reconcile_values import (
    COMING_UP,
    OURS,
    Action,
    Evict,
    Expire,
    NodeDown,
    Release,
    SendHome,
    Sight,
    Start,
    Watch,
)
from hetslurm.cluster import QueuedJob

# What the first run's slurmd still tells Slurm must not be taken for the second run's, seconds.
SETTLE_S = 20.0
ON_NODES = frozenset({"RUNNING", "CONFIGURING", "SUSPENDED"})


def judge_jobs(sight: Sight, watch: Watch) -> Iterator[Action]:
    """No job is on cloud nodes, or waits for them, without an open reservation for just those nodes."""
    if sight.slurm is None:
        return
    funded = {r.wanted.job_id: r for r in sight.reservations if sight.job_of(r) is not None}
    for job in sight.slurm.jobs.values():
        if not is_on_cloud(job, sight):
            continue
        paid = funded.get(job.job_id)
        if paid is None:
            yield from _evict(job, "no money is set aside for it on cloud nodes", sight, watch)
        elif job.state in ON_NODES and not set(job.node_names) <= set(paid.wanted.node_names):
            yield from _evict(job, "it is on nodes that its money is not for", sight, watch)
        elif _is_delayed(job, paid, sight.now) and watch.is_due(f"start {job.job_id}", sight.guard_s / 6):
            surely = paid.state is ReservationState.COMMITTED
            yield Start(job, "it was requeued, and has money for another run", surely)


def _is_delayed(job: QueuedJob, paid: Reservation, now: float) -> bool:
    """Slurm waits with it, most often since it was requeued."""
    is_free = job.state == "PENDING" and job.priority > 0 and job.reason == "BeginTime"
    is_settled = now - job.submit_at >= SETTLE_S
    return is_free and is_settled and paid.held_micro >= paid.wanted.attempt_micro


def _evict(job: QueuedJob, why: str, sight: Sight, watch: Watch) -> Iterator[Action]:
    is_held = job.state == "PENDING" and job.priority == 0
    if is_held or job.state not in ON_NODES | {"PENDING"}:
        return
    if not watch.is_due(f"evict {job.job_id}", sight.guard_s / 6):
        return
    yield Evict(job, why)
    for name in job.node_names:
        paid = sight.reservation_of_node(name)
        if sight.slurm is not None and name in sight.slurm.nodes and paid is None:
            yield NodeDown(name, f"{OURS}job {job.job_id}: {why}")


def judge_reservations(sight: Sight) -> Iterator[Action]:
    """Money is held for a job that needs it, and for no other."""
    if sight.slurm is None:
        return
    live = {row.res_id for row in sight.instances}
    for reservation in sight.reservations:
        if reservation.res_id in live or sight.now - reservation.created_at < sight.guard_s:
            continue
        job = sight.job_of(reservation)
        if job is not None:
            yield from _judge_idle(reservation, job, sight)
        elif sight.is_over(reservation):
            yield Release(reservation, "its job is over")


def _judge_idle(reservation: Reservation, job: QueuedJob, sight: Sight) -> Iterator[Action]:
    """Nothing runs on this money: is there still a reason to hold it?"""
    wanted = reservation.wanted
    if job.state != "PENDING":
        if not is_on_cloud(job, sight) and job.state in ON_NODES:
            yield Release(reservation, "its job runs on-premises")
        return
    if reservation.state is ReservationState.RESERVED:
        if sight.now > wanted.expires_at and not _is_coming(reservation, sight):
            yield Expire(reservation, "nothing was started for it in time")
    elif not is_on_cloud(job, sight):
        yield Release(reservation, "its job waits on-premises")
    elif reservation.held_micro < wanted.attempt_micro:
        yield SendHome(reservation, job, "what is left of its money does not cover another run")
    elif sight.now - reservation.changed_at > sight.policy.retry.reservation_s and not _is_coming(
        reservation, sight
    ):
        yield SendHome(reservation, job, "it was to run again, and nothing was started in time")


def _is_coming(reservation: Reservation, sight: Sight) -> bool:
    """A node of it powers up."""
    nodes = sight.slurm.nodes if sight.slurm is not None else {}
    return any(name in nodes and nodes[name].state & COMING_UP for name in reservation.wanted.node_names)


def is_on_cloud(job: QueuedJob, sight: Sight) -> bool:
    """It runs on cloud nodes, or may be sent there."""
    return not sight.policy.partitions.isdisjoint(job.partition.split(","))

"""A job never lands in a partition that would refuse it: limits, state, groups, hosts, reservations.

Each test submits to two partitions over the same nodes, has the one that the job landed in refuse it, and
submits again. That plain `sbatch -p` is refused (or, for DOWN, waits) shows that the rule is slurmctld's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

pytestmark = pytest.mark.slurm

TWINS = ("twin1", "twin2")
OPEN = {
    "AllowGroups": "ALL",
    "AllocNodes": "ALL",
    "MaxTime": "UNLIMITED",
    "MaxNodes": "UNLIMITED",
    "MinNodes": "0",
    "MaxMemPerNode": "0",
    "State": "UP",
    "RootOnly": "NO",
    "DisableRootJobs": "NO",
    "ReqResv": "NO",
}
CPU = "target=cpu,cpus=1,time=10:00"


@pytest.fixture(scope="module")
def _twins(_cluster) -> Iterator[None]:
    """Two partitions over the cpu partition's nodes, which are this module's alone."""
    nodes = _cluster.admin("sinfo", "-h", "-p", "cpu", "-o", "%N").strip()
    for name in TWINS:
        _cluster.admin("scontrol", "create", f"PartitionName={name}", f"Nodes={nodes}", "State=UP")
    # The twins alone offer cpus, so that a refusal cannot be dodged into "cpu".
    _cluster.update_partition("cpu", State="INACTIVE")
    _cluster.await_published()
    yield
    _cluster.update_partition("cpu", State="UP")
    for name in TWINS:
        _cluster.admin("scontrol", "delete", f"PartitionName={name}")
    _cluster.await_published()


@pytest.fixture
def refusing(cluster, _twins) -> Iterator[Callable[..., tuple[str, str]]]:
    """`refusing(submit, **rule)`: (the partition that now has the rule, the other one).

    `submit` shows first where the job goes without the rule: it is that partition that gets the rule.
    """
    ruled: list[str] = []

    def rule_out(submit: Callable[[], object], **rule: str) -> tuple[str, str]:
        better = cluster.partition_of(submit())
        other = next(name for name in TWINS if name != better)
        ruled.append(better)
        cluster.update_partition(better, **rule)
        cluster.await_published()
        return better, other

    yield rule_out
    for name in ruled:
        cluster.update_partition(name, **OPEN)
    cluster.await_published()


@dataclass(frozen=True)
class Rule:
    """A rule of a partition; what we must say of it; the request that it refuses; and as plain options."""

    settings: dict[str, str]
    says: str
    het: str = CPU
    plain: tuple[str, ...] = ("--time=10",)
    user: str | None = "games"
    slurm_says: str = ""


RULES = {
    "max_time": Rule({"MaxTime": "5"}, "longer time", slurm_says="time limit"),
    "max_nodes": Rule(
        {"MaxNodes": "1"},
        "more nodes",
        het="target=cpu,cpus=1,nodes=2",
        plain=("-N2",),
        slurm_says="Node count",
    ),
    "min_nodes": Rule({"MinNodes": "2"}, "fewer nodes", plain=("-N1-1",), slurm_says="Node count"),
    "max_mem": Rule(
        {"MaxMemPerNode": "50"},
        "too little memory",
        het="target=cpu,cpus=1,mem=100M,time=10:00",
        plain=("--mem=100",),
        slurm_says="Memory",
    ),
    "drain": Rule({"State": "DRAIN"}, "takes no new jobs", slurm_says="not available"),
    "inactive": Rule({"State": "INACTIVE"}, "takes no new jobs", slurm_says="not available"),
    "root_only": Rule({"RootOnly": "YES"}, "for root", slurm_says="permission"),
    "no_root": Rule({"DisableRootJobs": "YES"}, "refuses root", user=None, slurm_says="user id"),
    "reservation": Rule({"ReqResv": "YES"}, "wants a reservation", slurm_says="permission"),
    "alloc_nodes": Rule({"AllocNodes": "elsewhere"}, "submit host", slurm_says="permission"),
    "groups": Rule({"AllowGroups": "nogroup"}, "groups", slurm_says="group"),
}


@pytest.mark.parametrize("name", RULES)
def test_job_never_lands_where_the_partition_refuses_it(cluster, refusing, name: str) -> None:
    rule = RULES[name]

    def submit(*options: str):
        return cluster.submit(f"--het={rule.het}", *options, user=rule.user)

    refuses, other = refusing(submit, **rule.settings)

    assert cluster.partition_of(submit()) == other
    only = submit("-p", refuses)
    assert only.job_id is None
    assert "hetslurm:" in only.words
    assert rule.says in only.words
    stock = cluster.submit("-p", refuses, *rule.plain, user=rule.user)
    assert stock.job_id is None, "slurmctld itself has no such rule: the test proves nothing"
    assert "hetslurm" not in stock.words
    assert rule.slurm_says.lower() in stock.words.lower()


def test_job_goes_elsewhere_when_the_partition_is_down_and_waits_when_there_is_no_other(
    cluster, refusing
) -> None:
    def submit(*options: str):
        return cluster.submit(f"--het={CPU}", *options, user="games")

    down, other = refusing(submit, State="DOWN")

    assert cluster.partition_of(submit()) == other
    waits = submit("-p", down)
    assert cluster.partition_of(waits) == down
    assert "it waits: the partition is down" in waits.words
    assert cluster.partition_of(cluster.submit("-p", down, user="games")) == down


def test_primary_and_supplementary_members_of_allowed_groups_are_admitted(
    cluster, refusing, make_user, make_group
) -> None:
    group = make_group()
    primary, member, stranger = make_user(), make_user(group), make_user()

    def submit(user: str, *options: str):
        return cluster.submit(f"--het={CPU}", *options, user=user)

    guarded, other = refusing(lambda: submit(stranger), AllowGroups=f"{group},{primary}")

    for user in (primary, member):
        assert cluster.partition_of(submit(user, "-p", guarded)) == guarded
        assert cluster.partition_of(cluster.submit("-p", guarded, user=user)) == guarded
    assert cluster.partition_of(submit(stranger)) == other
    assert submit(stranger, "-p", guarded).job_id is None
    assert cluster.submit("-p", guarded, user=stranger).job_id is None


def test_root_is_admitted_by_groups_and_root_only(cluster, refusing) -> None:
    guarded, _ = refusing(lambda: cluster.submit(f"--het={CPU}"), AllowGroups="nogroup", RootOnly="YES")

    assert cluster.partition_of(cluster.submit(f"--het={CPU}", "-p", guarded)) == guarded
    assert cluster.partition_of(cluster.submit("-p", guarded)) == guarded


def test_this_host_among_the_submit_hosts_is_admitted(cluster, refusing) -> None:
    # What slurmctld calls this host is the name of the address that the request came from.
    plain = cluster.submit("-p", TWINS[0])
    here = cluster.sandbox.job(plain.job_id)["AllocNode:Sid"].split(":")[0]
    guarded, _ = refusing(lambda: cluster.submit(f"--het={CPU}"), AllocNodes=f"elsewhere,{here}")

    assert cluster.partition_of(cluster.submit(f"--het={CPU}", "-p", guarded)) == guarded
    assert cluster.partition_of(cluster.submit("-p", guarded)) == guarded


def test_reservation_opens_a_partition_that_wants_one(cluster, refusing) -> None:
    guarded, _ = refusing(lambda: cluster.submit(f"--het={CPU}"), ReqResv="YES")
    node = cluster.admin("sinfo", "-h", "-N", "-p", guarded, "-o", "%N").split()[0]
    cluster.admin(
        "scontrol", "create", "ReservationName=opened", f"PartitionName={guarded}", f"Nodes={node}",
        "StartTime=now", "Duration=60", "Users=root", "Flags=IGNORE_JOBS",
    )  # fmt: skip
    try:
        job = cluster.submit(f"--het={CPU}", "-p", guarded, "--reservation=opened")
        assert cluster.partition_of(job) == guarded
    finally:
        cluster.forget_jobs()
        cluster.admin("scontrol", "delete", "ReservationName=opened")


def test_more_nodes_than_a_partition_has_goes_where_they_are(cluster, refusing) -> None:
    def submit(*options: str):
        return cluster.submit("--het=target=cpu,cpus=1,nodes=2", *options, user="games")

    nodes = cluster.admin("sinfo", "-h", "-N", "-p", TWINS[0], "-o", "%N").split()
    small, other = refusing(submit, Nodes=nodes[0])
    try:
        assert cluster.partition_of(submit()) == other
        only = submit("-p", small)
        assert only.job_id is None
        assert "too few nodes" in only.words
        assert cluster.submit("-p", small, "-N2", user="games").job_id is None
    finally:
        cluster.update_partition(small, Nodes=",".join(nodes))


def test_listed_partitions_are_all_that_is_chosen_from(cluster, refusing) -> None:
    def submit(*options: str):
        return cluster.submit(f"--het={CPU}", *options, user="games")

    full, other = refusing(submit, MaxTime="5")

    assert cluster.partition_of(submit("-p", ",".join(TWINS))) == other
    assert cluster.partition_of(submit("-p", f"{full},gpu,{other}")) == other

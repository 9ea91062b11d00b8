"""A job never lands in a partition that refuses its account, its QOS, or has no association for its author.

A real slurmdbd over MariaDB, with associations and QOS enforced; users of this machine made for the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

pytestmark = pytest.mark.slurm

TWINS = ("twin1", "twin2")
OPEN = {"AllowAccounts": "ALL", "DenyAccounts": "", "AllowQos": "ALL", "DenyQos": ""}
CPU = "target=cpu,cpus=1,time=10:00"


@dataclass(frozen=True)
class People:
    """Users of physics with QOS normal (the default), fast and slow, but for what is said here.

    `both`: also of chemistry (physics is the default account); `tied`: in twin2 alone; `fast`: with default
    QOS fast; `nobody`: without any association.
    """

    both: str
    tied: str
    fast: str
    nobody: str


@pytest.fixture(scope="module")
def _accounts(accounting_slurm, cluster_of, make_user) -> Iterator[tuple[object, People]]:
    cluster = cluster_of(accounting_slurm)
    nodes = cluster.admin("sinfo", "-h", "-p", "cpu", "-o", "%N").strip()
    for name in TWINS:
        cluster.admin("scontrol", "create", f"PartitionName={name}", f"Nodes={nodes}", "State=UP")
    cluster.update_partition("cpu", State="INACTIVE")
    people = People(*(make_user() for _ in range(4)))

    def add(*words: str) -> None:
        cluster.admin("sacctmgr", "-i", "add", *words)

    add("qos", "fast", "slow")
    add("account", "physics", "chemistry")
    qos = ("qos=normal,fast,slow", "defaultqos=normal")
    add("user", people.both, "account=physics,chemistry", "defaultaccount=physics", *qos)
    add("user", people.tied, "account=physics", f"partition={TWINS[1]}", *qos)
    add("user", people.fast, "account=physics", "qos=normal,fast,slow", "defaultqos=fast")

    # A controller reads associations once a minute, and when it starts.
    cluster.sandbox.kill_controller()
    cluster.sandbox.start_controller()
    cluster.await_published()
    yield cluster, people
    cluster.forget_jobs()
    cluster.update_partition("cpu", State="UP")
    for name in TWINS:
        cluster.admin("scontrol", "delete", f"PartitionName={name}")


@pytest.fixture
def cluster(_accounts) -> Iterator[object]:
    """The cluster with accounting."""
    yield _accounts[0]
    _accounts[0].forget_jobs()


@pytest.fixture
def people(_accounts) -> People:
    """Its users."""
    return _accounts[1]


@pytest.fixture
def refusing(cluster) -> Iterator[Callable[..., tuple[str, str]]]:
    """`refusing(submit, **rule)`: (the partition that `submit` chose, which has the rule now; the other)."""

    def rule_out(submit: Callable[[], object], **rule: str) -> tuple[str, str]:
        better = cluster.partition_of(submit())
        other = next(name for name in TWINS if name != better)
        cluster.update_partition(better, **rule)
        cluster.await_published()
        return better, other

    yield rule_out
    for name in TWINS:
        cluster.update_partition(name, **OPEN)
    cluster.await_published()


# The rule, what the job asks, what it may ask instead, what we must say.
RULES = {
    "allow_accounts_named": (
        {"AllowAccounts": "chemistry"},
        ("-A", "physics"),
        ("-A", "chemistry"),
        "account",
    ),
    "allow_accounts_default": ({"AllowAccounts": "chemistry"}, (), ("-A", "chemistry"), "account"),
    "deny_accounts_named": ({"DenyAccounts": "physics"}, ("-A", "physics"), ("-A", "chemistry"), "account"),
    "deny_accounts_default": ({"DenyAccounts": "physics"}, (), ("-A", "chemistry"), "account"),
    "account_in_capitals": (
        {"AllowAccounts": "chemistry"},
        ("-A", "PHYSICS"),
        ("-A", "Chemistry"),
        "account",
    ),
    "allow_qos_named": ({"AllowQos": "fast,slow"}, ("--qos=normal",), ("--qos=fast",), "QOS"),
    "allow_qos_default": ({"AllowQos": "fast"}, (), ("--qos=fast",), "QOS"),
    "deny_qos_named": ({"DenyQos": "slow"}, ("--qos=slow",), ("--qos=fast",), "QOS"),
    "deny_qos_default": ({"DenyQos": "normal"}, (), ("--qos=slow",), "QOS"),
    "qos_in_capitals": ({"DenyQos": "slow"}, ("--qos=SLOW",), ("--qos=FAST",), "QOS"),
}


@pytest.mark.parametrize("name", RULES)
def test_job_never_lands_where_its_account_or_qos_is_refused(cluster, people, refusing, name: str) -> None:
    rule, asks, may, says = RULES[name]

    def submit(*options: str):
        return cluster.submit(f"--het={CPU}", *options, user=people.both)

    refuses, other = refusing(lambda: submit(*asks), **rule)

    assert cluster.partition_of(submit(*asks)) == other
    only = submit("-p", refuses, *asks)
    assert only.job_id is None
    assert f"the partition does not admit this {says}" in only.words
    stock = cluster.submit("-p", refuses, *asks, user=people.both)
    assert stock.job_id is None, "slurmctld itself has no such rule: the test proves nothing"
    assert "hetslurm" not in stock.words
    assert cluster.partition_of(submit("-p", refuses, *may)) == refuses
    assert cluster.partition_of(cluster.submit("-p", refuses, *may, user=people.both)) == refuses


def test_default_qos_of_the_association_is_what_is_judged(cluster, people, refusing) -> None:
    guarded, other = refusing(lambda: cluster.submit(f"--het={CPU}", user=people.both), AllowQos="fast")

    assert cluster.partition_of(cluster.submit(f"--het={CPU}", user=people.both)) == other
    assert cluster.partition_of(cluster.submit(f"--het={CPU}", "-p", guarded, user=people.fast)) == guarded
    assert cluster.partition_of(cluster.submit("-p", guarded, user=people.fast)) == guarded
    assert cluster.submit("-p", guarded, user=people.both).job_id is None


def test_association_with_one_partition_leads_there_alone(cluster, people) -> None:
    for _ in range(4):
        assert cluster.partition_of(cluster.submit(f"--het={CPU}", user=people.tied)) == TWINS[1]
    elsewhere = cluster.submit(f"--het={CPU}", "-p", TWINS[0], user=people.tied)
    assert elsewhere.job_id is None
    assert "no association" in elsewhere.words
    assert cluster.submit("-p", TWINS[0], user=people.tied).job_id is None
    assert cluster.submit("-p", TWINS[1], user=people.tied).job_id is not None


def test_account_that_the_user_does_not_have_is_refused(cluster, people) -> None:
    ours = cluster.submit(f"--het={CPU}", "-A", "chemistry", user=people.fast)
    assert ours.job_id is None
    assert "Invalid account" in ours.words, "slurmctld's own words: it knows of the newest associations"
    assert cluster.submit("-A", "chemistry", "-p", TWINS[0], user=people.fast).job_id is None


def test_user_without_any_association_is_refused(cluster, people) -> None:
    ours = cluster.submit(f"--het={CPU}", user=people.nobody)
    assert ours.job_id is None
    assert "Invalid account" in ours.words, "slurmctld's own words: it knows of the newest associations"
    assert cluster.submit("-p", TWINS[0], user=people.nobody).job_id is None


def test_user_whose_association_is_newer_than_the_snapshot_is_not_refused(cluster, make_user) -> None:
    name = make_user()
    cluster.admin("sacctmgr", "-i", "add", "user", name, "account=physics")
    assert cluster.submit(f"--het={CPU}", user=name).job_id is not None

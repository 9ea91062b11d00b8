"""`hetslurm burst plan` says what admission would do, and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hetslurm.burst.plan import Money, make_plan, plan_json
from hetslurm.cloudburst.policy import Cap, Level, Period
from hetslurm.cloudburst.purse import Purse
from hetslurm.cloudburst.worst_case import worst_case
from hetslurm.controller.cycle import plan_cycle

Make = Callable[..., Any]
ALLOW = "target=cpu,cpus=16,time=1:00:00;preemptible=yes;burst=allow"


def plan_of(desk: Any, *, price_micro: int = 400_000) -> dict[str, Any]:
    """The plan for a desk's queue."""
    from hetslurm.cloudburst.policy import Purchase
    from hetslurm.cloudburst.provider.protocol import Quote

    cluster, now = desk.slurm.cluster, desk.clock.now()
    quotes = {
        pool.partition: [Quote(pool.instance_type, Purchase.SPOT, "", price_micro, price_micro, now)]
        for pool in desk.policy.pools
    }
    pools = plan_cycle(cluster, desk.site, cloud=desk.policy.partitions).pools
    money = Money(Purse(desk.policy.caps, (), "EUR"), (), frozenset())
    found = make_plan(desk.policy, desk.site, cluster, pools, quotes, money, desk.slurm, now)
    return plan_json(found, desk.policy)


def test_every_job_that_may_burst_has_a_verdict_and_nothing_is_done(
    make_desk: Make, make_job: Make, make_only: Make
) -> None:
    never = "target=cpu,cpus=16,time=1:00:00"
    desk = make_desk(make_job(1, ALLOW), make_job(2, never), make_job(3, ALLOW, pins="p"), make_only(4))
    found = plan_of(desk)
    verdicts = {job["job_id"]: job["verdict"] for job in found["jobs"]}
    assert verdicts == {1: "spill", 3: "never", 4: "spill"}
    assert found["counts"] == {"spill": 2, "stay": 0, "wait": 0, "never": 1}
    assert desk.slurm.calls == []
    assert desk.book.open_reservations() == ()


def test_it_agrees_with_what_admission_then_does(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(*(make_job(i, ALLOW) for i in range(1, 7)))
    worst = worst_case(desk.policy.pools[0], desk.policy.retry, nodes=1, limit_s=3600).total_micro
    desk.policy = replace(desk.policy, caps=(Cap(Level.SITE, "", Period.DAY, 3 * worst),))
    found = plan_of(desk)
    planned = {job["job_id"] for job in found["jobs"] if job["verdict"] == "spill"}
    desk.step()
    gone = {job.job_id for job in desk.slurm.cluster.jobs if job.partition == "cloud"}
    assert planned == gone
    assert len(gone) == 3
    (first,) = [job for job in found["jobs"] if job["job_id"] == 1]
    assert first["cloud"]["worst_case_micro"] == worst
    assert first["cloud"]["node_names"] == ["cloud1"]
    blocked = [job["why"] for job in found["jobs"] if job["verdict"] == "wait"]
    assert all("cap of the site, per day" in why for why in blocked)
    assert len(blocked) == 3


def test_a_pool_without_a_price_says_why(make_desk: Make, make_only: Make) -> None:
    desk = make_desk(make_only(1))
    found = plan_of(desk, price_micro=5_000_000)
    assert [pool["offering"] for pool in found["pools"]] == [None, None]
    assert "above the 1.0000 allowed" in found["pools"][0]["why"]
    assert found["jobs"][0]["verdict"] == "wait"

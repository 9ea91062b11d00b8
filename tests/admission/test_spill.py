"""Who leaves for the cloud, with whose money, and what is said to those who wait."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.burst import verdicts
from hetslurm.burst.move import home_key
from hetslurm.burst.no_policy import NoPolicy
from hetslurm.burst.waiting import waiting_jobs
from hetslurm.cloudburst.money import text_of
from hetslurm.cloudburst.policy import Cap, Level, Period, Spill
from hetslurm.cloudburst.worst_case import worst_case
from hetslurm.cluster import Gres
from hetslurm.daemon.log import Log
from hetslurm.site import DataSite, Site
from hetslurm.slurm.fake import FakeSlurm

Make = Callable[..., Any]
ALLOW = "target=cpu,cpus=16,time=1:00:00;preemptible=yes;burst=allow"


def test_a_job_that_would_wait_long_leaves_with_its_worst_case_reserved(
    make_desk: Make, make_job: Make
) -> None:
    desk = make_desk(make_job(1, ALLOW))
    assert desk.step().spilled == 1
    job = desk.job(1)
    assert (job.partition, job.priority > 0, desk.slurm.required[1]) == ("cloud", True, ("cloud1",))
    (reservation,) = desk.book.open_reservations()
    record = desk.record(1)
    assert (record["res"], record["state"], record["partition"], record["by"]) == (
        reservation.res_id,
        "placed",
        "cloud",
        "controller",
    )
    worst = worst_case(desk.policy.pools[0], desk.policy.retry, nodes=1, limit_s=3600)
    assert reservation.amount_micro == worst.total_micro
    assert reservation.wanted.payer.account == "phys"
    assert desk.audit() == [("spill", "verified"), ("release", "done")]


def test_a_requeued_job_goes_to_a_node_that_did_not_fail_and_then_at_once(
    make_desk: Make, make_job: Make
) -> None:
    desk = make_desk(make_job(1, ALLOW))
    desk.slurm.restarts[1] = 1
    desk.slurm.put_node(replace(desk.slurm.read_node("cloud1"), reason="hetslurm: capacity: none"))
    desk.step()
    assert desk.slurm.required[1] == ("cloud2",)
    assert [update.start_now for verb, _, update in desk.slurm.calls if verb == "update"] == [True]


def test_on_a_node_that_failed_slurm_s_pause_after_a_requeue_is_kept(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    desk.slurm.restarts[1] = 1
    for node in desk.slurm.cluster.nodes:
        desk.slurm.put_node(replace(node, reason="hetslurm: boot: i-1 did not join"))
    desk.step()
    assert [update.start_now for verb, _, update in desk.slurm.calls if verb == "update"] == [False]


def test_the_wait_it_would_have_had_is_kept_for_the_report(
    make_desk: Make, make_job: Make, make_only: Make
) -> None:
    desk = make_desk(make_job(1, ALLOW), make_only(2))
    desk.step()
    kept = {}
    for reservation in desk.book.open_reservations():
        (node,) = reservation.wanted.node_names
        desk.book.intend(node, provider="here", billed_least_s=60)
        desk.book.ended(node, 1, desk.clock.now() + 60, "a test")
        kept[reservation.wanted.job_id] = desk.book.costs().home_wait_s[reservation.res_id]
    assert kept[1] > desk.policy.spill.min_wait_s
    assert kept[2] is None


def test_every_move_is_made_while_the_job_is_held(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    desk.step()
    assert [verb for verb, _, _ in desk.slurm.calls] == ["hold", "update", "release"]


def test_jobs_get_nodes_of_their_own_and_the_others_wait(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(*(make_job(i, ALLOW) for i in range(1, 7)))
    report = desk.step()
    assert (report.spilled, report.waiting) == (4, 2)
    nodes = [name for r in desk.book.open_reservations() for name in r.wanted.node_names]
    assert sorted(nodes) == ["cloud1", "cloud2", "cloud3", "cloud4"]
    assert [desk.job(i).partition for i in range(1, 7)] == ["cloud"] * 4 + ["cpu"] * 2
    assert desk.step().spilled == 0


def test_without_a_trigger_a_job_stays(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    desk.policy = replace(desk.policy, spill=Spill(min_wait_s=30 * 86400, deadline=False))
    assert desk.step().spilled == 0
    assert desk.slurm.calls == []


@pytest.mark.parametrize(
    ("het", "spill"),
    [
        (f"{ALLOW};deadline=+5h", Spill(min_wait_s=30 * 86400)),
        (ALLOW, Spill(min_wait_s=30 * 86400, queue_depth=1)),
    ],
)
def test_a_deadline_at_risk_and_a_deep_queue_are_triggers(
    make_desk: Make, make_job: Make, het: str, spill: Spill
) -> None:
    desk = make_desk(make_job(1, het))
    desk.policy = replace(desk.policy, spill=spill)
    assert desk.step().spilled == 1


@pytest.mark.parametrize(
    ("fields", "spill", "het"),
    [
        ({}, {}, "target=cpu,cpus=16,time=1:00:00;preemptible=yes"),
        ({}, {}, "target=cpu,cpus=16,time=1:00:00;preemptible=yes;burst=never"),
        ({}, {}, "target=cpu,cpus=16,time=1:00:00;burst=allow"),
        ({"pins": "p"}, {}, ALLOW),
        ({"pins": "h", "priority": 0, "reason": "JobHeldUser"}, {}, ALLOW),
        ({"priority": 0, "reason": "JobHeldUser"}, {}, ALLOW),
        ({"priority": 0, "reason": "JobHeldAdmin"}, {}, ALLOW),
        ({"reason": "Dependency"}, {}, ALLOW),
        ({"reason": "BeginTime"}, {}, ALLOW),
        ({"array_job_id": 1, "array_task": "1-4"}, {}, ALLOW),
        ({"het_offset": 0}, {}, ALLOW),
        ({"time_limit_min": None}, {}, "target=cpu,cpus=16;preemptible=yes;burst=allow"),
        ({}, {"deny_accounts": frozenset({"phys"})}, ALLOW),
        ({}, {"accounts": frozenset({"bio"})}, ALLOW),
        ({}, {"qos": frozenset({"high"})}, ALLOW),
        ({}, {"stays": frozenset({"/secret/"})}, f"{ALLOW};data=/secret/x:1G"),
        ({}, {"max_nodes_per_job": 1}, "target=cpu,nodes=2,cpus=16,time=1:00:00;preemptible=yes;burst=allow"),
        ({}, {}, f"{ALLOW};max_cost=1"),
    ],
)
def test_a_job_that_may_not_leave_is_never_touched(
    make_desk: Make, make_job: Make, fields: dict[str, object], spill: dict[str, Any], het: str
) -> None:
    desk = make_desk(make_job(1, het, **fields))
    desk.policy = replace(desk.policy, spill=replace(desk.policy.spill, **spill))
    assert desk.step().spilled == 0
    assert desk.slurm.calls == []
    assert desk.book.open_reservations() == ()


def test_data_that_hetslurm_toml_keeps_on_premises_keeps_its_job_there(
    make_desk: Make, make_job: Make
) -> None:
    desk = make_desk(make_job(1, f"{ALLOW};data=/scratch/x:1G"))
    desk.site = Site(data=(DataSite("/scratch/", {"*": 1.0}, stays=frozenset({"cpu"})),))
    assert desk.step().spilled == 0


def test_without_a_price_nobody_leaves(make_desk: Make, make_job: Make, make_only: Make) -> None:
    desk = make_desk(make_job(1, ALLOW), make_only(2))
    desk.price_micro = 0
    assert desk.step().spilled == 0
    assert "no price to be had" in str(desk.record(2)["why"])


def test_a_price_above_the_cap_is_no_price(make_desk: Make, make_only: Make) -> None:
    desk = make_desk(make_only(1))
    desk.price_micro = 1_000_001
    assert desk.step().spilled == 0
    assert "above the 1.0000 allowed" in str(desk.record(1)["why"])


def test_a_job_that_may_only_burst_needs_no_trigger(make_desk: Make, make_only: Make) -> None:
    desk = make_desk(make_only(1))
    desk.policy = replace(desk.policy, spill=Spill(min_wait_s=30 * 86400))
    assert desk.step().spilled == 1
    assert (desk.job(1).partition, desk.job(1).priority > 0) == ("cloud", True)
    assert "why" not in desk.record(1)


def test_a_job_that_may_only_burst_is_told_which_cap_is_in_its_way(make_desk: Make, make_only: Make) -> None:
    desk = make_desk(make_only(1), make_only(2))
    worst = worst_case(desk.policy.pools[0], desk.policy.retry, nodes=1, limit_s=3600).total_micro
    site = Cap(Level.SITE, "", Period.DAY, 10**9)
    desk.policy = replace(desk.policy, caps=(site, Cap(Level.ACCOUNT, "*", Period.DAY, worst)))
    assert desk.step().spilled == 1
    assert desk.job(2).priority == 0
    spent = text_of(worst)
    cap = f"cap of account phys, per day: {spent} of {spent} EUR used, {spent} wanted"
    assert desk.record(2)["why"] == f"waits for a cloud instance: {cap}"
    desk.book.release(desk.book.open_reservations()[0].res_id, "a test")
    desk.slurm.cluster = replace(
        desk.slurm.cluster, jobs=tuple(j for j in desk.slurm.cluster.jobs if j.job_id != 1)
    )
    assert desk.step().spilled == 1
    assert "why" not in desk.record(2)


def test_a_job_that_names_cloud_partitions_goes_to_one_of_those(make_desk: Make, make_only: Make) -> None:
    desk = make_desk(make_only(1))
    desk.slurm.cluster = replace(
        desk.slurm.cluster,
        partitions=tuple(
            replace(p, nodes=("cloud3", "cloud4")) if p.name == "cgpu" else p
            for p in desk.slurm.cluster.partitions
        ),
    )
    record = {**desk.record(1), "cloud": "cgpu", "pins": "p"}
    desk.change(1, admin_comment=json.dumps(record))
    assert desk.step().spilled == 1
    assert (desk.job(1).partition, desk.slurm.required[1]) == ("cgpu", ("cloud3",))


def test_a_job_that_moved_since_the_queue_was_read_is_left_alone(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    stale = desk.slurm.cluster
    desk.step()
    moved, calls = desk.slurm.cluster, len(desk.slurm.calls)
    desk.slurm.cluster = stale
    adapter = FakeSlurm(moved)
    desk.open(slurm=adapter)
    desk.step()
    assert adapter.calls == []
    assert len(desk.slurm.calls) == calls
    assert len(desk.book.open_reservations()) == 1


def test_a_queue_that_was_read_before_a_move_does_not_undo_its_record(
    make_desk: Make, make_only: Make
) -> None:
    desk = make_desk(make_only(1))
    stale = desk.slurm.cluster
    desk.step()
    moved, record = desk.slurm.cluster, desk.record(1)
    adapter = FakeSlurm(moved)
    desk.slurm.cluster = stale
    for price in (0, 400_000):
        desk.price_micro = price
        desk.open(slurm=adapter)
        desk.step()
    assert adapter.calls == []
    assert adapter.read_job(1).job.admin_comment == json.dumps(record, separators=(",", ":"))


def test_memory_that_no_node_there_has_keeps_a_job(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW, mem_mb_per_node=65537))
    assert desk.step().spilled == 0
    assert desk.slurm.calls == []


def test_jobs_that_may_only_burst_are_not_behind_all_others(
    make_desk: Make, make_job: Make, make_only: Make
) -> None:
    jobs = [
        make_job(1, ALLOW),
        make_job(2, ALLOW, priority=200),
        make_only(3),
        make_only(4),
        make_job(5, ALLOW),
    ]
    desk = make_desk(*jobs)
    ids = [one.job.job_id for one in waiting_jobs(desk.slurm.cluster, desk.policy)]
    assert ids == [2, 1, 3, 4, 5]
    assert desk.step().spilled == 4
    assert [desk.job(i).partition for i in (1, 2, 3, 4, 5)] == ["cloud"] * 4 + ["cpu"]


def test_a_job_that_cannot_be_judged_keeps_no_other_waiting(
    make_desk: Make, make_job: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(make_job(1, f"app=bad;{ALLOW}"), make_job(2, ALLOW))
    sound = verdicts.decide

    def decide(view: Any, request: Any, *rest: Any, **options: Any) -> Any:
        if request.app == "bad":
            raise ValueError("no parser made this")
        return sound(view, request, *rest, **options)

    monkeypatch.setattr(verdicts, "decide", decide)
    assert desk.step().spilled == 1
    assert desk.job(2).partition == "cloud"
    desk.step()
    assert desk.log.getvalue().count("job not judged") == 1


def test_nothing_is_kept_of_a_job_that_is_over(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    desk.step()
    (reservation,) = desk.book.open_reservations()
    key = home_key(reservation.res_id)
    desk.step()
    assert desk.book.read_note(key) != ""
    desk.book.release(reservation.res_id, "its job is over")
    desk.change(1, state="COMPLETING")
    desk.step()
    desk.slurm.cluster = replace(desk.slurm.cluster, jobs=())
    desk.step()
    assert desk.book.read_note(key) == ""


def test_what_is_told_is_not_written_again_and_again(make_desk: Make, make_only: Make) -> None:
    desk = make_desk(make_only(1))
    desk.price_micro = 0
    for _ in range(5):
        desk.step()
    assert len(desk.slurm.calls) == 1


def test_a_gpu_job_goes_to_a_gpu_pool(make_desk: Make, make_job: Make) -> None:
    het = "target=gpu:a100:1,cpus=8,time=1:00:00;preemptible=yes;burst=allow"
    desk = make_desk(make_job(1, het, placed="gpu", partition="gpu", gres=(Gres("gpu", "a100", 1),)))
    assert desk.step().spilled == 1
    assert (desk.job(1).partition, desk.job(1).gres) == ("cgpu", (Gres("gpu", "a100", 1),))


def test_a_move_that_this_slurm_cannot_make_is_not_tried(make_desk: Make, make_job: Make) -> None:
    het = "target=gpu:a100:1,cpus=8,time=1:00:00;target=cpu,cpus=16,time=1:00:00;preemptible=yes;burst=allow"
    desk = make_desk(make_job(1, het, placed="gpu", partition="gpu", gres=(Gres("gpu", "a100", 1),)))
    desk.policy = replace(desk.policy, pools=desk.policy.pools[:1])  # cpus alone
    assert desk.step().spilled == 0
    assert desk.slurm.calls == []
    desk.slurm.cluster = replace(desk.slurm.cluster, version=(26, 5, 5))
    assert desk.step().spilled == 1


def test_a_job_that_began_meanwhile_costs_nothing(make_desk: Make, make_job: Make) -> None:
    desk = make_desk(make_job(1, ALLOW))
    hold = desk.slurm.hold

    def late(job_id: int, **how: bool) -> None:
        desk.change(1, state="RUNNING", node_names=("cpu1",))
        hold(job_id, **how)

    desk.open(slurm=_Late(desk.slurm, late))
    assert desk.step().spilled == 0
    assert desk.reserved() == 0
    assert desk.job(1).partition == "cpu"


def test_what_slurm_made_something_else_of_is_put_back_and_costs_nothing(
    make_desk: Make, make_job: Make
) -> None:
    desk = make_desk(make_job(1, ALLOW))
    before = desk.job(1)

    def deaf(job_id: int, update: Any) -> None:
        desk.slurm.update_job(job_id, replace(update, node_names=()))

    desk.open(slurm=_Deaf(desk.slurm, deaf))
    assert desk.step().spilled == 0
    assert desk.job(1) == before
    assert desk.reserved() == 0


def test_without_a_policy_a_job_that_may_only_burst_is_told_so(make_desk: Make, make_only: Make) -> None:
    desk = make_desk(make_only(1))
    NoPolicy(desk.slurm, Log("json", desk.log, desk.clock), desk.clock).tell(desk.slurm.cluster)
    assert desk.record(1)["why"] == "waits for a cloud instance: no burst.toml is in force here"


class _Wrapped:
    def __init__(self, slurm: Any, method: Any) -> None:
        self._slurm, self._method = slurm, method

    def __getattr__(self, name: str) -> Any:
        return getattr(self._slurm, name)


class _Late(_Wrapped):
    def hold(self, job_id: int, **how: bool) -> None:
        self._method(job_id, **how)


class _Deaf(_Wrapped):
    def update_job(self, job_id: int, update: Any) -> None:
        self._method(job_id, update)

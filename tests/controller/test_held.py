"""Jobs that were held for want of a snapshot are placed, verified and released; nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hetslurm.cluster import Cluster, Gres
from hetslurm.controller.cycle import plan_cycle
from hetslurm.errors import SlurmUnavailable
from hetslurm.site import Site
from hetslurm.slurm import JobDetail, JobUpdate
from hetslurm.slurm.fake import FakeSlurm

Make = Callable[..., Any]
GPU_FIRST = "target=gpu:a100:1,cpus=8,mem=8G,time=10:00;target=cpu,cpus=16,time=1:00:00"


def test_a_held_job_is_bound_as_its_target_says_and_released(make_bench: Make, held_job: Make) -> None:
    bench = make_bench(held_job(1, GPU_FIRST))
    assert bench.cycle()
    job = bench.slurm.read_job(1).job
    assert (job.partition, job.gres, job.cpus) == ("gpu", (Gres("gpu", "a100", 1),), 8)
    assert (job.mem_mb_per_node, job.time_limit_min, job.priority) == (8192, 10, 1)
    record = bench.record(1)
    assert (record["state"], record["pool"], record["kind"], record["by"]) == (
        "placed",
        "gpu",
        "gpu",
        "controller",
    )
    assert record["het"] == GPU_FIRST
    assert [(line["action"], line["result"]) for line in bench.audit()] == [
        ("bind", "verified"),
        ("release", "done"),
    ]


def test_held_jobs_spread_instead_of_all_going_to_the_one_that_is_free(
    make_bench: Make, held_job: Make
) -> None:
    jobs = [held_job(i, "target=gpu:a100:1,time=30:00;target=cpu,cpus=16,time=45:00") for i in range(1, 9)]
    bench = make_bench(*jobs)
    bench.cycle()
    placed = [job.partition for job in bench.slurm.cluster.jobs]
    assert placed[:2] == ["gpu", "gpu"]
    assert placed.count("gpu") < 8
    assert "cpu" in placed


def test_held_jobs_are_placed_in_the_order_of_their_submission(make_bench: Make, held_job: Make) -> None:
    bench = make_bench(*(held_job(i, GPU_FIRST) for i in (3, 1, 2)))
    bench.cycle()
    assert [job for verb, job, _ in bench.slurm.calls if verb == "release"] == [1, 2, 3]


def test_what_the_author_pinned_is_left_alone(make_bench: Make, held_job: Make) -> None:
    job = held_job(1, GPU_FIRST, pins="pctm", cpus=2, time_limit_min=5, mem_mb_per_node=100)
    bench = make_bench(job)
    bench.cycle()
    update = bench.slurm.calls[0][2]
    assert update is not None
    assert update.partition == "cpu"
    assert (update.cpus_per_node, update.tasks, update.time_limit_min, update.mem_mb_per_node) == (None,) * 4


def test_a_job_that_its_author_wants_held_is_bound_and_stays_held(make_bench: Make, held_job: Make) -> None:
    bench = make_bench(held_job(1, GPU_FIRST, pins="h"))
    bench.cycle()
    bench.cycle()
    assert bench.slurm.read_job(1).job.priority == 0
    assert [verb for verb, _, _ in bench.slurm.calls] == ["update"]


@pytest.mark.parametrize(
    "change", [{"reason": "JobHeldAdmin"}, {"priority": 5}, {"state": "RUNNING"}, {"admin_comment": "a note"}]
)
def test_a_job_that_is_not_ours_to_place_is_never_touched(
    make_bench: Make, held_job: Make, change: dict[str, object]
) -> None:
    bench = make_bench(held_job(1, GPU_FIRST, **change))
    bench.cycle()
    assert bench.slurm.calls == []


def test_a_job_that_nothing_can_run_stays_held_and_says_why_once(make_bench: Make, held_job: Make) -> None:
    bench = make_bench(held_job(1, "target=tpu:v5:1"))
    for _ in range(3):
        bench.cycle()
    assert bench.slurm.read_job(1).job.priority == 0
    assert "no pool offers this kind and type" in str(bench.record(1)["why"])
    assert len(bench.slurm.calls) == 1
    assert len(bench.logged("held job refused")) == 1
    assert bench.controller.status.held_for_good == 1


def test_a_refused_job_is_placed_once_a_pool_can_run_it(make_bench: Make, held_job: Make) -> None:
    bench = make_bench(held_job(1, "target=tpu:v5:1"))
    bench.cycle()
    cluster = bench.slurm.cluster
    nodes = tuple(
        replace(node, gres=(Gres("tpu", "v5", 1),)) if node.name == "fpga1" else node
        for node in cluster.nodes
    )
    bench.slurm.cluster = replace(cluster, nodes=nodes)
    bench.cycle()
    assert bench.slurm.read_job(1).job.partition == "fpga"
    assert "why" not in bench.record(1)


def test_while_every_pool_is_down_a_held_job_waits_a_minute_before_it_is_bound(
    make_bench: Make, held_job: Make
) -> None:
    bench = make_bench(held_job(1, GPU_FIRST))
    cluster = bench.slurm.cluster
    down = tuple(replace(node, state=frozenset({"DOWN"})) for node in cluster.nodes)
    bench.slurm.cluster = replace(cluster, nodes=down)
    placer, plan, view = bench.placer()
    now = bench.clock.monotonic()
    assert placer.place(plan, bench.slurm.cluster, view, until=now + 1, stop=bench.stop).placed == 0
    bench.clock.advance(61)
    assert placer.place(plan, bench.slurm.cluster, view, until=now + 100, stop=bench.stop).placed == 1


class Unwilling(FakeSlurm):
    """Says yes to an update, and does something else."""

    def read_job(self, job_id: int) -> JobDetail:
        detail = FakeSlurm.read_job(self, job_id)
        return replace(detail, job=replace(detail.job, partition="cpu"))


def test_a_move_that_slurm_did_not_make_is_seen_and_the_job_stays_held(
    make_bench: Make, held_job: Make, small_cluster: Cluster
) -> None:
    bench = make_bench(slurm=Unwilling(replace(small_cluster, jobs=(held_job(1, GPU_FIRST),))))
    bench.cycle()
    assert bench.record(1)["state"] == "held"
    assert bench.slurm.read_job(1).job.priority == 0
    assert "partition is cpu, not gpu" in str(bench.audit()[0]["result"])
    assert len(bench.logged("held job not placed")) == 1


class Failing(FakeSlurm):
    """Dies right before a release, once."""

    failed: bool = False

    def release(self, job_id: int, *, leads_het_job: bool = False) -> None:
        if not Failing.failed:
            Failing.failed = True
            raise SlurmUnavailable("slurmctld is gone")
        FakeSlurm.release(self, job_id)


def test_a_job_bound_before_a_crash_is_released_by_the_next_start(
    make_bench: Make, held_job: Make, small_cluster: Cluster
) -> None:
    Failing.failed = False
    bench = make_bench(slurm=Failing(replace(small_cluster, jobs=(held_job(1, GPU_FIRST),))))
    assert not bench.cycle()
    assert (bench.record(1)["state"], bench.slurm.read_job(1).job.priority) == ("placed", 0)
    assert bench.cycle()
    assert bench.slurm.read_job(1).job.priority == 1


def test_a_job_that_its_author_holds_after_placement_is_not_released(
    make_bench: Make, held_job: Make
) -> None:
    bench = make_bench(held_job(1, GPU_FIRST))
    bench.cycle()
    bench.slurm.put(replace(bench.slurm.read_job(1).job, priority=0, reason="JobHeldUser"))
    bench.cycle()
    assert bench.slurm.read_job(1).job.priority == 0


def test_a_refusal_of_slurm_is_tried_again_later_and_logged_once(
    make_bench: Make, held_job: Make, small_cluster: Cluster
) -> None:
    class Refusing(FakeSlurm):
        tries = 0

        def update_job(self, job_id: int, update: JobUpdate, *, leads_het_job: bool = False) -> None:
            Refusing.tries += 1
            FakeSlurm.update_job(self, 999, update)

    bench = make_bench(slurm=Refusing(replace(small_cluster, jobs=(held_job(1, GPU_FIRST),))))
    bench.cycle()
    assert Refusing.tries == 2  # the binding, and putting the record back
    assert len(bench.logged("held job not placed")) == 1


def test_a_job_that_slurm_will_not_release_keeps_no_other_waiting(
    make_bench: Make, held_job: Make, small_cluster: Cluster
) -> None:
    class Refusing(FakeSlurm):
        def release(self, job_id: int, *, leads_het_job: bool = False) -> None:
            FakeSlurm.release(self, 999 if job_id == 1 else job_id)

    bench = make_bench(slurm=Refusing(replace(small_cluster, jobs=(held_job(1, GPU_FIRST),))))
    bench.cycle()
    bench.slurm.put(held_job(2, GPU_FIRST))
    assert bench.cycle()
    assert (bench.record(1)["state"], bench.slurm.read_job(1).job.priority) == ("placed", 0)
    assert (bench.record(2)["state"], bench.slurm.read_job(2).job.priority) == ("placed", 1)
    assert len(bench.logged("bound job not released")) == 1


def test_a_job_that_may_only_burst_is_left_to_admission(make_bench: Make, held_job: Make) -> None:
    bench = make_bench(held_job(1, "target=cpu,cpus=16;burst=only"), held_job(2, "target=cpu,cpus=16"))
    bench.cycle()
    assert [job for _, job, _ in bench.slurm.calls] == [2, 2]


def test_cloud_partitions_make_no_pools(small_cluster: Cluster) -> None:
    plan = plan_cycle(small_cluster, Site(), cloud=frozenset({"gpu"}))
    assert {pool.partition for pool in plan.pools} == {"cpu", "fpga"}


def test_components_of_a_heterogeneous_job_are_bound_and_released_each_on_its_own(
    make_bench: Make, held_job: Make
) -> None:
    leader = held_job(1, "target=fpga:u250:1,cpus=2,time=10:00", het_offset=0)
    bench = make_bench(leader, held_job(2, "target=gpu:a100:1,time=5:00", het_offset=1))
    assert bench.cycle()
    jobs = [bench.slurm.read_job(i).job for i in (1, 2)]
    assert [(job.partition, job.priority) for job in jobs] == [("fpga", 1), ("gpu", 1)]
    assert [bench.record(i)["state"] for i in (1, 2)] == ["placed", "placed"]


def test_a_first_component_of_several_nodes_stays_held_and_says_why(make_bench: Make, held_job: Make) -> None:
    bench = make_bench(held_job(1, "target=cpu,nodes=2,cpus=2,time=10:00", het_offset=0))
    bench.cycle()
    bench.cycle()
    record = bench.record(1)
    assert record["state"] == "held"
    assert "cannot give 2 nodes to the first component" in str(record["why"])
    assert [line["action"] for line in bench.audit()] == ["refuse"]

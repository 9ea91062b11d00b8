"""Shadow prices in the controller: from the jobs that it saw into the snapshot, and off at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hetslurm.cli.pool_rows import read_slot
from hetslurm.clock import FixedClock
from hetslurm.cluster import Cluster, QueuedJob
from hetslurm.controller.cycle import Known, plan_cycle, slot_of
from hetslurm.controller.job_mix import JobMix, options_of
from hetslurm.controller.metrics import shadow_metrics
from hetslurm.controller.shadow import ShadowPricer, shadow_status
from hetslurm.controller.status import read_status
from hetslurm.daemon.log import Log
from hetslurm.estimate import Source
from hetslurm.native.kernel import View
from hetslurm.site import ShadowSite, Site
from hetslurm.snapshot import read_view

NOW = 1_800_000_000.0
HET = "target=gpu:a100:1,time=10:00;target=cpu,cpus=16,time=1:00:00;objective=throughput"
SITE = Site(shadow=ShadowSite(min_jobs=10, every_s=60, deadline_s=10))
Jobs = Callable[..., QueuedJob]


class Quiet:
    """A log that remembers its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        self.lines.append(text)
        return len(text)

    def flush(self) -> None:
        pass


class Stage:
    """A pricer, and cycles over a cluster that does not move."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.clock, self.out, self.cluster = FixedClock(NOW), Quiet(), cluster
        self.folder = folder
        self.pricer = self.fresh()

    def fresh(self) -> ShadowPricer:
        return ShadowPricer(self.folder, log=Log("json", self.out, self.clock), clock=self.clock)  # type: ignore[arg-type]

    def cycle(self, site: Site = SITE) -> View:
        """A cycle, with the solve awaited where it begins one; the next view."""
        plan = plan_cycle(self.cluster, site, known=Known(shadow=self.pricer.prices(site)))
        view = View(slot_of(plan, self.cluster, site, 1, NOW))
        assert self.pricer.cycle(site, plan, self.cluster, view, wait_s=20.0)
        plan = plan_cycle(self.cluster, site, known=Known(shadow=self.pricer.prices(site)))
        self.pools = {pool.name: pool for pool in plan.pools}
        return View(slot_of(plan, self.cluster, site, 2, NOW))


@pytest.fixture
def stage(tmp_path: Path, small_cluster: Cluster, held_job: Jobs) -> Stage:
    jobs = tuple(held_job(i, HET) for i in range(1, 41))
    return Stage(tmp_path, replace(small_cluster, jobs=jobs))


def test_a_pool_that_many_want_gets_a_price_and_a_spare_one_none(stage: Stage) -> None:
    stage.cycle()
    gpu, fpga = stage.pools["gpu"].shadow, stage.pools["fpga"].shadow
    assert gpu.value > 0
    assert gpu.source is Source.PREDICTED
    assert fpga.value == 0
    assert stage.pricer.facts.jobs == 40


def test_the_mix_is_scored_as_the_kernel_scores(stage: Stage) -> None:
    view = stage.cycle()
    mix = JobMix()
    mix.see(plan_cycle(stage.cluster, SITE).recorded, 100)
    options, first = options_of(mix.jobs(), view, stage.cluster)
    assert first == min(job.submit_at for job in stage.cluster.jobs)
    by_pool = dict(zip((view.pools[i] for i in options[0].pool), options[0].run_s, strict=True))
    assert by_pool == {"cpu": 3600, "gpu": 600}
    assert dict(zip(options[0].pool, options[0].units, strict=True)) == {
        view.pools.index("cpu"): 16,
        view.pools.index("gpu"): 1,
    }


def test_fewer_jobs_than_the_site_asks_for_make_no_prices(stage: Stage) -> None:
    stage.cycle(replace(SITE, shadow=replace(SITE.shadow, min_jobs=41)))
    assert stage.pricer.facts.solved_at is None
    assert stage.pools["gpu"].shadow.source is Source.DEFAULT


def test_prices_are_solved_again_when_it_is_time_and_not_before(stage: Stage) -> None:
    stage.cycle()
    stage.cycle()
    assert stage.pricer.facts.solves_total == 1
    stage.clock.advance(SITE.shadow.every_s)
    stage.cycle()
    assert stage.pricer.facts.solves_total == 2


def test_off_takes_them_away_at_once_and_on_brings_them_back(stage: Stage) -> None:
    stage.cycle()
    off = replace(SITE, shadow=replace(SITE.shadow, mode="off"))
    stage.cycle(off)
    assert stage.pools["gpu"].shadow.value == 0
    assert stage.pricer.facts.prices == {}
    stage.cycle()
    assert stage.pools["gpu"].shadow.value > 0


def test_the_last_good_prices_and_the_mix_outlive_a_restart(stage: Stage) -> None:
    stage.cycle()
    before = dict(stage.pricer.prices(SITE))
    stage.pricer.close()
    stage.pricer = stage.fresh()
    assert dict(stage.pricer.prices(SITE)) == before
    stage.cluster = replace(stage.cluster, jobs=())
    stage.cycle()
    assert stage.pricer.facts.jobs == 40


def test_a_solve_that_takes_too_long_keeps_the_last_prices(stage: Stage) -> None:
    stage.cycle()
    before = dict(stage.pricer.prices(SITE))
    stage.clock.advance(3600)
    stage.cycle(replace(SITE, shadow=replace(SITE.shadow, deadline_s=1e-9)))
    facts = stage.pricer.facts
    assert dict(facts.prices) == before
    assert facts.failed_total == 1
    assert "not solved within" in str(facts.error)


def test_a_file_that_is_torn_is_said_and_begun_anew(stage: Stage) -> None:
    (stage.folder / "shadow.json").write_text('{"version": 1, "pri')
    stage.pricer = stage.fresh()
    assert stage.pricer.prices(SITE) == {}
    assert any("could not be read" in line for line in stage.out.lines)


def test_status_and_metrics_show_prices_and_their_age(stage: Stage) -> None:
    stage.cycle()
    facts = stage.pricer.facts
    status = json.loads(json.dumps(shadow_status(facts)))
    assert status["prices"]["gpu"] > 0
    assert status["solved_at"] == NOW
    names = {metric.name for metric in shadow_metrics(facts)}
    assert {"hetslurm_shadow_price", "hetslurm_shadow_timestamp_seconds"} <= names


def test_an_array_counts_its_tasks_once(small_cluster: Cluster, held_job: Jobs) -> None:
    whole = held_job(7, HET, tasks=30, array_job_id=7, array_task="1-30")
    task = held_job(8, HET, array_job_id=7, array_task="1", submit_at=whole.submit_at)
    mix = JobMix()
    mix.see(plan_cycle(replace(small_cluster, jobs=(whole,)), SITE).recorded, 100)
    mix.see(plan_cycle(replace(small_cluster, jobs=(task, whole)), SITE).recorded, 100)
    assert [each.count for each in mix.jobs()] == [30]


def test_the_oldest_jobs_leave_the_mix(stage: Stage) -> None:
    mix = JobMix()
    mix.see(plan_cycle(stage.cluster, SITE).recorded, 12)
    assert [each.one.job.job_id for each in mix.jobs()] == list(range(29, 41))


def test_a_controller_that_starts_publishes_the_last_prices(
    make_bench: Callable[..., Any], stage: Stage
) -> None:
    stage.cycle()
    bench = make_bench()
    (bench.root / "state").mkdir(exist_ok=True)
    (stage.folder / "shadow.json").replace(bench.root / "state" / "shadow.json")
    bench.cycle()
    rows = {row["pool"]: row for row in read_slot(read_view(bench.root / "snapshot")).pools}
    assert rows["gpu"]["shadow"] == stage.pricer.facts.prices["gpu"] > 0
    assert rows["gpu"]["shadow_source"] == "predicted"
    status = read_status(bench.root / "state")
    assert status is not None
    assert status["shadow"]["mode"] == "on"

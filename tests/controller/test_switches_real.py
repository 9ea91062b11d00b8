"""Shadow prices and short-first on a real slurmctld: a switch in hetslurm.toml, and what jobs get of it."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hetslurm.cli.pool_rows import read_slot
from hetslurm.sandbox import Sandbox
from hetslurm.snapshot import read_view

pytestmark = pytest.mark.slurm
QUIET = '[history]\nsource = "off"\n[rebind]\nmode = "off"\n'
PRICES = '[shadow_prices]\nmode = "{}"\nevery_s = 1\nmin_jobs = 12\n'
ORDER = '[order]\nmode = "{}"\npoints = 1000\nshortest_s = 60\nlongest_s = 61440\n'
# Ten halvings lie between the shortest and the longest.
MULTIFACTOR = ("PriorityWeightAge=2000", "PriorityMaxAge=7-0")
MUCH = "#!/bin/sh\n#HET target=cpu cpus=8 time=2:00:00\n#HET target=gpu:a100:1 cpus=1 time=10:00\ntrue\n"
LITTLE = "#!/bin/sh\n#HET target=cpu cpus=1 time=1:10:00\n#HET target=gpu:a100:1 cpus=1 time=1:00:00\ntrue\n"
LITTLE = LITTLE.replace("#HET", "#HET objective=throughput\n#HET", 1)
RUNS = "#!/bin/sh\n#HET target=cpu cpus=1 time={}\nsleep 300\n"


@pytest.fixture(scope="module")
def slurm(make_session_sandbox: Callable[..., Sandbox]) -> Iterator[Sandbox]:
    sandbox = make_session_sandbox(
        nodes="cpu=1,gpu:a100=1",
        accounting=True,
        cycle_s=0.2,
        slurm_conf=MULTIFACTOR,
        config_toml=QUIET + PRICES.format("off") + ORDER.format("off"),
    )
    yield sandbox
    sandbox.down()


def turn(slurm: Sandbox, before: str, after: str) -> None:
    """Change hetslurm.toml in one step; the controller follows it."""
    text = slurm.layout.config.read_text()
    assert before in text
    fresh = slurm.layout.config.with_suffix(".new")
    fresh.write_text(text.replace(before, after))
    fresh.replace(slurm.layout.config)


def price(slurm: Sandbox) -> float:
    return next(
        row["shadow"] for row in read_slot(read_view(slurm.snapshot_path)).pools if row["kind"] == "gpu"
    )


def site_factor(slurm: Sandbox, job_id: int) -> str:
    """As sprio shows it."""
    return slurm.run(["sprio", "-h", "-j", str(job_id), "-o", "%S"]).stdout.strip()


def until(what: str, met: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def explained(slurm: Sandbox, job_id: int) -> Any:
    command = [sys.executable, "-P", "-m", "hetslurm", "explain", "--json", str(job_id)]
    return json.loads(slurm.run(command).stdout)


def test_a_job_that_gains_little_leaves_the_gpu_to_those_that_gain_much(slurm: Sandbox) -> None:
    """Held by their author, so that the GPU stays free: only its price speaks against it."""
    jobs = [slurm.submit(MUCH, "-H", "-o", "/dev/null") for _ in range(14)]
    greedy = slurm.submit(LITTLE, "-H", "-o", "/dev/null")
    assert slurm.job(greedy)["Partition"] == "gpu"
    turn(slurm, PRICES.format("off"), PRICES.format("on"))
    until("no price", lambda: price(slurm) > 0)
    priced = slurm.submit(LITTLE, "-H", "-o", "/dev/null")
    assert slurm.job(priced)["Partition"] == "cpu"
    assert slurm.job(slurm.submit(MUCH, "-H", "-o", "/dev/null"))["Partition"] == "gpu"
    candidates = explained(slurm, priced)["candidates"]
    scarce = next(c["terms"]["scarce_s"] for c in candidates if c["pool"] == "gpu" and c["terms"])
    assert scarce["value"] > 600
    assert scarce["source"] == "declared"
    turn(slurm, PRICES.format("on"), PRICES.format("off"))
    until("a price stays", lambda: price(slurm) == 0)
    slurm.run(["scancel", *map(str, jobs), str(greedy), str(priced)])


def test_short_jobs_gain_priority_that_requeue_and_restart_leave_them(slurm: Sandbox) -> None:
    fill = [slurm.submit(RUNS.format("1:00:00"), "-o", "/dev/null") for _ in range(16)]
    for job_id in fill:
        slurm.wait_job(job_id, {"RUNNING"})
    before = slurm.submit(RUNS.format("2:00"), "-o", "/dev/null")
    assert site_factor(slurm, before) == "0"
    turn(slurm, ORDER.format("off"), ORDER.format("short-first"))
    until("a job that waits gets no points", lambda: site_factor(slurm, before) == "900")
    short = slurm.submit(RUNS.format("4:00"), "-o", "/dev/null")
    long = slurm.submit(RUNS.format("1000:00"), "-o", "/dev/null")
    points = round(1000 * math.log(61440 / 60000) / math.log(1024))
    assert (site_factor(slurm, short), site_factor(slurm, long)) == ("800", str(points))
    order = explained(slurm, short)["order"]
    assert (order["points"], order["site_factor"], order["halving_points"]) == (800, 800, 100)
    assert order["halving_age_s"] == pytest.approx(7 * 86400 * 100 / 2000)
    # One that ran: its points came with it, and outlive its requeue and slurmctld.
    slurm.run(["scancel", str(fill[0]), str(before)])
    slurm.wait_job(short, {"RUNNING"})
    slurm.run(["scontrol", "requeue", str(short)])
    slurm.wait_job(long, {"RUNNING"})
    slurm.run(["scontrol", "update", f"JobId={short}", "StartTime=now"])
    slurm.restart_slurmctld()
    until("the points are gone", lambda: site_factor(slurm, short) == "800")
    assert explained(slurm, short)["recorded"]["sf"] == 800
    turn(slurm, ORDER.format("short-first"), ORDER.format("off"))
    until("the points stay", lambda: site_factor(slurm, short) == "0")
    slurm.run(["scancel", "-u", "root"], check=False)

"""What the plugin makes of history: run times, limits that it never shortens, short jobs first."""

from __future__ import annotations

import pytest

from hetslurm.estimate import RunEstimate, Source
from hetslurm.site import OrderSite

NICE_OFFSET = 0x80000000
GPU = """#!/bin/bash
#HET target=gpu:a100:1 time=40:00
srun align
"""
ALIGN = GPU.replace("target", "app=align target")
ORDER = OrderSite("short-first", points=1000, shortest_s=60.0, longest_s=61440.0)


def test_an_apps_history_says_how_long_it_runs(slurmctld) -> None:
    slurmctld.publish(estimates=[RunEstimate("align", "gpu", "a100", 600.0)])
    assert slurmctld.submit(ALIGN).record["run_s"] == 600
    assert slurmctld.submit(GPU).record["run_s"] == 2400


def test_history_of_few_runs_counts_by_its_trust_beside_the_declared_time(slurmctld) -> None:
    slurmctld.publish(estimates=[RunEstimate("align", "gpu", "a100", 600.0, trust=0.5)])
    assert slurmctld.submit(ALIGN).record["run_s"] == pytest.approx((600 * 2400) ** 0.5, rel=1e-3)


def test_without_an_app_the_users_own_runs_of_that_size_and_limit_say_it(slurmctld) -> None:
    ours = RunEstimate("", "gpu", "a100", 300.0, user="1000")
    alike = RunEstimate("", "gpu", "a100", 120.0, user="1000", units=1, limit_min=40)
    others = RunEstimate("", "gpu", "a100", 9.0, user="1001")
    slurmctld.publish(estimates=[ours, others])
    assert slurmctld.submit(GPU).record["run_s"] == 300
    slurmctld.publish(estimates=[ours, alike, others])
    assert slurmctld.submit(GPU).record["run_s"] == 120
    assert slurmctld.submit(GPU.replace("40:00", "41:00")).record["run_s"] == 300


def test_the_size_of_a_class_is_what_the_command_line_makes_of_the_target(slurmctld) -> None:
    alike = RunEstimate("", "cpu", "", 120.0, user="1000", units=16)
    slurmctld.publish(estimates=[alike])
    script = "#!/bin/bash\n#HET target=cpu\nsrun true\n"
    assert slurmctld.submit(script, num_tasks=16).record["run_s"] == 120
    assert slurmctld.submit(script, num_tasks=8).record["run_s"] == 3600


@pytest.mark.parametrize(
    ("speed", "estimate_s", "limit", "run_s"),
    [
        (1.0, 600.0, "40", 600),  # shorter than declared: the limit stays
        (1.0, 6000.0, "40", 2400),  # an estimate is no licence to run longer: Slurm ends it there
        (0.5, 600.0, "80", 1200),  # what was declared takes twice as long here
        (0.5, 6000.0, "80", 4800),
        (2.0, 600.0, "40", 300),
    ],
)
def test_an_estimate_never_shortens_a_limit(
    slurmctld, slower, speed: float, estimate_s: float, limit: str, run_s: float
) -> None:
    slurmctld.pools = [slower(pool, speed) for pool in slurmctld.pools]
    slurmctld.publish(estimates=[RunEstimate("align", "gpu", "a100", estimate_s, source=Source.MEASURED)])
    job = slurmctld.submit(ALIGN)
    assert (job["time_limit"], job.record["run_s"]) == (limit, run_s)


def test_short_jobs_gain_priority_where_the_site_orders_jobs(slurmctld) -> None:
    slurmctld.publish(order=ORDER, estimates=[RunEstimate("align", "gpu", "a100", 1920.0)])
    job = slurmctld.submit(ALIGN)
    assert (job["site_factor"], job.record["sf"]) == (str(NICE_OFFSET + 500), 500)
    longest = slurmctld.submit(GPU.replace("40:00", "2-00:00:00"))
    assert (longest["site_factor"], longest.record["sf"]) == (str(NICE_OFFSET), 0)


def test_no_order_without_a_fresh_snapshot_that_asks_for_it(slurmctld) -> None:
    slurmctld.publish()
    off = slurmctld.submit(ALIGN)
    slurmctld.publish(order=ORDER, age_s=3600)
    stale = slurmctld.submit(ALIGN)
    slurmctld.publish(order=ORDER)
    plain = slurmctld.submit("#!/bin/bash\nsrun true\n")
    for job in (off, stale, plain):
        assert job["site_factor"] in ("open", str(NICE_OFFSET))
    assert "sf" not in off.record
    assert "sf" not in stale.record

"""Many nodes at once from a cloud that gives out launches slowly: quick, and without a storm of refusals."""

from __future__ import annotations

from pathlib import Path

from hetslurm.burst.launch_work import Started
from hetslurm.clock import FixedClock
from hetslurm.cloudburst.provider.simulated import SimulatedCloud

from .rig import NOW, Rig


def usable_s(folder: Path, count: int, **cloud: object) -> tuple[float, SimulatedCloud]:
    """Seconds until the last of so many nodes is usable, with the real loop and the real book."""
    clock = FixedClock(NOW)
    sky = SimulatedCloud(clock, **cloud)  # type: ignore[arg-type]
    rig = Rig(folder, {"sky": sky}, clock)
    nodes = [f"cloud{i}" for i in range(count)]
    outcomes = rig.launch(rig.intend(nodes), patience_s=3600)
    assert all(isinstance(outcome, Started) for outcome in outcomes.values())
    assert len(sky.usable_at) == count == len({seen.token for seen in sky.seen()})
    rig.book.close()
    return max(sky.usable_at.values()) - NOW, sky


def test_a_thousand_nodes_from_a_full_bucket(folder: Path) -> None:
    seconds, sky = usable_s(folder, 1000)
    assert seconds <= 420
    assert sky.throttled == 0


def test_a_thousand_nodes_from_a_half_empty_bucket(folder: Path) -> None:
    # 500 launches must come back at 2 a second: 250 s and a boot are the least that is possible.
    seconds, sky = usable_s(folder, 1000, level=500.0)
    assert seconds <= 420
    assert sky.throttled <= 10


def test_three_thousand_nodes_take_hardly_longer_than_the_bucket_refills(folder: Path) -> None:
    # (3000 - 1000) / 2 a second + 120 s of boot = 1120 s.
    seconds, sky = usable_s(folder, 3000)
    assert seconds <= 1120 * 1.05
    assert sky.throttled <= 10


def test_others_who_empty_the_bucket_cause_no_storm(folder: Path) -> None:
    seconds, sky = usable_s(folder, 1000, level=400.0, others_per_s=1.0)
    assert seconds <= 1000
    assert sky.throttled <= 40


def test_a_cloud_that_gives_what_it_has_is_taken_up(folder: Path) -> None:
    seconds, sky = usable_s(folder, 1000, level=500.0, partial=True)
    assert seconds <= 420
    assert sky.throttled <= 10

"""A device's own past: what counts, what does not, and that it survives what controllers survive."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.controller.baselines import KEPT, Baselines, BaselineStore, forget_old
from hetslurm.errors import HetslurmError
from hetslurm.health.baseline import DAY_S, KEEP_S, Measured, baseline_of

from .rig import Rig, found, speed

NOW = 1_800_000_000.0
FACTS = {"gpu": [{"id": "GPU-1"}, {"id": "GPU-2"}]}


def _days(*values: float) -> list[tuple[float, float]]:
    """One a day, the newest half a day ago."""
    return [(NOW - (len(values) - n - 0.5) * DAY_S, value) for n, value in enumerate(values)]


def test_without_a_measurement_there_is_no_baseline() -> None:
    assert baseline_of([], NOW) is None


@pytest.mark.parametrize(
    ("values", "baseline"),
    [((100,), 100), ((100, 50), 100), ((50, 100), 100), ((90, 100, 80), 90), ((100, 98, 97, 40), 98)],
)
def test_a_young_device_is_compared_with_its_first_three(values: tuple[float, ...], baseline: float) -> None:
    assert baseline_of(_days(*values), NOW) == baseline


def test_the_last_day_is_no_part_of_what_it_is_compared_with() -> None:
    assert baseline_of(_days(100, 100, 100, 100, 1), NOW) == 100


def test_what_is_older_than_three_months_does_not_count() -> None:
    old = [(NOW - KEEP_S - n * DAY_S, 500.0) for n in range(50, 0, -1)]
    assert baseline_of([*old, *_days(100, 100, 100, 100)], NOW) == 100


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=50))
def test_a_baseline_is_something_that_was_measured(values: list[float]) -> None:
    assert baseline_of(_days(*values), NOW) in values


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BaselineStore]:
    store = BaselineStore(tmp_path)
    yield store
    store.close()


def _measure(rig: Rig, followed: Baselines, *rates: float, age_s: float = 2.0) -> None:
    rows = [{"copy_gbs": rate, "measured_age_s": age_s} for rate in rates]
    rig.baselines = {}
    rig.beat({"gpu": rows}, facts=FACTS)
    rig.baselines = followed.follow(rig.now)


def test_slower_than_in_its_own_past_is_a_finding_and_a_lower_speed(store: BaselineStore) -> None:
    rig = Rig(now=NOW)
    followed = Baselines(store, rig.board)
    for day in range(5):
        rig.now = NOW + day * DAY_S
        _measure(rig, followed, 4000 + day, 4000 - day)
    rig.now = NOW + 6 * DAY_S
    _measure(rig, followed, 2000, 4000)
    judged = rig.judge()
    assert found(judged, "gpu_slower") is None  # that sample was judged already
    judged = rig.beat({"gpu": [{"copy_gbs": 2000}, {"copy_gbs": 4000}]})
    finding = found(judged, "gpu_slower")
    assert finding is not None
    assert finding.text == "gpu 0: copy_gbs 2000, 4002 in its own past"
    assert speed(judged, "gpu") == pytest.approx((2000 / 4002 + 1) / 2)


def test_a_benchmark_is_noted_once_however_often_it_is_reported(store: BaselineStore, tmp_path: Path) -> None:
    rig = Rig(now=NOW)
    followed = Baselines(store, rig.board)
    for beat in range(30):
        _measure(rig, followed, 4000, 3000, age_s=2.0 + beat * 5.0)
    with sqlite3.connect(f"file:{tmp_path}/baselines.sqlite3?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*) FROM measured").fetchone() == (2,)
    db.close()


def test_baselines_survive_a_restart(store: BaselineStore, tmp_path: Path) -> None:
    rig = Rig(now=NOW)
    _measure(rig, Baselines(store, rig.board), 4000, 3000)
    again = BaselineStore(tmp_path)
    later = Rig(now=NOW + 60)
    later.beat({"gpu": [{}, {}]}, facts=FACTS)
    by_probe = Baselines(again, later.board).follow(later.now)
    again.close()
    place = later.board.probes["gpu"].rates.index(later.board.probes["gpu"].place["copy_gbs"])
    assert by_probe["gpu"][place, :2].tolist() == [4000, 3000]


def test_a_device_takes_its_past_along_to_another_node(store: BaselineStore) -> None:
    rig = Rig(now=NOW)
    followed = Baselines(store, rig.board)
    _measure(rig, followed, 4000, 3000)
    rig.beat({"gpu": [{}]}, node="n2", facts={"gpu": [{"id": "GPU-2"}]})
    slot = int(rig.board.probes["gpu"].slots[rig.board.slot("n2"), 0])
    assert np.nanmax(followed.follow(rig.now)["gpu"][:, slot]) == 3000


def test_a_device_that_replaced_another_starts_without_a_past(store: BaselineStore) -> None:
    rig = Rig(now=NOW)
    followed = Baselines(store, rig.board)
    _measure(rig, followed, 4000, 3000)
    rig.beat({"gpu": [{}, {}]}, facts={"gpu": [{"id": "GPU-9"}, {"id": "GPU-2"}]})
    column = followed.follow(rig.now)["gpu"]
    assert np.isnan(column[:, 0]).all()
    assert np.nanmax(column[:, 1]) == 3000


def test_what_a_device_did_long_ago_is_dropped(store: BaselineStore, tmp_path: Path) -> None:
    for n in range(KEPT + 10):
        store.add([Measured("gpu:a", NOW + n, {"copy_gbs": 1.0 + n})], NOW)
    with sqlite3.connect(f"file:{tmp_path}/baselines.sqlite3?mode=ro", uri=True) as db:
        assert db.execute("SELECT count(*), min(at) FROM measured").fetchone() == (KEPT, NOW + 10)
    db.close()
    assert forget_old(store, NOW + KEEP_S + 5000) == 1
    assert store.newest(["gpu:a"]) == {}


@pytest.mark.parametrize("damage", [b"no database at all" * 400, b""])
def test_a_file_that_cannot_be_read_is_set_aside_and_learning_begins_anew(
    tmp_path: Path, damage: bytes
) -> None:
    store = BaselineStore(tmp_path)
    store.add([Measured("gpu:a", NOW, {"copy_gbs": 1.0})], NOW)
    store.close()
    path = tmp_path / "baselines.sqlite3"
    path.write_bytes(damage or path.read_bytes()[:4096] + b"\xff" * 9000)
    store = BaselineStore(tmp_path)
    assert store.set_aside is not None
    assert store.set_aside.exists()
    assert store.newest(["gpu:a"]) == {}
    store.add([Measured("gpu:a", NOW, {"copy_gbs": 2.0})], NOW)
    assert store.newest(["gpu:a"])["gpu:a"][1] == {"copy_gbs": 2.0}
    store.close()


def test_where_nothing_can_be_written_the_store_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HetslurmError, match="cannot keep baselines"):
        BaselineStore(tmp_path / "file" / "state")

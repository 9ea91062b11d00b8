"""Pending jobs scored in one batch choose as each does alone, whatever was kept from earlier cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hetslurm.cluster import Partition
from hetslurm.estimate import Estimate
from hetslurm.job import Request
from hetslurm.native.kernel import View
from hetslurm.placement import Asked, Tier
from hetslurm.pool import NO_WAIT, Pool, Rates
from hetslurm.scoring import Batch, Pending, decide, explain
from hetslurm.site import Site, Weights
from hetslurm.snapshot import build_slot
from hetslurm.target import Target

NOW = 1_000_000.0
CPU, GPU, FPGA = (
    Target("cpu", cpus=8, time_s=3600),
    Target("gpu", "a100", 1, time_s=600),
    Target("fpga", "", 1),
)
PARTITIONS = [
    Partition("cpu", (), is_default=True),
    Partition("gpu", (), deny_accounts=frozenset({"chem"})),
    Partition("fpga", ()),
]


def view(
    gpu_wait_s: float = 0.0, cpu_wait_s: float = 0.0, pools: tuple[str, ...] = ("cpu", "gpu"), **site: Any
) -> View:
    waits = {"cpu": cpu_wait_s, "gpu": gpu_wait_s, "fpga": 0.0}
    types = {"cpu": "", "gpu": "a100", "fpga": "u250"}
    rows = [
        Pool(
            f"{kind}-pool",
            kind,
            kind,
            types[kind],
            ("n1", "n2"),
            64,
            0 if kind == "cpu" else 4,
            1000,
            units=8,
            wait_s=(waits[kind],) * len(NO_WAIT),
            price=Rates(device=1e6, cpu=1e3),
        )
        for kind in pools
    ]
    return View(build_slot(rows, PARTITIONS, [], {}, {}, Site(**site), generation=1, written_at_ns=1))


class Jobs:
    """Pending jobs by key; counts how often each was read."""

    def __init__(self, **jobs: tuple[Request, Asked]) -> None:
        self.jobs, self.reads = dict(jobs), dict.fromkeys(jobs, 0)

    def read(self, key: Any) -> tuple[Request, Asked]:
        self.reads[key] = self.reads.get(key, 0) + 1
        return self.jobs[key]

    def pending(self, **places: tuple[int, str, float]) -> list[Pending]:
        return [Pending(key, job, *places.get(key, (-1, ""))) for key, job in self.jobs.items()]


def pool_names(view: View, rescored: Any) -> list[str]:
    return [view.pools[pool] if pool >= 0 else "" for pool in rescored.choices["pool"]]


requests = st.builds(
    Request,
    st.lists(st.sampled_from([CPU, GPU, FPGA]), min_size=1, max_size=3).map(tuple),
    objective=st.sampled_from(["latency", "cost", None]),
    deadline_at=st.sampled_from([None, int(NOW) + 100, int(NOW) + 5000]),
)
askeds = st.builds(
    Asked,
    uid=st.integers(1, 3),
    account=st.sampled_from(["", "chem"]),
    node_names=st.sampled_from([(), ("n1",), ("n3",)]),
    limit_min=st.sampled_from([0, 30, 600]),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 12), st.tuples(requests, askeds), max_size=10),
            st.sampled_from([0.0, 900.0]),
            st.sampled_from([("cpu", "gpu"), ("cpu", "gpu", "fpga"), ("cpu",)]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_batch_over_many_cycles_decides_as_each_job_alone(cycles: list[Any]) -> None:
    batch = Batch()
    for passed, (jobs, wait_s, pools) in enumerate(cycles):
        seen, now = view(wait_s, pools=pools), NOW + 60 * passed
        pending = [Pending(key, job) for key, job in jobs.items()]
        rescored = batch.rescore(seen, pending, jobs.__getitem__, now)
        for (request, asked), choice in zip(jobs.values(), rescored.choices, strict=True):
            alone = decide(seen, request, asked, now)
            assert Tier(int(choice["tier"])) == alone.tier
            if alone.chosen is None:
                assert choice["pool"] == -1
                continue
            assert (choice["alt"], choice["pool"]) == (alone.chosen.alt, alone.chosen.pool_index)
            assert float(choice["terms"]["score"]) == alone.chosen.score


def test_a_job_is_read_again_only_when_it_changed_or_the_site_did() -> None:
    jobs, batch = Jobs(a=(Request((CPU,)), Asked()), b=(Request((GPU,)), Asked())), Batch()
    for wait_s in (0.0, 10.0, 20.0):
        batch.rescore(view(wait_s), jobs.pending(), jobs.read, NOW)
    assert jobs.reads == {"a": 1, "b": 1}
    jobs.jobs["b"] = (Request((GPU,), app="bwa"), Asked())
    batch.rescore(view(), jobs.pending(), jobs.read, NOW)
    assert jobs.reads == {"a": 1, "b": 2}
    batch.rescore(
        view(presets=Site().presets | {"latency": Weights(time=0.5)}), jobs.pending(), jobs.read, NOW
    )
    assert jobs.reads == {"a": 2, "b": 3}


def test_what_a_move_gains_is_the_score_now_over_the_best() -> None:
    jobs, batch = Jobs(a=(Request((CPU, GPU)), Asked())), Batch()
    seen = view(gpu_wait_s=100.0, cpu_wait_s=9000.0)
    rescored = batch.rescore(seen, jobs.pending(a=(0, "cpu-pool", -1.0)), jobs.read, NOW)
    assert pool_names(seen, rescored) == ["gpu-pool"]
    assert (rescored.t_now[0], rescored.t_best[0]) == (9000.0 + 3600.0, 100.0 + 600.0)
    ratio = rescored.now["score"][0] / rescored.choices["terms"]["score"][0]
    assert ratio == pytest.approx(12600.0 / 700.0)
    here = next(
        c for c in explain(seen, *jobs.jobs["a"], NOW).candidates if (c.alt, c.pool) == (0, "cpu-pool")
    )
    assert rescored.now["money_micro"][0] / 1e6 == pytest.approx(here.terms["money"].value)


def test_a_job_about_to_start_stays_though_a_new_one_would_go_elsewhere() -> None:
    jobs, batch, seen = Jobs(a=(Request((CPU, GPU)), Asked())), Batch(), view(100.0, 9000.0)
    pending = jobs.pending(a=(0, "cpu-pool", 5.0))
    cpu_only_first = replace(GPU, time_s=7200)
    jobs.jobs["a"] = (Request((CPU, cpu_only_first)), Asked())
    assert pool_names(seen, batch.rescore(seen, jobs.pending(), jobs.read, NOW)) == ["gpu-pool"]
    rescored = batch.rescore(seen, [replace(pending[0], stamp=jobs.jobs["a"])], jobs.read, NOW)
    assert pool_names(seen, rescored) == ["cpu-pool"]
    assert rescored.now["wait_s"][0] == rescored.choices["terms"]["wait_s"][0] == 5.0
    assert rescored.now["score"][0] == rescored.choices["terms"]["score"][0]


def test_a_pool_that_is_gone_or_of_another_kind_is_no_place() -> None:
    jobs, batch, seen = Jobs(a=(Request((CPU,)), Asked()), b=(Request((CPU,)), Asked())), Batch(), view()
    places = {"a": (0, "old-pool", -1.0), "b": (0, "gpu-pool", -1.0)}
    rescored = batch.rescore(seen, jobs.pending(**places), jobs.read, NOW)
    assert rescored.now["reasons"].tolist() == [1, 1]
    assert rescored.now["score"].tolist() == [0.0, 0.0]


def test_a_deadline_comes_nearer_while_the_job_waits() -> None:
    jobs, batch = Jobs(a=(Request((CPU,), deadline_at=int(NOW) + 4000), Asked())), Batch()
    tiers = [
        Tier(int(batch.rescore(view(), jobs.pending(), jobs.read, now).choices["tier"][0]))
        for now in (NOW, NOW + 300, NOW + 500)
    ]
    assert tiers == [Tier.FEASIBLE, Tier.FEASIBLE, Tier.SOFT]
    assert jobs.reads == {"a": 1}


def test_a_job_that_cannot_be_read_gets_no_choice() -> None:
    def read(key: Any) -> tuple[Request, Asked] | None:
        return None if key == 1 else (Request((CPU,)), Asked())

    rescored = Batch().rescore(view(), [Pending(1, 1), Pending(2, 2)], read, NOW)
    assert rescored.choices["pool"][0] == -1
    assert rescored.choices["tier"].tolist() == [Tier.NONE, Tier.FEASIBLE]
    assert len(Batch().rescore(view(), [], read, NOW).choices) == 0


def test_jobs_that_are_gone_are_forgotten() -> None:
    def waves() -> Iterator[list[Pending]]:
        for wave in range(8):
            yield [Pending((wave, i), i) for i in range(600)] + [Pending("stays", 0, 1, "gpu-pool")]

    batch, seen, sizes = Batch(), view(50.0), []
    for pending in waves():
        rescored = batch.rescore(
            seen,
            pending,
            lambda key: (Request((CPU, GPU) if key == "stays" else (CPU,)), Asked(uid=hash(key) % 1000)),
            NOW,
        )
        assert (rescored.choices["alt"][-1], rescored.now["wait_s"][-1]) == (1, 50.0)
        sizes.append((len(batch._known), len(batch._jobs), len(batch._alts)))
    assert max(size for sizes_ in sizes for size in sizes_) < 3000


def test_speed_and_estimates_count_for_pending_jobs_too() -> None:
    pools = [
        Pool(name, "cpu", "cpu", "", ("n1",), 64, 0, 1000, units=64, speed=Estimate(speed))
        for name, speed in (("slow", 0.5), ("fast", 1.0))
    ]
    seen = View(build_slot(pools, PARTITIONS, [], {}, {}, Site(), generation=1, written_at_ns=1))
    jobs = Jobs(a=(Request((CPU,)), Asked()))
    rescored = Batch().rescore(seen, jobs.pending(a=(0, "slow", -1.0)), jobs.read, NOW)
    assert (rescored.t_now[0], rescored.t_best[0]) == (7200.0, 3600.0)

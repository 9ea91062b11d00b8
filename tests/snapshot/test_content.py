"""What the controller says is what the plugin reads, and it is arranged as the kernel needs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hetslurm.cluster import UNLIMITED, Association, Partition
from hetslurm.errors import SnapshotError
from hetslurm.estimate import Estimate, Source
from hetslurm.native.layout import (
    CONSTANTS,
    FOREVER,
    WAIT_BOUNDS_MIN,
    check_slot,
    estimate_key,
    name_hash,
    user_key,
)
from hetslurm.pool import NO_WAIT, WAIT_LENGTHS_MIN, Pool, Rates
from hetslurm.site import DataSite, OrderSite, Site
from hetslurm.snapshot import (
    RunEstimate,
    SnapshotWriter,
    build_slot,
    header_of,
    read_view,
    slot_array,
    unpack,
)

Build = Callable[..., NDArray[np.uint8]]
SEEDS = Path(__file__).parents[2] / "native" / "fuzz" / "corpus" / "snapshot"

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
numbers = st.floats(min_value=0, allow_nan=False)
small = st.floats(0, 1e6)
counts = st.integers(0, UNLIMITED)
estimates = st.builds(Estimate, numbers, st.sampled_from(Source))
rates = st.builds(Rates, small, small, small)
partition_names = st.sampled_from(["cpu", "gpu", "fpga", "big mem", "ä"])
name_sets = st.frozensets(names, max_size=4)
partitions = st.builds(
    Partition,
    partition_names,
    st.just(()),
    state=st.sampled_from(["UP", "DOWN", "DRAIN", "INACTIVE"]),
    is_default=st.booleans(),
    allow_accounts=st.none() | name_sets,
    deny_accounts=name_sets,
    allow_qos=st.none() | name_sets,
    allow_groups=st.none() | st.frozensets(st.sampled_from(["users", "staff", "gone"])),
    root_only=st.booleans(),
    priority_tier=st.integers(0, 9),
)
pools = st.builds(
    Pool,
    names,
    partition_names,
    st.sampled_from(["cpu", "gpu", "fpga"]),
    st.sampled_from(["", "a100", "u250"]),
    st.lists(names, max_size=5, unique=True).map(tuple),
    counts,
    counts,
    counts,
    features=name_sets,
    max_time_min=counts,
    units=numbers,
    units_free=numbers,
    wait_s=st.tuples(*[numbers] * len(NO_WAIT)),
    wait_source=st.sampled_from(Source),
    startup_s=estimates,
    speed=estimates,
    price=rates,
    watts=rates,
    health=estimates,
    risk=numbers,
)
associations = st.builds(
    Association,
    st.sampled_from(["ann", "bob", "nobody"]),
    names,
    st.just("") | partition_names,
    st.just("") | names,
)
run_estimates = st.builds(
    RunEstimate,
    st.just("") | names,
    st.sampled_from(["cpu", "gpu"]),
    names,
    numbers,
    small,
    st.integers(0, 9),
    st.booleans(),
    spread=numbers,
    trust=numbers,
    user=st.sampled_from(["", "ann", "bob", "1001", "no such user"]),
    units=st.integers(0, 3),
    limit_min=st.integers(0, 3),
)
sites = st.builds(
    DataSite,
    names,
    st.dictionaries(partition_names | st.just("*"), small),
    stays=st.frozensets(partition_names),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(pools, max_size=12),
    st.lists(partitions, max_size=5, unique_by=lambda partition: partition.name),
    st.lists(associations, max_size=8),
    st.lists(run_estimates, max_size=8),
    st.lists(sites, max_size=3).map(tuple),
)
def test_whatever_the_controller_says_comes_through_the_plugins_reader(
    tmp_path_factory: pytest.TempPathFactory,
    pools: list[Pool],
    partitions: list[Partition],
    associations: list[Association],
    estimates: list[RunEstimate],
    data: tuple[DataSite, ...],
) -> None:
    path = tmp_path_factory.mktemp("round") / "snapshot"
    with SnapshotWriter(path) as writer:
        slot = build_slot(
            pools,
            partitions,
            associations,
            {"ann": 1001, "bob": 0},
            {"users": frozenset({5, 3}), "staff": frozenset({3})},
            Site(data=data),
            estimates,
            generation=writer.next_generation,
            written_at_ns=1,
        )
        writer.write(slot)
    seen = slot_array(read_view(path))
    assert seen.tobytes() == slot.tobytes()
    tables = unpack(seen)
    pool = tables["pool"]
    strings = tables["str"]["byte"].tobytes()

    def text(at: int) -> str:
        return strings[at : strings.index(b"\0", at)].decode()

    there = {partition.name for partition in partitions}
    kept = sorted((p.partition, p.kind, p.type, p.name) for p in pools if p.partition in there)
    part_names = [text(at) for at in tables["part"]["name"]]
    assert kept == sorted(
        (
            part_names[pool["part"][i]],
            text(pool["kind_name"][i]),
            text(pool["type_name"][i]),
            text(pool["name"][i]),
        )
        for i in range(len(pool["name"]))
    )
    for i in range(len(pool["name"])):
        assert pool["kind"][i] == name_hash(text(pool["kind_name"][i]))
        nodes = tables["ids"]["id"][pool["node_first"][i] : pool["node_first"][i] + pool["node_count"][i]]
        assert list(nodes) == sorted(nodes)
        assert len(nodes) == pool["nodes"][i]
    assert int(tables["cls"]["count"].sum()) == len(pool["name"])
    uids = {"ann": 1001, "bob": 0, "1001": 1001}
    assert len(tables["est"]["key"]) == len(
        {
            (e.app, e.kind, e.type) if e.app else (uids[e.user], e.kind, e.type, e.units, e.limit_min)
            for e in estimates
            if e.app or e.user in uids
        }
    )
    assoc = [tables["assoc"][name].tolist() for name in ("uid", "account", "part")]
    keys = list(zip(*assoc, strict=True))
    assert keys == sorted(keys)


def test_a_pool_keeps_its_numbers_in_the_kernels_units(build: Build) -> None:
    pool = Pool(
        "p",
        "cpu",
        "gpu",
        "a100",
        ("n1",),
        8,
        4,
        1000,
        price=Rates(cpu=3600.0, device=7200.0),
        watts=Rates(node=90.0),
        startup_s=Estimate(12.0, Source.PREDICTED),
        units_free=math.inf,
        max_time_min=90,
        reasons=1 << 24,
    )
    row = {name: values[0] for name, values in unpack(build(1, pools=[pool]))["pool"].items()}
    assert (row["price_cpu"], row["price_device"], row["price_node"]) == (1.0, 2.0, 0.0)
    assert (row["watt_node"], row["startup_s"], row["startup_source"]) == (90.0, 12.0, Source.PREDICTED)
    assert (row["units_free"], row["limit_min"], row["max_nodes"]) == (FOREVER, 90, UNLIMITED)
    assert row["reasons"] == 1 << 24


def test_pools_of_a_higher_tier_come_first_and_then_by_name(build: Build) -> None:
    partitions = [Partition("low", (), priority_tier=1), Partition("high", (), priority_tier=5)]
    pools = [
        Pool(name, part, "cpu", "", (), 1, 0, 1) for name, part in (("b", "low"), ("a", "low"), ("z", "high"))
    ]
    tables = unpack(build(1, pools=pools, partitions=partitions))
    strings = tables["str"]["byte"].tobytes()
    order = [strings[at:].split(b"\0", 1)[0].decode() for at in tables["pool"]["name"]]
    assert order == ["z", "a", "b"]


def test_partitions_over_the_same_nodes_share_their_ids(build: Build) -> None:
    nodes = tuple(f"n{i}" for i in range(500))
    partitions = [Partition(f"p{i}", nodes) for i in range(50)]
    pools = [Pool(f"p{i}", f"p{i}", "cpu", "", nodes, 1, 0, 1) for i in range(50)]
    assert len(unpack(build(1, pools=pools, partitions=partitions))["ids"]["id"]) == 500


def test_an_empty_allow_list_still_decides_and_an_allow_list_beats_a_deny_list(build: Build) -> None:
    partitions = [
        Partition("open", ()),
        Partition("shut", (), allow_accounts=frozenset(), deny_accounts=frozenset({"x"})),
        Partition("deny", (), deny_accounts=frozenset({"X"})),
        Partition("groups", (), allow_groups=frozenset({"nobody-knows-it"})),
    ]
    tables = unpack(build(1, pools=[], partitions=partitions))
    flags = [
        {name for name, bit in CONSTANTS.items() if name.startswith("PART_") and flag & bit}
        for flag in tables["part"]["flags"]
    ]
    assert flags == [set(), {"PART_ALLOW_ACCOUNT"}, {"PART_DENY_ACCOUNT"}, {"PART_ALLOW_UID"}]
    assert tables["part"]["account_count"].tolist() == [0, 0, 1, 0]
    assert tables["ids"]["id"].tolist() == [name_hash("x")]


def test_accounts_and_qos_are_lower_case_as_slurmctld_makes_them(build: Build) -> None:
    tables = unpack(build(1))
    assert name_hash("physics") in tables["ids"]["id"]
    assert name_hash("physics") in tables["assoc"]["account"]


def test_data_that_stays_must_not_leave_and_an_unknown_link_costs_nothing(build: Build) -> None:
    data = (
        DataSite("/scratch", {"*": 2.0, "gpu": 4.0}, {"*": 5.0}, stays=frozenset({"cpu", "gpu"})),
        DataSite("s3://lab"),
    )
    tables = unpack(build(1, n_pools=4, site=Site(data=data)))
    strings = tables["str"]["byte"].tobytes()
    place = [
        strings[tables["part"]["name"][part] :].split(b"\0", 1)[0].decode() for part in tables["pool"]["part"]
    ]
    speed = dict(zip(place, tables["link"]["bytes_per_s"][:4].tolist(), strict=True))
    assert speed == {"cpu": 2e9, "gpu": 4e9, "down": 0.0}
    assert tables["link"]["bytes_per_s"][4:].tolist() == [FOREVER] * 4
    assert tables["link"]["egress"][0] == pytest.approx(5e-9)


def test_estimates_are_found_by_the_kernels_key(build: Build) -> None:
    est = unpack(build(1))["est"]
    row = est["key"].tolist().index(estimate_key("bwa", "gpu", "a100"))
    assert (est["mean_s"][row], est["source"][row]) == (40.0, Source.PREDICTED)


def test_a_users_estimates_are_found_by_uid_and_finer_by_size_and_limit(build: Build) -> None:
    estimates = [
        RunEstimate("", "gpu", "a100", 5.0, user="ann"),
        RunEstimate("", "gpu", "a100", 7.0, user="ann", units=4, limit_min=60, spread=3.0, trust=0.25),
        RunEstimate("", "gpu", "a100", 9.0, user="no such user"),
    ]
    est = unpack(build(1, estimates=estimates))["est"]
    mean = dict(zip(est["key"].tolist(), est["mean_s"].tolist(), strict=True))
    fine = user_key(1001, "gpu", "a100", 4, 60)
    assert mean == {user_key(1001, "gpu", "a100"): 5.0, fine: 7.0}
    row = est["key"].tolist().index(fine)
    assert (est["spread"][row], est["trust"][row]) == (3.0, 0.25)


def test_waits_keep_their_place_by_size_and_length(build: Build) -> None:
    waits = tuple(float(i) for i in range(len(NO_WAIT)))
    pool = Pool("p", "cpu", "cpu", "", ("n",), 1, 0, 1, wait_s=waits)
    assert tuple(unpack(build(1, pools=[pool]))["pool"]["wait_s"][0].tolist()) == waits
    assert WAIT_BOUNDS_MIN == WAIT_LENGTHS_MIN


def test_the_order_of_jobs_is_in_the_header_where_the_site_wants_one(build: Build) -> None:
    def header(mode: str) -> tuple[float, ...]:
        head = header_of(build(1, site=Site(order=OrderSite(mode, 500, 30.0, 3600.0))))
        return tuple(float(head[f"order_{name}"]) for name in ("points", "short_s", "long_s"))

    assert header("off") == (0, 0, 0)
    assert header("short-first") == (500, 30, 3600)


def test_the_header_says_what_the_site_says(build: Build) -> None:
    header = header_of(build(7, site=Site(currency="CHF", snapshot_max_age_s=12.5, on_absent="reject")))
    assert (int(header["generation"]), header["currency"], header["cluster"]) == (7, b"CHF", b"test")
    assert int(header["max_age_ns"]) == 12_500_000_000
    assert int(header["flags"]) == CONSTANTS["SLOT_REJECT_ABSENT"]
    assert int(header["default_part"]) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"units": math.nan},
        {"wait_s": (math.nan,) * len(NO_WAIT)},
        {"reasons": 1 << 31},
        {"risk": math.nan},
        {"price": Rates(cpu=math.nan)},
    ],
)
def test_a_number_without_sense_is_refused_before_it_reaches_the_file(
    build: Build, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    pool = Pool("p", "cpu", "cpu", "", ("n",), 1, 0, 1, **wrong)
    slot = build(1, pools=[pool])
    with pytest.raises(SnapshotError, match="makes no sense"):
        check_slot(slot)
    with (
        SnapshotWriter(tmp_path / "snapshot") as writer,
        pytest.raises(SnapshotError, match="makes no sense"),
    ):
        writer.write(slot)
    assert not (tmp_path / "snapshot").exists()


@pytest.mark.parametrize("seed", sorted(SEEDS.iterdir()), ids=lambda seed: seed.name)
def test_the_fuzzers_seeds_are_snapshots_of_this_layout(seed: Path, tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(seed.read_bytes())
    path.chmod(0o644)
    assert int(header_of(slot_array(read_view(path)))["generation"]) == 1

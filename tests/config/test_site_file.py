"""hetslurm.toml is parsed whole and checked whole before any of it counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.config import parse_site, read_site
from hetslurm.errors import ConfigError
from hetslurm.health import rule_names, rules
from hetslurm.pool import Rates
from hetslurm.site import (
    LIMITS,
    PRESETS,
    AgentSite,
    BusSite,
    DataSite,
    DrainSite,
    HealthSite,
    MetricsSite,
    PoolFacts,
    Site,
    Weights,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "hetslurm.toml"
GOLDEN = Path(__file__).parent / "golden"


def problems(text: str) -> str:
    _, found = read_site(text)
    return "\n".join(problem.render("hetslurm.toml") for problem in found)


def test_an_empty_file_is_the_defaults() -> None:
    assert parse_site("") == Site()


def test_the_example_is_right_and_shows_the_defaults() -> None:
    site = parse_site(EXAMPLE.read_text())
    assert site.presets == PRESETS
    assert (site.currency, site.cycle_s, site.on_absent, site.adapter) == ("EUR", 2.0, "hold", "auto")
    assert (site.state_dir, site.snapshot_path) == (Site().state_dir, Site().snapshot_path)
    assert len(site.pools) == 5
    assert len(site.data) == 3


def test_every_key_reaches_the_site() -> None:
    site = parse_site(
        """
        currency = "CHF"
        accelerator_nodes_take_cpu_jobs = true
        resource_gres = ["ssd"]
        [controller]
        cycle_s = 0.5
        state_dir = "/state"
        adapter = "commands"
        [snapshot]
        path = "/snap"
        max_age_s = 7
        on_absent = "reject"
        [objectives]
        default = "cost"
        weights.balanced = {time = 1, cost = 2, energy = 3, scarcity = 4}
        [[pool]]
        partition = "g"
        kind = "gpu"
        type = "a100"
        price_per_hour = {cpu = 0.04, device = 2.5, node = 1}
        watts = {device = 400}
        speed = 1.5
        startup_s = 3
        ignore = false
        [[data]]
        prefix = "s3://x/"
        gb_per_s = {"*" = 1.2, g = 10}
        egress_per_gb = {"*" = 0.09}
        stays = ["g"]
        """
    )
    assert site == Site(
        currency="CHF",
        accelerator_nodes_take_cpu_jobs=True,
        resource_gres=frozenset({"ssd"}),
        cycle_s=0.5,
        state_dir="/state",
        adapter="commands",
        snapshot_path="/snap",
        snapshot_max_age_s=7.0,
        on_absent="reject",
        default_objective="cost",
        presets={**PRESETS, "balanced": Weights(1, 2, 3, 4)},
        pools=(
            PoolFacts(
                "g", "gpu", "a100", Rates(40_000, 2_500_000, 1_000_000), Rates(device=400), 1.5, 3.0, False
            ),
        ),
        data=(DataSite("s3://x/", {"*": 1.2, "g": 10.0}, {"*": 90_000.0}, frozenset({"g"})),),
    )


@given(st.integers(0, 10**12))
def test_money_is_exact_to_the_millionth(micro: int) -> None:
    text = f"{micro // 10**6}.{micro % 10**6:06d}"
    site = parse_site(f"[[pool]]\nprice_per_hour = {{node = {text}}}")
    assert site.pools[0].price_per_hour == Rates(node=float(micro))


def test_mistakes_are_all_named_at_once_with_file_key_and_what_was_expected() -> None:
    text = (GOLDEN / "wrong.toml").read_text()
    assert problems(text) + "\n" == (GOLDEN / "wrong.txt").read_text()
    with pytest.raises(ConfigError) as caught:
        parse_site(text)
    assert str(caught.value) == problems(text)


def test_text_that_is_not_toml_is_refused_with_its_line() -> None:
    assert problems("currency = \n") == "hetslurm.toml:1: not TOML: invalid value"


def test_a_stale_limit_shorter_than_two_cycles_is_refused() -> None:
    assert "at least two cycles (20 s, controller.cycle_s is 10)" in problems(
        "[controller]\ncycle_s = 10\n[snapshot]\nmax_age_s = 15"
    )


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "true", '"1"', "1e400", "2020-01-01", "[1]", "{a=1}"])
def test_numbers_that_make_no_sense_are_refused(value: str) -> None:
    assert "cycle_s" in problems(f"[controller]\ncycle_s = {value}")
    assert "price_per_hour" in problems(f"[[pool]]\nprice_per_hour = {{cpu = {value}}}")


@pytest.mark.parametrize(
    "text", ["pool = 3", "[pool]", "controller = 1", "[[controller]]", "data = [1]", "snapshot = []"]
)
def test_a_value_where_a_table_belongs_is_refused(text: str) -> None:
    assert "expected" in problems(text)


def test_two_entries_for_the_same_pools_are_refused() -> None:
    text = '[[pool]]\nkind = "gpu"\nspeed = 1\n[[pool]]\nkind = "gpu"\nspeed = 2'
    assert problems(text) == "hetslurm.toml:4: pool[2]: names the same partition, kind and type as pool[1]"


keys = st.sampled_from(["currency", "controller", "snapshot", "objectives", "pool", "data", "x", "cycle_s"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    if isinstance(value, int | float):
        return str(value)
    return '"' + "".join(f"\\U{ord(c):08x}" for c in str(value)) + '"'


@given(st.dictionaries(keys, values, max_size=5))
def test_any_toml_gives_a_site_or_problems_never_a_crash(document: dict[str, object]) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in document.items())
    site, found = read_site(text)
    assert (site is None) == bool(found)


def test_every_key_of_node_health_reaches_the_site() -> None:
    site = parse_site(
        """
        [bus]
        listen = "tcp://10.0.0.1:7000"
        connect = ["tcp://ctl2:7000", "tcp://[fe80::1]:7001"]
        keys_dir = "/keys"
        beat_s = 2
        [agent]
        probes = ["host"]
        mounts = ["/home"]
        links = {ib0 = 200000, eth0 = 0}
        kernel_log = "/log"
        deadline_s = 3
        measure_every_s = 60
        xclbin_dirs = ["/x"]
        fake_dir = "/fake"
        notice_file = "/notice"
        [health]
        floor = 0.5
        silent_beats = 4
        silent_share = 0.6
        clear_s = 7
        ignore = ["io_pressure"]
        store_only = ["gpu_hot"]
        steer = false
        limits = {slower_ratio = 0.7}
        [health.drain]
        mode = "on"
        pool_share = 0.5
        burst_share = 0.2
        burst_window_s = 60
        clear_s = 10
        [metrics]
        controller_port = 9836
        agent_port = 9837
        """
    )
    assert site.bus == BusSite(
        "tcp://10.0.0.1:7000", ("tcp://ctl2:7000", "tcp://[fe80::1]:7001"), "/keys", 2.0
    )
    assert site.agent == AgentSite(
        probes=frozenset({"host"}),
        mounts=frozenset({"/home"}),
        links={"ib0": 200000.0, "eth0": 0.0},
        kernel_log="/log",
        deadline_s=3.0,
        measure_every_s=60.0,
        xclbin_dirs=frozenset({"/x"}),
        fake_dir="/fake",
        notice_file="/notice",
    )
    assert site.health == HealthSite(
        floor=0.5,
        silent_beats=4.0,
        silent_share=0.6,
        clear_s=7.0,
        ignore=frozenset({"io_pressure"}),
        store_only=frozenset({"gpu_hot"}),
        limits=LIMITS | {"slower_ratio": 0.7},
        drain=DrainSite("on", 0.5, 0.2, 60.0, 10.0),
        steer=False,
    )
    assert site.metrics == MetricsSite(9836, 9837)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[bus]\nlisten = "ctl:7000"', 'expected "tcp://ADDRESS:PORT"'),
        ('[bus]\nconnect = ["tcp://*:7000"]', 'expected "tcp://HOST:PORT" of a controller or relay'),
        ('[bus]\nconnect = ["tcp://ctl:70000"]', "tcp://ctl:70000"),
        ('[agent]\nprobes = ["gpus"]', '"gpus" is no probe; there are host, link, mount, gpu, fpga'),
        ('[agent]\nmounts = ["home"]', "expected paths that start with /"),
        ('[health]\nignore = ["gpu_lots"]', '"gpu_lots" is no rule; did you mean "gpu_lost"?'),
        ("[health.limits]\nslower = 0.5", 'did you mean "slower_ratio"?'),
        ('[health.drain]\nmode = "yes"', '"off" or "dry-run" or "on"'),
        ("[metrics]\nagent_port = 1.5", "expected a whole number from 0 to 65535"),
        ("[metrics]\nagent_port = 9\ncontroller_port = 9", "is the controller's port, too"),
    ],
)
def test_what_is_wrong_about_node_health_is_said(text: str, said: str) -> None:
    assert said in problems(text)


def test_an_empty_listen_means_no_bus() -> None:
    assert parse_site('[bus]\nlisten = ""').bus.listen == ""


def test_the_names_that_may_be_ignored_are_those_of_all_rules() -> None:
    assert rule_names.RULE_NAMES == rules.RULE_NAMES

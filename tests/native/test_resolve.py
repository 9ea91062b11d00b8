"""What an author wrote and what the command line fixed become what the kernel reads."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hetslurm.cluster import Partition
from hetslurm.job import DataItem, Request
from hetslurm.native.kernel import View, resolve
from hetslurm.native.layout import FOREVER, REASON_BITS, name_hash, user_key
from hetslurm.placement import Asked
from hetslurm.pool import Pool
from hetslurm.scoring import twin
from hetslurm.site import PRESETS, DataSite, Site
from hetslurm.snapshot import build_slot
from hetslurm.target import Target

NATIVE = Path(__file__).parents[2] / "native"
PROBE = Path(__file__).with_name("resolve_probe.c")
NOW = 1_000_000
SITES = ("/scratch", "/scratch/genomes", "s3://lab", "/home/")
GPU = Target("gpu", "a100", 1, cpus=8, mem_mb=1000, time_s=601)
CPU = Target("cpu", cpus=64)


@pytest.fixture(scope="module")
def view() -> View:
    """A snapshot with one pool and some data sites; its default objective is cost."""
    site = Site(default_objective="cost", data=tuple(DataSite(prefix) for prefix in SITES))
    pools = [Pool("p", "cpu", "cpu", "", (), 1, 0, 1)]
    return View(build_slot(pools, [Partition("cpu", ())], [], {}, {}, site, generation=1, written_at_ns=1))


def resolved(view: View, request: Request, **asked: Any) -> tuple[Any, Any, Any]:
    author, _, job, alts = resolve(view, request, Asked(**({"uid": 1} | asked)), NOW)
    return author, job, alts


def terms(view: View, constraint: str) -> set[frozenset[int]]:
    author, _, _ = resolved(view, Request((CPU,)), constraint=constraint)
    return {
        frozenset(author["feature"][i][: author["n_features"][i]].tolist())
        for i in range(int(author["n_terms"]))
    }


def of(*names: str) -> set[frozenset[int]]:
    """Terms as words: "a b" is a AND b."""
    return {frozenset(name_hash(word) for word in name.split()) for name in names}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("", of()),
        ("ib", of("ib")),
        ("ib&avx", of("ib avx")),
        ("ib,avx", of("ib avx")),
        ("ib|avx", of("ib", "avx")),
        ("a&b|c", of("a b", "c")),
        ("a|b&c", of("a", "b c")),
        ("(a|b)&c", of("a c", "b c")),
        ("[rack1|rack2]", of("rack1", "rack2")),
        ("[a*2&b*4]", of("a b")),
        (" a * 2 & ( b | c ) ", of("a b", "a c")),
        ("a:b.c-d=e", of("a:b.c-d=e")),
        ("a&", of()),
        ("(a", of()),
        ("(a]", of()),
        ("a b", of()),
        ("!a", of()),
        ("a*", of()),
        ("((((((((a))))))))", of()),
        ("a|b|c|d|e|f|g|h|i", of()),
        ("(a|b|c)&(d|e|f)", of()),
    ],
)
def test_a_constraint_is_an_or_of_ands_and_an_odd_one_filters_nothing(
    view: View, text: str, means: set[frozenset[int]]
) -> None:
    assert terms(view, text) == means


@given(st.recursive(st.sampled_from("abcd"), lambda e: st.tuples(e, st.sampled_from("&|,"), e), max_leaves=5))
def test_a_constraint_holds_exactly_where_its_expression_does(view: View, tree: Any) -> None:
    def text(node: Any) -> str:
        return node if isinstance(node, str) else f"({text(node[0])}){node[1]}[{text(node[2])}]"

    def holds(node: Any, features: set[str]) -> bool:
        if isinstance(node, str):
            return node in features
        left, right = holds(node[0], features), holds(node[2], features)
        return left or right if node[1] == "|" else left and right

    found = terms(view, text(tree))
    for bits in range(16) if found else ():
        features = {name for i, name in enumerate("abcd") if bits >> i & 1}
        hashes = {name_hash(name) for name in features}
        assert any(term <= hashes for term in found) == holds(tree, features)


@pytest.mark.parametrize(
    ("gres", "gpu_out", "cpu_out"),
    [
        ("", False, False),
        ("none", True, False),
        ("gres:none", True, False),
        ("gpu", False, True),
        ("gpu:2", False, True),
        ("gpu:a100", False, True),
        ("gpu:a100:2", False, True),
        ("gres:gpu:a100:2", False, True),
        ("gres/gpu:a100=2", False, True),
        ("gres/gpu=2", False, True),
        ("gpu:v100:1", True, True),
        ("fpga:1", False, False),  # a kind that no pool and no target has: slurmctld judges it
        ("fpga:1,gpu:1", False, True),
        ("gpu:v100:1,gpu:a100:1", False, True),
        ("cpu=4,mem=100", False, False),
        ("license/matlab=1", False, False),
        ("lscratch:100", False, False),
        ("lscratch:100,gpu:1", False, True),
    ],
)
def test_a_gres_that_the_author_named_rules_out_the_others(
    view: View, gres: str, gpu_out: bool, cpu_out: bool
) -> None:
    _, _, alts = resolved(view, Request((GPU, CPU)), gres=gres)
    assert [bool(alt["reasons"] & REASON_BITS["GRES_NAMED"]) for alt in alts] == [gpu_out, cpu_out]


@pytest.mark.parametrize(
    ("gres", "devices"),
    [
        ("gpu:3", 3),
        ("gpu:a100:4", 4),
        ("gres/gpu=2", 2),
        ("gres/gpu:a100=5", 5),
        ("gpu", 1),
        ("gpu:a100", 1),
        ("gpu:2,gpu:a100:3,fpga:9", 3),
        ("gpu:99999999999999999999", 2**31 - 1),
        ("gpu:0", 7),
        ("fpga:2", 7),
    ],
)
def test_the_count_of_a_gres_that_the_author_named_is_what_must_fit(
    view: View, gres: str, devices: int
) -> None:
    _, _, alts = resolved(view, Request((Target("gpu", "a100", 7),)), gres=gres)
    assert alts[0]["devices"] == devices


@pytest.mark.parametrize(
    ("gres", "kind_type"), [("gpu:v100:2", "v100"), ("gpu:2", ""), ("gpu:a100,gpu:v100", "")]
)
def test_the_one_type_that_the_author_named_holds_for_a_target_of_any_type(
    view: View, gres: str, kind_type: str
) -> None:
    _, _, alts = resolved(view, Request((Target("gpu", count=1),)), gres=gres)
    assert alts[0]["type"] == name_hash(kind_type)
    assert not alts[0]["reasons"]


def test_a_target_alone_says_what_it_needs_per_node(view: View) -> None:
    _, job, alts = resolved(view, Request((GPU, CPU)))
    gpu, cpu = alts
    assert (gpu["kind"], gpu["type"]) == (name_hash("gpu"), name_hash("a100"))
    assert [gpu[name] for name in ("nodes", "cpus", "devices", "mem_mb", "limit_min")] == [1, 8, 1, 1000, 11]
    assert gpu["declared_s"] == 601
    assert [cpu[name] for name in ("nodes", "cpus", "devices", "mem_mb", "limit_min")] == [1, 64, 0, 0, 0]
    assert cpu["declared_s"] == 0
    assert (job["first_alt"], job["n_alts"], job["n_tasks"]) == (0, 2, 1)


def test_the_command_line_wins_over_the_target(view: View) -> None:
    _, job, alts = resolved(
        view, Request((GPU, CPU)), nodes=3, cpus=2, mem_mb=50, limit_min=5, n_tasks=10, partition="cpu, gpu,"
    )
    for alt in alts:
        assert [alt[name] for name in ("nodes", "cpus", "mem_mb", "limit_min", "declared_s")] == [
            3,
            2,
            50,
            5,
            300,
        ]
    assert job["n_tasks"] == 10


def test_a_limit_longer_than_the_declared_time_leaves_the_expectation(view: View) -> None:
    _, _, alts = resolved(view, Request((GPU,)), limit_min=60)
    assert (alts[0]["limit_min"], alts[0]["declared_s"]) == (60, 601)


def test_numbers_past_any_machine_are_clamped(view: View) -> None:
    _, _, alts = resolved(view, Request((Target("cpu", cpus=2**32 - 1, mem_mb=2**60, time_s=2**32 - 1),)))
    assert (alts[0]["cpus"], alts[0]["mem_mb"]) == (2**31 - 1, 2**31 - 1)
    assert alts[0]["limit_min"] == 71582789


def test_the_author_is_known_by_lower_case_account_and_qos(view: View) -> None:
    author, _, _ = resolved(
        view, Request((CPU,)), uid=7, account="Physics", qos="HIGH", partition="cpu,Big", privileged=True
    )
    assert (author["uid"], author["privileged"], author["n_partitions"]) == (7, 1, 2)
    assert (author["account"], author["qos"]) == (name_hash("physics"), name_hash("high"))
    assert author["partition"][:2].tolist() == [name_hash("cpu"), name_hash("Big")]


def test_partitions_past_the_limit_admit_no_more(view: View) -> None:
    author, _, _ = resolved(view, Request((CPU,)), partition=",".join(f"p{i}" for i in range(40)))
    assert author["n_partitions"] == 16


@pytest.mark.parametrize("objective", [*PRESETS, None])
def test_an_objective_takes_its_weights_from_the_site(view: View, objective: str | None) -> None:
    _, job, _ = resolved(view, Request((CPU,), objective=objective))
    preset = PRESETS[objective or "cost"]
    assert job["weights"].tolist() == (preset.time, preset.cost, preset.energy, preset.scarcity)


def test_the_authors_own_weights_keep_the_balanced_scarcity(view: View) -> None:
    _, job, _ = resolved(view, Request((CPU,), objective="weights", weights=(0.6, 0.4, 0.0)))
    assert job["weights"].tolist() == (0.6, 0.4, 0.0, PRESETS["balanced"].scarcity)


@pytest.mark.parametrize(
    ("words", "left_s"),
    [
        ({}, FOREVER),
        ({"deadline_in_s": 90}, 90),
        ({"deadline_at": NOW + 50}, 50),
        ({"deadline_at": NOW - 50}, 0),
    ],
)
def test_a_deadline_counts_from_now(view: View, words: dict[str, int], left_s: float) -> None:
    _, job, _ = resolved(view, Request((CPU,), **words))  # type: ignore[arg-type]
    assert job["deadline_s"] == left_s


def test_work_and_cost_are_open_unless_given(view: View) -> None:
    _, job, _ = resolved(view, Request((CPU,)))
    assert (job["work"], job["max_cost_micro"]) == (0, FOREVER)
    _, job, _ = resolved(view, Request((CPU,), work=3.5e9, max_cost_micro=25_000_000))
    assert (job["work"], job["max_cost_micro"]) == (3.5e9, 25e6)


@pytest.mark.parametrize(
    ("uri", "site"),
    [
        ("/scratch/x", "/scratch"),
        ("/scratch", "/scratch"),
        ("/scratch2/x", None),
        ("/scratch/genomes/a.fa", "/scratch/genomes"),
        ("s3://lab/reads", "s3://lab"),
        ("s3://laboratory", None),
        ("/home/ann", "/home/"),
        ("/tmp", None),
    ],
)
def test_data_belongs_to_the_longest_prefix_of_whole_path_parts(
    view: View, uri: str, site: str | None
) -> None:
    _, job, _ = resolved(view, Request((CPU,), data=(DataItem(uri, 120 << 30),)))
    assert (job["n_data"], job["bytes"][0]) == (1, 120 << 30)
    assert job["site"][0] == (np.uint32(2**32 - 1) if site is None else SITES.index(site))


def test_an_app_is_a_class_per_kind_and_no_wider_one(view: View) -> None:
    _, _, alts = resolved(view, Request((GPU, CPU), app="bwa"))
    assert len(set(alts["class_key"].tolist()) - {0}) == 2
    assert alts["wider_key"].tolist() == [0, 0]


def test_without_an_app_the_class_is_the_users_jobs_of_that_size_and_limit(view: View) -> None:
    def keys(uid: int, target: Target, **asked: int) -> tuple[int, int]:
        alt = resolved(view, Request((target,)), uid=uid, **asked)[2][0]
        return int(alt["class_key"]), int(alt["wider_key"])

    fine, wide = keys(7, CPU, nodes=2, limit_min=30)
    assert twin.estimate_key(fine, 0) == user_key(7, "cpu", "", 128, 30)
    assert twin.estimate_key(wide, 0) == user_key(7, "cpu", "")
    assert keys(8, CPU)[1] != wide
    assert keys(7, GPU)[1] != wide
    assert keys(7, CPU, limit_min=31) == (keys(7, CPU, limit_min=31)[0], wide)
    assert len({keys(7, CPU, nodes=n, limit_min=m)[0] for n in (1, 2) for m in (0, 30)}) == 4


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The resolver's readers of user text under AddressSanitizer and UndefinedBehaviorSanitizer."""
    program = tmp_path_factory.mktemp("resolve") / "resolve_probe"
    sources = [PROBE, NATIVE / "resolve.c", NATIVE / "constraint.c"]
    flags = [
        "-std=gnu11",
        "-O1",
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        f"-I{NATIVE}",
    ]
    subprocess.run(["clang", *flags, *sources, "-o", program], check=True)
    return program


tokens = st.sampled_from([*"abc&|,()[]*:=/ 12k", "gres:", "gres/", "gpu", "none", "cpu", ":", ","])
lines = st.lists(tokens, max_size=60).map("".join) | st.binary(max_size=300).map(
    lambda data: data.replace(b"\0", b"").replace(b"\n", b"").decode("latin-1")
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@example(["(" * 100_000, "a&" * 100_000, "gpu:" * 50_000, "a," * 100_000, "A" * 300])
@given(st.lists(lines, min_size=50, max_size=200))
def test_no_text_of_a_user_leads_the_resolver_astray(resolver: Path, texts: list[str]) -> None:
    data = "\n".join(texts).encode("latin-1") + b"\n"
    done = subprocess.run(
        [resolver], input=data, capture_output=True, env=os.environ | {"LC_ALL": "C"}, check=False
    )
    assert done.returncode == 0, done.stderr.decode()

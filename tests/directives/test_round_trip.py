"""What is rendered reads back to the same request."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hetslurm.errors import DirectiveError
from hetslurm.job import DataItem, Request
from hetslurm.native.parser import parse, render
from hetslurm.target import Target

CORPUS = Path(__file__).parents[2] / "native" / "fuzz" / "corpus" / "directives"

names = st.text(string.ascii_letters + string.digits + "_.+/@:-", min_size=1, max_size=63)
types = st.text(string.ascii_letters + string.digits + "_.-", max_size=63)
kinds = st.from_regex(r"[a-z_][a-z0-9_-]{0,62}", fullmatch=True).filter(lambda kind: kind != "cpu")
each = st.integers(0, 1_000_000)
printable = st.characters(exclude_categories=("C", "Z"), exclude_characters=";")


def texts(most: int, without: str = "") -> st.SearchStrategy[str]:
    """URIs of at most `most` bytes."""
    allowed = printable.filter(lambda c: c not in without)
    return st.text(allowed, min_size=1, max_size=most).filter(lambda text: len(text.encode()) <= most)


def keys(kind: str) -> dict[str, st.SearchStrategy]:  # type: ignore[type-arg]
    return {
        "nodes": each,
        "cpus": each,
        "mem_mb": st.integers(0, (1 << 31) - 1),
        "time_s": st.integers(0, (1 << 32) - 1),
        "name": st.just("") | names,
        "xclbin": st.just("") | texts(255, without=",") if kind == "fpga" else st.just(""),
    }


targets = st.one_of(
    st.builds(Target, st.just("cpu"), **keys("cpu")),
    st.builds(Target, st.just("fpga"), types, st.integers(1, 1_000_000), **keys("fpga")),
    st.builds(
        Target, kinds.filter(lambda kind: kind != "fpga"), types, st.integers(1, 1_000_000), **keys("gpu")
    ),
)
data = st.builds(DataItem, texts(255), st.integers(0, (1 << 63) - 1))
works = st.builds(
    lambda digits, exponent: float(f"{digits}e{exponent}"), st.integers(1, 10**15 - 1), st.integers(-8, 15)
)


def share_out(a: int, b: int) -> tuple[float, float, float]:
    """Weights in whole millionths that sum to 1."""
    low, high = sorted((a, b))
    return (low / 1e6, (high - low) / 1e6, (1_000_000 - high) / 1e6)


objectives = st.one_of(
    st.tuples(
        st.none() | st.sampled_from(["latency", "throughput", "cost", "energy", "balanced"]), st.none()
    ),
    st.tuples(st.just("weights"), st.builds(share_out, st.integers(0, 10**6), st.integers(0, 10**6))),
)
deadlines = st.one_of(
    st.tuples(st.none(), st.none()),
    st.tuples(st.integers(1, 253_402_300_799), st.none()),
    st.tuples(st.none(), st.integers(1, (1 << 32) - 1)),
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    objective, weights = draw(objectives)
    deadline_at, deadline_in_s = draw(deadlines)
    return Request(
        targets=tuple(draw(st.lists(targets, min_size=1, max_size=16))),
        data=tuple(draw(st.lists(data, max_size=8))),
        app=draw(st.none() | names),
        work=draw(st.none() | works),
        objective=objective,
        weights=weights,
        deadline_at=deadline_at,
        deadline_in_s=deadline_in_s,
        preemptible=draw(st.none() | st.booleans()),
        burst=draw(st.none() | st.sampled_from(["never", "allow", "only"])),
        max_cost_micro=draw(st.none() | st.integers(0, 9_223_372_036_853_999_999)),
    )


@given(requests())
@example(
    Request((Target("cpu"),), (DataItem("a:1"), DataItem("a:1x"), DataItem("s3://h:9"), DataItem("h:9/x")))
)
@example(Request((Target("gpu", "1", 1), Target("gpu", "", 1))))
def test_a_rendered_request_reads_back_to_itself(request: Request) -> None:
    assert parse(None, render(request).encode()) == request


def test_the_longest_request_fits_the_option() -> None:
    longest = Target("g" * 63, "t" * 63, 10**6, 10**6, 10**6, (1 << 31) - 1, (1 << 32) - 1, "n" * 63)
    fpga = replace(longest, kind="fpga", xclbin="x" * 255)
    request = Request(
        targets=(fpga,) * 16,
        data=(DataItem("u" * 255, (1 << 63) - 1),) * 8,
        app="a" * 63,
        work=1.23456789012345e-8,
        objective="weights",
        weights=(0.333334, 0.333333, 0.333333),
        deadline_at=253_402_300_799,
        preemptible=True,
        burst="allow",
        max_cost_micro=9_223_372_036_853_999_999,
    )
    assert parse(None, render(request).encode()) == request


def test_text_is_rendered_as_people_write_it() -> None:
    line = (
        b"#HET target=gpu:a100 cpus=8 mem=32G time=40:00 name=fast app=minimap2 work=2.5 "
        b"objective=cost:4,time:6 deadline=+6h data=/a:120G data=/b preemptible=no burst=only max_cost=1.50\n"
    )
    request = parse(line)
    assert request is not None
    assert render(request) == (
        "target=gpu:a100:1,cpus=8,mem=32G,time=0:40:00,name=fast;app=minimap2;work=2.5;objective=time:0.6,cost:0.4;"
        "deadline=+21600s;data=/a:120G;data=/b;preemptible=no;burst=only;max_cost=1.5"
    )


@pytest.mark.parametrize(
    "request_",
    [
        Request(()),
        Request((Target("cpu", count=4),)),
        Request((Target("GPU", count=1),)),
        Request((Target("gpu"),)),
        Request((Target("gpu", count=1, xclbin="a"),)),
        Request((Target("gpu", "a;target=cpu", 1),)),
        Request((Target("g" * 64, count=1),)),
        Request((Target("cpu"),) * 17),
        Request((Target("cpu"),), app="two words"),
        Request((Target("cpu"),), app=""),
        Request((Target("cpu"),), app="a\0b"),
        Request((Target("cpu"),), work=0.0),
        Request((Target("cpu"),), work=float("nan")),
        Request((Target("cpu"),), work=float("inf")),
        Request((Target("cpu"),), objective="speed"),
        Request((Target("cpu"),), objective="weights", weights=(0.0, 0.0, 0.0)),
        Request((Target("cpu"),), objective="weights", weights=(1 / 3, 1 / 3, 1 / 3)),
        Request((Target("cpu"),), deadline_at=0),
        Request((Target("cpu"),), deadline_in_s=-5),
        Request((Target("cpu"),), max_cost_micro=-1),
        Request((Target("cpu"),), data=(DataItem("a b"),)),
        Request((Target("cpu"),), data=(DataItem("/a", 1 << 63),)),
    ],
)
def test_a_request_that_no_author_could_write_is_not_rendered(request_: Request) -> None:
    with pytest.raises(ValueError, match=r"."):
        render(request_)


def test_a_request_without_a_target_is_told_so() -> None:
    with pytest.raises(ValueError, match="without a target"):
        render(Request(()))


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_every_seed_of_the_fuzzer_is_read_or_refused_in_its_place(path: Path) -> None:
    script, apart, option = path.read_bytes().partition(b"\xff")
    try:
        request = parse(script, option if apart else None)
    except DirectiveError as error:
        text = script.split(b"\n")[error.line - 1] if error.line else option
        shown = error.word.encode().split(b"?")[0]
        assert text[error.column - 1 :].startswith(shown)  # noqa: PT017
        assert repr(error.word)[1:-1] in str(error)  # noqa: PT017
        return
    if request:
        unplaced = replace(request, targets=tuple(replace(target, line=0) for target in request.targets))
        assert parse(None, render(request).encode()) == unplaced

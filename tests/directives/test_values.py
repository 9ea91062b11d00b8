"""What each key's value means."""

from __future__ import annotations

import pytest

from hetslurm.errors import DirectiveError
from hetslurm.job import DataItem, Request
from hetslurm.native.parser import parse
from hetslurm.target import Target

K, M, G, T = (1 << shift for shift in (10, 20, 30, 40))


def ask(directives: str) -> Request:
    """The request of one #HET line of directives."""
    request = parse(f"#HET {directives}\n".encode())
    assert request is not None
    return request


def target(words: str) -> Target:
    return ask(words).targets[0]


@pytest.mark.parametrize(
    ("text", "kind", "type_", "count"),
    [
        ("cpu", "cpu", "", 0),
        ("gpu", "gpu", "", 1),
        ("gpu:4", "gpu", "", 4),
        ("gpu:a100", "gpu", "a100", 1),
        ("gpu:a100:2", "gpu", "a100", 2),
        ("gpu:4090:1", "gpu", "4090", 1),
        ("gpu:4g.20gb", "gpu", "4g.20gb", 1),
        ("gpu:A100-SXM4_80GB:8", "gpu", "A100-SXM4_80GB", 8),
        ("fpga:u250:1", "fpga", "u250", 1),
        ("_my-npu_2:1000000", "_my-npu_2", "", 1_000_000),
    ],
)
def test_a_target_is_kind_type_count(text: str, kind: str, type_: str, count: int) -> None:
    one = target(f"target={text}")
    assert (one.kind, one.type, one.count) == (kind, type_, count)


@pytest.mark.parametrize(
    "text",
    [
        "", "CPU", "Gpu", "1gpu", "cpu:4", "cpu:x86", "gpu:", "gpu::1", "gpu:a100:", "gpu:a100:x",
        "gpu:a100:0", "gpu:0", "gpu:a:b:1", ":gpu", "gpu:1000001", "gpu:99999999999999999999999", "gpu:a/b",
        "gpu:a,1", "g" * 64, "gpu:" + "t" * 64,
    ],
)  # fmt: skip
def test_anything_else_is_no_target(text: str) -> None:
    with pytest.raises(DirectiveError, match="is not a value of target"):
        target(f"target={text}")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("40", 2400),
        ("40:00", 2400),
        ("90:30", 5430),
        ("4:00:00", 14400),
        ("0:00:01", 1),
        ("100:00:00", 360_000),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("1-12:30:15", 131_415),
        ("0-0:0:1", 1),
        ("1:90", 150),
        ("00000000000000000000000000040", 2400),
        ("4294967295", None),
        ("1193046:28:15", 4_294_967_295),
        ("1193046:28:16", None),
        ("0", None),
        ("0:00:00", None),
        ("", None),
        (":", None),
        ("1:", None),
        (":1", None),
        ("1-", None),
        ("-1", None),
        ("1-2-3", None),
        ("1:2-3", None),
        ("1:2:3:4", None),
        ("1-2:3:4:5", None),
        ("4h", None),
        ("unlimited", None),
        ("18446744073709551616", None),
    ],
)
def test_times_are_as_slurm_takes_them(text: str, seconds: int | None) -> None:
    if seconds is None:
        with pytest.raises(DirectiveError, match="is not a value of time; expected a time above 0"):
            target(f"target=cpu time={text}")
    else:
        assert target(f"target=cpu time={text}").time_s == seconds


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [
        ("1", 1),
        ("1500", 1500),
        ("1500M", 1500),
        ("64G", 64 << 10),
        ("64g", 64 << 10),
        ("2T", 2 << 20),
        ("1K", 1),
        ("1024K", 1),
        ("1025K", 2),
        ("2047T", 2047 << 20),
        ("2048T", None),
        ("0", None),
        ("0G", None),
        ("G", None),
        ("1.5G", None),
        ("64GB", None),
        ("64P", None),
        ("-1", None),
        ("18446744073709551615T", None),
    ],
)
def test_memory_is_in_mebibytes_rounded_up(text: str, mebibytes: int | None) -> None:
    if mebibytes is None:
        with pytest.raises(DirectiveError, match="is not a value of mem"):
            target(f"target=cpu mem={text}")
    else:
        assert target(f"target=cpu mem={text}").mem_mb == mebibytes


@pytest.mark.parametrize("key", ["nodes", "cpus"])
def test_counts_are_whole_and_bounded(key: str) -> None:
    assert getattr(target(f"target=cpu {key}=1000000"), key) == 1_000_000
    for wrong in ("0", "-1", "1.0", "1e3", "0x10", "1000001", "", "many", "18446744073709551617"):
        with pytest.raises(DirectiveError, match=f"is not a value of {key}; expected a whole number from 1"):
            target(f"target=cpu {key}={wrong}")


@pytest.mark.parametrize("key", ["app", "name"])
def test_names_are_plain_words(key: str) -> None:
    longest = "bwa-mem2/2.2.1+x86_64@lab:v3".ljust(63, "x")
    request = ask(f"target=cpu {key}={longest}")
    assert longest in (request.app, request.targets[0].name)
    for wrong in ("", "x" * 64, "a,b", "a;b", "a%20b", "a=b", "a'b", 'a"b', "a\\b", "é", "$HOME"):
        with pytest.raises(DirectiveError, match=f"is not a value of {key}"):
            ask(f"target=cpu {key}={wrong}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3.5e9", 3.5e9),
        ("1", 1.0),
        ("0.1", 0.1),
        ("123456789.25", 123456789.25),
        ("1E6", 1e6),
        ("1e+6", 1e6),
        ("25e-1", 2.5),
        ("1e-8", 1e-8),
        ("1e30", 1e30),
        ("0.000000000000000000001e21", 1.0),
        ("100000000000000000000", 1e20),
        ("3.14159265358979323846", 3.14159265358979),
        ("999999999999999.9", 1e15),
    ],
)
def test_work_is_read_to_fifteen_digits(text: str, value: float) -> None:
    assert ask(f"target=cpu work={text}").work == value


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "0.0", "-1", "+1", ".5", "5.", "1e", "1e+", "1e400", "9e-9", "1.1e30", "1,5", "0x1p3", "inf",
        "nan", "1e5x",
    ],
)  # fmt: skip
def test_work_is_a_positive_finite_number(text: str) -> None:
    with pytest.raises(DirectiveError, match="is not a value of work; expected a number from 1e-8 to 1e30"):
        ask(f"target=cpu work={text}")


@pytest.mark.parametrize("text", ["latency", "throughput", "cost", "energy", "balanced"])
def test_an_objective_may_be_named(text: str) -> None:
    request = ask(f"target=cpu objective={text}")
    assert (request.objective, request.weights) == (text, None)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("time:0.6,cost:0.4", (0.6, 0.4, 0.0)),
        ("cost:4,time:6", (0.6, 0.4, 0.0)),
        ("energy:1", (0.0, 0.0, 1.0)),
        ("time:1,cost:1,energy:1", (0.333334, 0.333333, 0.333333)),
        ("time:1,cost:2", (0.333333, 0.666667, 0.0)),
        ("time:0,cost:1e-6", (0.0, 1.0, 0.0)),
    ],
)
def test_an_objective_may_be_weights_that_are_scaled_to_one(text: str, weights: tuple[float, ...]) -> None:
    request = ask(f"target=cpu objective={text}")
    assert (request.objective, request.weights) == ("weights", weights)


@pytest.mark.parametrize(
    "text",
    [
        "", "speed", "Cost", "time", "time:", "time:0", "time:-1", "time:1,", ",time:1", "time:1,,cost:1",
        "time:1,time:2", "time:1;cost:1", "time:1e7", "cost,time:1", "memory:1", "time:x",
    ],
)  # fmt: skip
def test_anything_else_is_no_objective(text: str) -> None:
    with pytest.raises(DirectiveError, match="is not a value of objective; expected latency, throughput"):
        ask(f"target=cpu objective={text}")


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("/scratch/genomes:120G", DataItem("/scratch/genomes", 120 * G)),
        ("s3://lab/reads:3T", DataItem("s3://lab/reads", 3 * T)),
        ("s3://lab/reads", DataItem("s3://lab/reads")),
        ("s3://minio:9000/reads", DataItem("s3://minio:9000/reads")),
        ("/a:17", DataItem("/a", 17)),
        ("/a:5k", DataItem("/a", 5 * K)),
        ("/a:5:6M", DataItem("/a:5", 6 * M)),
        ("/a:5:0", DataItem("/a:5")),
        ("/a:b", DataItem("/a:b")),
        ("/a,b=c?d&e%20'f", DataItem("/a,b=c?d&e%20'f")),
        ("/données/été:1G", DataItem("/données/été", G)),
        ("/" + "x" * 254 + ":1", DataItem("/" + "x" * 254, 1)),
        ("/a:9223372036854775807", DataItem("/a", (1 << 63) - 1)),
    ],
)
def test_data_is_a_uri_and_perhaps_a_size(text: str, item: DataItem) -> None:
    assert ask(f"target=cpu data={text}").data == (item,)


@pytest.mark.parametrize(
    "text",
    ["", ":5G", "/a:5GB", "/a:3.5T", "/a:9223372036854775808", "/a;b", "/a\x7f", "/a\u0085", "/" + "x" * 255],
)
def test_anything_else_is_no_data(text: str) -> None:
    with pytest.raises(DirectiveError, match="is not a value of data"):
        ask(f"target=cpu data={text}")


@pytest.mark.parametrize(
    "raw", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe0\x80\x80", b"\xc3"]
)
def test_data_is_valid_utf8(raw: bytes) -> None:
    with pytest.raises(DirectiveError, match="is not a value of data"):
        parse(b"#HET target=cpu data=/" + raw + b"\n")


def test_an_xclbin_belongs_to_an_fpga() -> None:
    assert target("target=fpga xclbin=/opt/kernels/align_v2.xclbin").xclbin == "/opt/kernels/align_v2.xclbin"
    for wrong in ("", "a,b", "a;b", "x" * 256):
        with pytest.raises(DirectiveError, match="is not a value of xclbin"):
            target(f"target=fpga xclbin={wrong}")
    with pytest.raises(DirectiveError, match="'xclbin' is a key of fpga targets"):
        target("target=gpu xclbin=a.xclbin")


def test_preemptible_is_yes_or_no() -> None:
    assert ask("target=cpu").preemptible is None
    assert ask("target=cpu preemptible=yes").preemptible is True
    assert ask("target=cpu preemptible=no").preemptible is False
    for wrong in ("", "true", "1", "Yes", "noo"):
        with pytest.raises(DirectiveError, match="expected yes or no"):
            ask(f"target=cpu preemptible={wrong}")


def test_burst_is_never_allow_or_only() -> None:
    assert [ask(f"target=cpu burst={word}").burst for word in ("never", "allow", "only")] == [
        "never",
        "allow",
        "only",
    ]
    assert ask("target=cpu").burst is None
    with pytest.raises(DirectiveError, match="expected never, allow or only"):
        ask("target=cpu burst=yes")


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("25", 25_000_000),
        ("0.75", 750_000),
        ("0", 0),
        ("0.000001", 1),
        ("1.10", 1_100_000),
        ("9223372036853.999999", 9_223_372_036_853_999_999),
    ],
)
def test_max_cost_is_exact_to_millionths(text: str, micro: int) -> None:
    assert ask(f"target=cpu max_cost={text}").max_cost_micro == micro


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "-1", "1e3", "0.0000001", "9223372036854", "25EUR", "1.2.3", "1,50"]
)
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(DirectiveError, match="is not a value of max_cost; expected an amount of money"):
        ask(f"target=cpu max_cost={text}")

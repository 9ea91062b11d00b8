"""Our binding of XRT's C++ API, against the real runtime that pretends a card (libxrt_noop)."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import pytest

from .axlf_file import PLATFORM, write_axlf
from .conftest import RunNoop

UUID_A = UUID("5f9d2a54-7e5c-4d12-9c40-2f6f1f0d7a11")

OPEN = """
import json, os, sys
from hetslurm.fpga import xrt
x = xrt.load()
assert x.__name__ == "hetslurm.fpga._xrt", x
to, back = (x.xclBOSyncDirection(way) for way in (0, 1))

def said(call):
    try:
        return str(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""


def test_the_bindings_are_built() -> None:
    """Where this fails, XRT's headers were missing when hetslurm was built."""
    from hetslurm.fpga import _xrt

    assert _xrt.xrt_info_device.thermal == 9


def test_what_is_asked_of_a_card_comes_back_as_text(run_noop: RunNoop) -> None:
    told = run_noop(
        OPEN
        + """
card = x.device(0)
print(json.dumps({key.name: said(lambda: card.get_info(key)) for key in x.xrt_info_device}))
"""
    )
    assert json.loads(told["host"])["version"].startswith("2.")
    sensors = json.loads(told["thermal"])["thermals"]
    assert {(one["temp_C"], one["is_present"]) for one in sensors} == {("0", "false")}
    assert told["m2m"] == "0"
    for single in ("bdf", "name", "offline", "nodma", "interface_uuid", "platform"):
        assert told[single].startswith("RuntimeError: No such query request"), single
    assert told["kdma"] == "RuntimeError: bad any_cast"


def test_a_buffer_keeps_what_is_written_to_it(run_noop: RunNoop) -> None:
    told = run_noop(
        OPEN
        + """
sent = os.urandom(1 << 20)
buffer = x.bo(x.device(0), len(sent), x.bo.normal, 0)
buffer.write(sent, 0)
buffer.sync(to, buffer.size(), 0)
buffer.sync(back, buffer.size(), 0)
part = buffer.read(4096, 8192)
print(json.dumps([
    bytes(buffer.map()) == sent, part.tobytes() == sent[8192:12288], str(part.dtype), buffer.size(),
    isinstance(buffer.address(), int),
]))
"""
    )
    assert told == [True, True, "int8", 1 << 20, True]


def test_a_view_of_a_buffer_outlives_the_buffer(run_noop: RunNoop) -> None:
    told = run_noop(
        OPEN
        + """
import gc
view = x.bo(x.device(0), 4096, x.bo.flags.normal, 0).map()
view[:3] = b"abc"
gc.collect()
others = [x.bo(x.device(0), 4096, x.bo.normal, 0).map() for _ in range(64)]
for other in others:
    other[:] = bytes(4096)
print(json.dumps([bytes(view[:3]).decode(), view.readonly, view.format]))
"""
    )
    assert told == ["abc", False, "B"]


@pytest.mark.parametrize(
    "call",
    [
        "buffer.sync(to, 4097, 0)",
        "buffer.sync(to, 1, 4096)",
        "buffer.sync(to, 2**64 - 1, 2)",
        "buffer.write(b'x' * 10, 4090)",
        "buffer.read(1, 4096)",
        "x.bo(card, 0, x.bo.normal, 0)",
        "x.bo(card, 4096, 12345, 0)",
        "buffer.sync(7, 1, 0)",
        "x.device('no address')",
        "x.device('nul\\0byte')",
        "x.uuid('no uuid')",
        "card.get_info(99)",
    ],
)
def test_nonsense_is_refused_before_it_reaches_the_card(run_noop: RunNoop, call: str) -> None:
    told = run_noop(
        OPEN
        + f"""
card = x.device(0)
buffer = x.bo(card, 4096, x.bo.normal, 0)
print(json.dumps(said(lambda: {call})))
"""
    )
    assert told.startswith("ValueError: "), told


@pytest.mark.parametrize("how", ["path", "x.xclbin(path)"])
def test_a_loaded_bitstream_is_known_by_its_uuid(run_noop: RunNoop, tmp_path: Path, how: str) -> None:
    told = run_noop(
        OPEN
        + f"""
path = sys.argv[1]
card = x.device(0)
before = card.get_xclbin_uuid().to_string()
loaded = card.load_xclbin({how})
now = card.get_xclbin_uuid().to_string()
print(json.dumps([before, loaded.to_string(), now, loaded == x.uuid(sys.argv[2])]))
""",
        write_axlf(tmp_path / "a.xclbin", UUID_A),
        str(UUID_A).upper(),
    )
    assert told == ["00000000-0000-0000-0000-000000000000", str(UUID_A), str(UUID_A), True]


def test_an_xclbin_says_what_it_was_built_for(run_noop: RunNoop, tmp_path: Path) -> None:
    told = run_noop(
        OPEN
        + """
image = x.xclbin(sys.argv[1])
print(json.dumps([image.get_uuid().to_string(), image.get_xsa_name()]))
""",
        write_axlf(tmp_path / "a.xclbin", UUID_A),
    )
    assert told == [str(UUID_A), PLATFORM]


def test_what_is_no_xclbin_is_refused(run_noop: RunNoop, tmp_path: Path) -> None:
    (tmp_path / "not.xclbin").write_bytes(b"x" * 4096)
    told = run_noop(
        OPEN
        + """
print(json.dumps([said(lambda: x.device(0).load_xclbin(path)) for path in sys.argv[1:]]))
""",
        tmp_path / "not.xclbin",
        tmp_path / "missing.xclbin",
    )
    assert all(one.startswith("RuntimeError: ") for one in told), told


def test_threads_can_use_cards_at_once(run_noop: RunNoop) -> None:
    told = run_noop(
        OPEN
        + """
import threading
def work():
    for _ in range(200):
        x.bo(x.device(0), 65536, x.bo.normal, 0).sync(to, 65536, 0)
threads = [threading.Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
print(json.dumps([thread.is_alive() for thread in threads]))
"""
    )
    assert told == [False] * 4

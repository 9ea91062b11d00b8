"""The board's file tells what the board held, to readers and to the controller's next life."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.bus.board import Board
from hetslurm.bus.board_file import MAGIC, START, BoardFile
from hetslurm.bus.board_restore import restore
from hetslurm.bus.board_view import BoardView, NodeView, read_board_file
from hetslurm.errors import BusError
from hetslurm.health.memory import Memory
from hetslurm.telemetry import ProbeState

from ..health.rig import Rig, found, health

FACTS = {"gpu": [{"id": "GPU-1", "name": "H200"}, {"id": "GPU-2"}]}


def _rig() -> Rig:
    rig = Rig()
    rig.beat({"host": [{}], "mount": [{}]}, node="away")
    rig.beat({"host": [{"disk_used_ratio": 0.99}], "gpu": [{"xid_hard": 0}, {}]}, node="n1", facts=FACTS)
    rig.beat(
        {"host": [{"disk_used_ratio": 0.99}], "gpu": [{"xid_hard": 2, "xid_last": 79}, {}]},
        node="n1",
        times=3,
    )
    rig.beat({"host": []}, node="n2", state=ProbeState.FAILED, message="no /proc", skew_s=0.5)
    rig.board.forget(["away"])
    table = rig.board.probes["gpu"]
    rig.baselines = {"gpu": np.full((len(table.rates), table.size), 123.0)}
    return rig


def _write(rig: Rig, path: Path) -> BoardView:
    BoardFile(path).write(rig.board, rig.judge(), rig.baselines, rig.now)
    return read_board_file(path)


def _node(view: BoardView, name: str) -> NodeView:
    node = view.node(name)
    assert node is not None
    return node


def test_a_reader_gets_every_node_with_its_health_findings_and_probes(tmp_path: Path) -> None:
    rig = _rig()
    view = _write(rig, tmp_path / "board")
    assert (view.names, len(view), view.written_at) == (tuple(n for n in rig.board.names if n), 2, rig.now)
    node = _node(view, "n1")
    assert node.health == {"cpu": 0.5, "gpu": 0.0, "fpga": 0.5}
    assert [f.rule for f in node.findings] == ["gpu_xid_hard", "disk_full"]
    assert node.findings == rig.judge().findings["n1"]
    assert (node.heard, node.silent, node.seq, node.beat_s) == (True, False, 4, 5.0)
    gpu = node.probes["gpu"]
    assert (gpu.state, gpu.runs, len(gpu.rows)) == (ProbeState.OK, 4, 2)
    assert gpu.rows[0].values["xid_hard"] == 2.0
    assert gpu.rows[0].values["temperature_c"] == 50.0
    assert "copy_gbs" not in gpu.rows[0].values
    assert gpu.rows[0].baseline["copy_gbs"] == 123.0
    assert [row.facts for row in gpu.rows] == FACTS["gpu"]
    assert set(node.probes) == {"host", "gpu"}


def test_a_probe_that_failed_is_there_with_its_words(tmp_path: Path) -> None:
    host = _node(_write(_rig(), tmp_path / "board"), "n2").probes["host"]
    assert (host.state, host.message, host.rows) == (ProbeState.FAILED, "no /proc", ())


def test_a_reader_can_go_through_all_nodes(tmp_path: Path) -> None:
    view = _write(_rig(), tmp_path / "board")
    assert [node.name for node in view] == list(view.names)
    assert view.node("nobody") is None


def test_an_empty_board_is_a_file_too(tmp_path: Path) -> None:
    assert list(_write(Rig(), tmp_path / "board")) == []


def test_everybody_may_read_it_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        _write(_rig(), tmp_path / "board")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "board").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["board"]


def test_a_reader_keeps_what_it_read_while_the_file_is_replaced(tmp_path: Path) -> None:
    rig, path = _rig(), tmp_path / "board"
    view = _write(rig, path)
    rig.beat({"host": [{}]}, node="n9")
    assert "n9" in _write(rig, path).names
    assert view.node("n9") is None
    assert _node(view, "n1").probes["gpu"].rows[1].values["temperature_c"] == 50.0


def test_facts_that_changed_are_written_anew(tmp_path: Path) -> None:
    rig = _rig()
    file = BoardFile(tmp_path / "board")
    for name in ("H200", "H300"):
        rig.beat({"gpu": [{}, {}]}, facts={"gpu": [{"id": "GPU-1", "name": name}]})
        file.write(rig.board, rig.judge(), {}, rig.now)
        row = _node(read_board_file(file.path), "n1").probes["gpu"].rows[0]
        assert row.facts["name"] == name


def test_a_judgement_of_another_board_is_refused(tmp_path: Path) -> None:
    rig = _rig()
    judged = rig.judge()
    rig.send("n9")
    with pytest.raises(ValueError, match="another board"):
        BoardFile(tmp_path / "board").write(rig.board, judged, {}, rig.now)


def test_where_there_is_no_file_the_error_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="does the controller run"):
        read_board_file(tmp_path / "board")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"HETBOARD",
        START.pack(MAGIC, 1, 0, 2**60),
        START.pack(MAGIC, 1, 0, 0),
        START.pack(b"HETSNAP1", 1, 0, 10) + bytes(100),
        START.pack(MAGIC, 1, 0, 6) + msgspec.msgpack.encode({"a": [1]}),
    ],
)
def test_what_is_no_board_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "board").write_bytes(content)
    with pytest.raises(BusError, match="no board of hetslurm's"):
        read_board_file(tmp_path / "board")


def test_a_board_of_another_version_is_refused_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "board").write_bytes(START.pack(MAGIC, 9, 0, 0))
    with pytest.raises(BusError, match="version 9, this program reads 1"):
        read_board_file(tmp_path / "board")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "board")
    with pytest.raises(BusError, match="no board"):
        read_board_file(tmp_path / "board")


@given(st.data())
def test_a_damaged_board_is_refused_or_taken_but_breaks_neither_a_reader_nor_the_next_controller(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "board"
    _write(_rig(), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(bytes(content[:cut] if data.draw(st.booleans()) else content))
    later = Rig()
    try:
        view = read_board_file(path)
        for node in view:
            assert all(probe.rows is not None for probe in node.probes.values())
        restore(later.board, later.memory, view)
    except BusError:
        later = Rig()
    judged = later.beat({"gpu": [{}, {}], "host": [{}]})
    assert "n1" in judged.names


def test_a_header_that_promises_columns_of_other_shapes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board"
    _write(_rig(), path)
    content = path.read_bytes()
    magic, version, _, size = START.unpack_from(content)
    header = msgspec.msgpack.decode(content[START.size : START.size + size])
    header["columns"] = [[n, t, [4611686018427387904, *s[1:]]] for n, t, s in header["columns"]]
    other = msgspec.msgpack.encode(header)
    path.write_bytes(
        struct.pack("<8sIIQ", magic, version, 0, len(other)) + other + content[START.size + size :]
    )
    with pytest.raises(BusError, match="no board"):
        read_board_file(path)


def _next_life(rig: Rig, path: Path) -> Rig:
    view = _write(rig, path)
    later = Rig(now=rig.now + 30.0, board=Board())
    later.memory = Memory(started_at=later.now)
    later._seq, later._runs = rig._seq, rig._runs
    assert restore(later.board, later.memory, view) == len(view)
    return later


def test_a_restart_of_the_controller_heals_nobody(tmp_path: Path) -> None:
    rig = _rig()
    before = rig.judge()
    later = _next_life(rig, tmp_path / "board")
    judged = later.judge()
    assert judged.names == before.names
    np.testing.assert_array_equal(judged.health, before.health)
    first, again = found(before, "gpu_xid_hard"), found(judged, "gpu_xid_hard")
    assert first is not None
    assert again is not None
    assert (again.since, again.is_hard, again.text) == (first.since, first.is_hard, first.text)
    assert not judged.heard.any()
    assert not judged.silent.any()
    # The XID was within the day; its counter stands still, and that heals nothing yet.
    judged = later.beat({"gpu": [{"xid_hard": 2, "xid_last": 79}, {}]}, times=20)
    assert health(judged, "gpu") == 0.0


def test_after_a_restart_nodes_have_their_beats_before_they_are_silent(tmp_path: Path) -> None:
    later = _next_life(_rig(), tmp_path / "board")
    for _ in range(3):
        assert not later.beat({"host": [{}]}, node="n2").silent.any()
    assert later.beat({"host": [{}]}, node="n2").silent.tolist() == [True, False]


def test_a_restart_judges_no_old_sample_a_second_time(tmp_path: Path) -> None:
    rig = Rig()
    rig.beat({"mount": [{"used_ratio": 0.99}]})
    later = _next_life(rig, tmp_path / "board")
    for _ in range(5):
        assert found(later.judge(), "mount_full") is None


def test_counters_go_on_from_where_they_were_before_a_restart(tmp_path: Path) -> None:
    rig = Rig()
    rig.beat({"gpu": [{"xid_hard": 3}]}, times=2)
    later = _next_life(rig, tmp_path / "board")
    assert found(later.beat({"gpu": [{"xid_hard": 3}]}), "gpu_xid_hard") is None
    assert found(later.beat({"gpu": [{"xid_hard": 4}]}), "gpu_xid_hard") is not None


def test_silence_from_before_a_restart_is_no_sign_against_the_bus(tmp_path: Path) -> None:
    rig = Rig()
    names = [f"n{n}" for n in range(10)]
    for name in names:
        rig.send(name)
    rig.judge()
    for step in range(1, 9):
        rig.now += 20.0
        for name in names[step:]:
            rig.send(name)
        rig.judge()
    assert rig.judge().silent.sum() >= 7
    later = _next_life(rig, tmp_path / "board")
    for _ in range(6):
        later.now += 5.0
        for name in names[8:]:
            later.send(name)
        judged = later.judge()
    assert not judged.bus_suspected
    assert judged.silent.sum() == 8

"""One writer, and a file that is whole at every instant."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hetslurm.errors import SnapshotError
from hetslurm.snapshot import SnapshotWriter, header_of, read_view, slot_array

Build = Callable[..., NDArray[np.uint8]]


def generation_at(path: Path) -> int:
    return int(header_of(slot_array(read_view(path)))["generation"])


def publish(writer: SnapshotWriter, build: Build, n_pools: int = 12) -> int:
    generation = writer.next_generation
    writer.write(build(generation, n_pools))
    return generation


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "snapshot"


def test_a_second_controller_is_told_that_another_one_writes(path: Path) -> None:
    with (
        SnapshotWriter(path),
        pytest.raises(SnapshotError, match="another controller is writing this snapshot"),
    ):
        SnapshotWriter(path)
    SnapshotWriter(path).close()


def test_generations_go_on_after_a_restart_in_the_same_file(path: Path, build: Build) -> None:
    with SnapshotWriter(path) as writer:
        assert [publish(writer, build) for _ in range(3)] == [1, 2, 3]
    inode = path.stat().st_ino
    with SnapshotWriter(path) as writer:
        assert publish(writer, build) == 4
    assert generation_at(path) == 4
    assert path.stat().st_ino == inode


def test_the_file_is_for_its_owner_to_write_and_for_all_to_read(path: Path, build: Build) -> None:
    old = os.umask(0o077)
    try:
        with SnapshotWriter(path) as writer:
            publish(writer, build)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o644


def test_content_that_outgrows_the_file_moves_to_a_bigger_one(path: Path, build: Build) -> None:
    with SnapshotWriter(path) as writer:
        publish(writer, build)
        small, inode = path.stat().st_size, path.stat().st_ino
        publish(writer, build, 4000)
        assert path.stat().st_size > small
        assert path.stat().st_ino != inode
        assert publish(writer, build) == 3
    assert generation_at(path) == 3


@pytest.mark.parametrize("damage", ["remove", "truncate", "scribble", "replace", "mode", "link"])
def test_a_file_that_somebody_damaged_is_written_anew(path: Path, build: Build, damage: str) -> None:
    with SnapshotWriter(path) as writer:
        publish(writer, build)
        publish(writer, build)
        if damage == "truncate":
            os.truncate(path, 100)
        elif damage == "scribble":
            with path.open("r+b") as file:
                file.write(b"x" * 64)
        elif damage == "mode":
            path.chmod(0o666)
        else:
            path.unlink()
            if damage == "replace":
                path.write_bytes(b"")
            elif damage == "link":
                path.symlink_to("/etc/passwd")
        assert publish(writer, build) == 3
    assert generation_at(path) == 3
    assert not path.is_symlink()


def test_a_broken_file_of_an_earlier_controller_is_replaced(path: Path, build: Build) -> None:
    path.parent.mkdir()
    path.write_bytes(os.urandom(5000))
    with SnapshotWriter(path) as writer:
        publish(writer, build)
    assert generation_at(path) == 1


def test_a_slot_of_another_generation_is_refused(path: Path, build: Build) -> None:
    with SnapshotWriter(path) as writer, pytest.raises(SnapshotError, match="not of generation 1"):
        writer.write(build(2))


def test_a_closed_writer_says_so(path: Path, build: Build) -> None:
    writer = SnapshotWriter(path)
    writer.close()
    with pytest.raises(SnapshotError, match="closed"):
        writer.write(build(1))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SnapshotError, match="file/snapshot: cannot make it"):
        SnapshotWriter(tmp_path / "file" / "snapshot")


def test_tools_are_told_why_a_snapshot_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="No such file"):
        read_view(tmp_path / "none")
    (tmp_path / "short").write_bytes(b"HETSNAP1")
    with pytest.raises(SnapshotError, match="shorter than it says"):
        read_view(tmp_path / "short")


ENDLESS = """
import sys, time
from hetslurm.snapshot import SnapshotWriter, build_slot
from hetslurm.cluster import Partition
from hetslurm.pool import Pool
from hetslurm.site import Site

def content(generation):
    pools = [Pool(f"p{i}", "cpu", "cpu", "", (), 1, 0, 1, units=float(generation)) for i in range(2000)]
    return build_slot(pools, [Partition("cpu", ())], [], {}, {}, Site(), generation=generation,
                      written_at_ns=time.time_ns())

writer = SnapshotWriter(sys.argv[1])
slots = [content(writer.next_generation + i) for i in range(40)]
for slot in slots:
    writer.write(slot)
    print(writer.next_generation - 1, flush=True)
print("done", flush=True)
sys.stdin.read()
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_snapshot(
    path: Path, reader: Callable[..., object], build: Build
) -> None:
    plugin = reader(path)
    newest = 0
    for attempt in range(12):
        with subprocess.Popen(
            [sys.executable, "-P", "-c", ENDLESS, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            for _ in range(1 + attempt * 3):
                published = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
        seen = generation_at(path)
        assert seen >= published > newest
        newest = seen
        status, generation = plugin.take(2.0)  # type: ignore[attr-defined]
        assert (status, generation) == ("OK", seen)

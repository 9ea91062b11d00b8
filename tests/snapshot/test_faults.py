"""Whatever happens to the file: the plugin's reader names it, keeps its last good copy, and never crashes."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hetslurm.native.layout import CONSTANTS, checksum
from hetslurm.slot import COLUMNS, SLOT
from hetslurm.snapshot import SnapshotWriter, header_of
from hetslurm.snapshot.layout import FILE

Build = Callable[..., NDArray[np.uint8]]
Reader = Callable[..., Any]


@pytest.fixture
def path(tmp_path: Path, build: Build) -> Path:
    """A good snapshot file, generation 1."""
    path = tmp_path / "snapshot"
    with SnapshotWriter(path) as writer:
        writer.write(build(1))
    return path


def put(path: Path, field: str, value: int, at: int = 0) -> None:
    """Overwrite one field of the file's header."""
    kind, offset = FILE.fields[field][:2]  # type: ignore[index]
    with path.open("r+b") as file:
        file.seek(offset + at * kind.base.itemsize)
        file.write(np.array(value, kind.base).tobytes())


def reseal(slot: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Set the right checksum over wrong content."""
    used = min(int(header_of(slot)["used"]), slot.size)
    header_of(slot)["checksum"] = checksum(slot[CONSTANTS["SUM_START"] : max(used, 8)])
    return slot


def test_a_missing_file_is_looked_for_once_a_second(reader: Reader, tmp_path: Path, build: Build) -> None:
    plugin = reader()
    assert plugin.take() == ("ABSENT", 0)
    with SnapshotWriter(tmp_path / "snapshot") as writer:
        writer.write(build(1))
    assert plugin.take(0.5) == ("ABSENT", 0)
    assert plugin.take(0.6) == ("OK", 1)


def test_a_new_generation_is_seen_by_the_next_take(reader: Reader, path: Path, build: Build) -> None:
    plugin = reader()
    with SnapshotWriter(path) as writer:
        for generation in range(2, 8):
            writer.write(build(generation))
            assert plugin.take() == ("OK", generation)


def test_a_bigger_file_is_found_at_once_through_the_old_one(reader: Reader, path: Path, build: Build) -> None:
    plugin = reader()
    assert plugin.take() == ("OK", 1)
    with SnapshotWriter(path) as writer:
        writer.write(build(2, 4000))
        assert plugin.take() == ("OK", 2)


def test_a_file_of_another_user_is_not_trusted(reader: Reader, path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
        assert reader(owner=54321).take() == ("OWNER", 0)
        assert reader(owner=12345).take() == ("OK", 1)
    else:
        assert reader(owner=os.geteuid() + 1).take() == ("OWNER", 0)


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_not_trusted(reader: Reader, path: Path, mode: int) -> None:
    plugin = reader()
    assert plugin.take() == ("OK", 1)
    path.chmod(mode)
    assert plugin.take(1.5) == ("MODE", 1)
    path.chmod(0o644)
    assert plugin.take(1.5) == ("OK", 1)


@pytest.mark.parametrize("what", ["symlink", "fifo", "directory"])
def test_only_a_regular_file_is_opened(reader: Reader, path: Path, what: str) -> None:
    good = path.with_name("elsewhere")
    path.rename(good)
    if what == "symlink":
        path.symlink_to(good)
    elif what == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir(0o755)
    assert reader().take() == ("MODE", 0)


def test_the_last_good_copy_serves_while_the_file_is_bad(reader: Reader, path: Path, build: Build) -> None:
    plugin = reader()
    assert plugin.take() == ("OK", 1)
    put(path, "magic", 0)
    assert plugin.take() == ("MAGIC", 1)
    path.unlink()
    assert plugin.take(1.1) == ("ABSENT", 1)
    with SnapshotWriter(path) as writer:
        writer.write(build(1, 30))
    assert plugin.take(1.1) == ("OK", 1)


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("magic", 7, "MAGIC"),
        ("layout_version", CONSTANTS["LAYOUT_VERSION"] - 1, "LAYOUT"),
        ("layout_version", CONSTANTS["LAYOUT_VERSION"] + 1, "LAYOUT"),
        ("header_size", 128, "LAYOUT"),
        ("slot_size", 0, "OFFSETS"),
        ("slot_size", 1 << 60, "OFFSETS"),
        ("slot_size", 100, "OFFSETS"),
        ("active", 2, "OFFSETS"),
        ("active", 1, "TORN"),
    ],
)
def test_a_wrong_header_is_named(reader: Reader, path: Path, field: str, value: int, status: str) -> None:
    put(path, field, value)
    assert reader().take() == (status, 0)


def test_a_file_without_content_is_empty(reader: Reader, path: Path) -> None:
    put(path, "generation", 0)
    assert reader().take() == ("EMPTY", 0)


def test_a_slot_of_another_generation_than_the_header_says_is_torn(reader: Reader, path: Path) -> None:
    put(path, "generation", 9)
    plugin = reader()
    assert plugin.take() == ("TORN", 0)
    put(path, "generation", 1)
    assert plugin.take() == ("OK", 1)


def test_half_a_write_is_never_used(reader: Reader, path: Path, build: Build) -> None:
    """As a writer that obeys no order would leave it: the new header over half of the new bytes."""
    slot = build(2)
    place = FILE.itemsize + int(np.fromfile(path, FILE, 1)["slot_size"][0])
    for size in range(SLOT.itemsize, slot.size, 211):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(slot[:size].tobytes())
            file.write(b"\xaa" * (slot.size - size))
        put(path, "generation", 2, at=1)
        put(path, "active", 1)
        assert reader().take() == ("CHECKSUM", 0)


def test_a_checksum_that_does_not_match_is_refused_until_the_next_generation(
    reader: Reader, path: Path, build: Build
) -> None:
    with path.open("r+b") as file:
        file.seek(FILE.itemsize + 3000)
        file.write(b"\xff" * 16)
    plugin = reader()
    assert plugin.take() == ("CHECKSUM", 0)
    assert plugin.take(1.5) == ("CHECKSUM", 0)
    put(path, "generation", 0)
    with SnapshotWriter(path) as writer:
        writer.write(build(1))
    assert plugin.take(1.5) == ("OK", 1)


def test_a_file_cut_at_any_length_is_refused(reader: Reader, path: Path) -> None:
    content = path.read_bytes()
    used = FILE.itemsize + int(np.frombuffer(content, SLOT, 1, FILE.itemsize)["used"][0])
    lengths = {
        0,
        1,
        7,
        8,
        63,
        64,
        65,
        FILE.itemsize + SLOT.itemsize - 1,
        FILE.itemsize + SLOT.itemsize,
        used - 1,
    }
    for length in sorted(lengths | set(range(64, used, 997))):
        path.write_bytes(content[:length])
        assert reader().take() == ("SHORT", 0), length


def test_random_bytes_are_refused(reader: Reader, path: Path) -> None:
    rng = random.Random(7)
    content = path.read_bytes()
    for size in (10, 64, 1000, 5000):
        path.write_bytes(rng.randbytes(size))
        status, generation = reader().take()
        assert (status, generation) in {("MAGIC", 0), ("SHORT", 0)}
    for _ in range(20):
        path.write_bytes(content[: FILE.itemsize] + rng.randbytes(len(content) - FILE.itemsize))
        assert reader().take() == ("TORN", 0)


def test_no_flipped_bit_gets_through_and_none_leads_astray(asan: Path, tmp_path: Path, build: Build) -> None:
    (tmp_path / "slot").write_bytes(build(3).tobytes())
    done = subprocess.run([asan, "flip", tmp_path / "slot"], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("let_through 0\n")


WRONG: list[tuple[str, Any, str]] = [
    ("generation", 0, "TORN"),
    ("used", 100, "OFFSETS"),
    ("used", 1 << 40, "OFFSETS"),
    ("written_at_ns", -1, "VALUES"),
    ("max_age_ns", 2**63 - 1, "VALUES"),
    ("read_at_ns", -5, "VALUES"),
    ("default_part", 3, "VALUES"),
    ("default_objective", 5, "VALUES"),
    ("currency", b"0123456789abcdef", "VALUES"),
    ("cluster", b"x" * 64, "VALUES"),
    ("preset", [np.nan] * 20, "VALUES"),
    *[
        ("offset", (column.index, wrong), "OFFSETS")
        for column in COLUMNS
        for wrong in (0, 1, 1 << 62, 2**64 - 64)
    ],
    *[("rows", (table, 2**32 - 1), "OFFSETS") for table in range(CONSTANTS["N_TABLES"])],
]


@pytest.mark.parametrize(("field", "value", "status"), WRONG)
def test_a_slot_that_lies_under_a_right_checksum_is_refused(
    reader: Reader, path: Path, build: Build, field: str, value: Any, status: str
) -> None:
    slot = build(1)
    header = header_of(slot)
    if isinstance(value, tuple):
        header[field][value[0]] = value[1]
    else:
        header[field] = value
    reseal(slot)
    with path.open("r+b") as file:
        file.seek(FILE.itemsize)
        file.write(slot.tobytes())
    assert reader().take() == (status, 0)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.table}.{column.name}")
def test_a_wild_value_in_any_column_never_leads_out_of_the_slot(
    reader: Reader, path: Path, build: Build, column: Any
) -> None:
    for wild in (b"\xff", b"\x7f", b"\x80"):
        slot = build(1)
        at = int(header_of(slot)["offset"][column.index])
        slot[at : at + column.dtype.itemsize] = np.frombuffer(wild * column.dtype.itemsize, np.uint8)
        with path.open("r+b") as file:
            file.seek(FILE.itemsize)
            file.write(reseal(slot).tobytes())
        status, _ = reader().take()
        assert status in {"OK", "VALUES"}
        if column.dtype.kind == "f":
            assert status == "VALUES"


def test_a_placement_is_carried_into_the_generations_that_did_not_see_it(
    reader: Reader, path: Path, build: Build
) -> None:
    plugin = reader()
    assert plugin.ask("place", 3, 4) == "placed"
    assert plugin.ask("placed", plugin.now_ns, 3) == "4"
    with SnapshotWriter(path) as writer:
        writer.write(build(2, read_at_ns=plugin.now_ns - 1_000_000_000))
        assert plugin.take(0.1) == ("OK", 2)
        assert plugin.ask("placed", plugin.now_ns, 3) == "4"
        writer.write(build(3, read_at_ns=plugin.now_ns + 60_000_000_000))
        assert plugin.take(0.1) == ("OK", 3)
        assert plugin.ask("placed", plugin.now_ns, 3) == "0"


def test_a_placement_is_let_go_when_its_row_became_another_pool(
    reader: Reader, path: Path, build: Build
) -> None:
    plugin = reader()
    assert plugin.ask("place", 3, 4) == "placed"
    with SnapshotWriter(path) as writer:
        writer.write(build(2, 40, read_at_ns=0))
        assert plugin.take(0.1) == ("OK", 2)
        assert {plugin.ask("placed", plugin.now_ns, pool) for pool in (3, 4, 12, 30)} == {"0"}


def test_a_copy_in_use_is_never_written_to_and_the_old_one_serves_when_all_are(
    reader: Reader, path: Path, build: Build
) -> None:
    plugin = reader()
    with SnapshotWriter(path) as writer:
        for generation in range(1, 5):
            if generation > 1:
                writer.write(build(generation))
            assert plugin.take(how="hold") == ("OK", generation)
        writer.write(build(5))
        assert plugin.take() == ("BUSY", 4)
        plugin.ask("drop")
        assert plugin.take() == ("OK", 5)

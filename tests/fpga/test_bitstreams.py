"""Finding the file of a bitstream by its UUID."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

import pytest

from hetslurm.fpga import bitstreams
from hetslurm.fpga.bitstreams import Bitstreams

from .axlf_file import axlf_bytes, write_axlf

A = UUID("5f9d2a54-7e5c-4d12-9c40-2f6f1f0d7a11")
B = UUID("0a7b2c68-14bb-4a3b-8f5e-0d6f3c1a2b34")


def test_a_bitstream_is_named_by_its_file(tmp_path: Path) -> None:
    write_axlf(tmp_path / "align.xclbin", A)
    write_axlf(tmp_path / "sort.xclbin", B)
    known = Bitstreams([str(tmp_path)])
    assert known.name(str(A)) == "align.xclbin"
    assert known.name(str(B).upper()) == "sort.xclbin"
    assert known.name(str(UUID(int=1))) is None


def test_of_two_files_the_first_by_folder_and_name_is_taken(tmp_path: Path) -> None:
    for name in ("b/a.xclbin", "a/z.xclbin", "a/y.xclbin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_axlf(tmp_path / name, A)
    assert Bitstreams([str(tmp_path / "b"), str(tmp_path / "a")]).name(str(A)) == "y.xclbin"


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    known = Bitstreams([str(tmp_path)])
    path = write_axlf(tmp_path / "align.xclbin", A)
    assert known.name(str(A)) == "align.xclbin"
    write_axlf(path, B)
    os.utime(path, ns=(1, 1))
    assert known.name(str(A)) is None
    assert known.name(str(B)) == "align.xclbin"
    path.unlink()
    assert known.name(str(B)) is None


def test_a_file_that_stays_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_axlf(tmp_path / "align.xclbin", A)
    reads: list[str] = []
    real = bitstreams.read_header
    monkeypatch.setattr(bitstreams, "read_header", lambda path: reads.append(path) or real(path))
    known = Bitstreams([str(tmp_path)])
    assert [known.name(str(A)) for _ in range(3)] == ["align.xclbin"] * 3
    assert len(reads) == 1


def test_what_is_no_bitstream_is_passed_over(tmp_path: Path) -> None:
    write_axlf(tmp_path / "z.xclbin", A)
    (tmp_path / "a.xclbin").mkdir()
    os.mkfifo(tmp_path / "b.xclbin")  # nobody ever writes to it
    (tmp_path / "c.xclbin").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.xclbin").write_bytes(axlf_bytes(A)[:200])
    (tmp_path / "e.xclbin").write_bytes(b"")
    (tmp_path / "f.bit").write_bytes(axlf_bytes(A))
    assert Bitstreams([str(tmp_path), str(tmp_path / "missing")]).name(str(A)) == "z.xclbin"


def test_no_more_files_are_read_than_is_sensible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitstreams, "FILES_MAX", 2)
    for name in ("a", "b"):
        (tmp_path / f"{name}.xclbin").touch()
    write_axlf(tmp_path / "c.xclbin", A)
    assert Bitstreams([str(tmp_path)]).name(str(A)) is None

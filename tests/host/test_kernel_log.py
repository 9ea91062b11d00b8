"""The kernel log: which lines count, and that none is counted twice or from before."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.host.kernel_log import READS_PER_SAMPLE, KernelLog, Record, parse_record
from hetslurm.host.kernel_patterns import ERRORS, WARNINGS, classify

Golden = Callable[[str], str]
ERROR = "EXT4-fs error (device sda1): ext4_lookup:1785: inode #2: checksum invalid"
WARNING = "nfs: server home not responding, still trying"


def _cases() -> list[tuple[str, str]]:
    text = (Path(__file__).parent / "golden" / "kmsg.txt").read_text(encoding="utf-8")
    return [(kind, record) for kind, _, record in (line.partition("\t") for line in text.splitlines())]


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    """A log with a past."""
    path = tmp_path / "kmsg"
    path.write_text(ERROR + "\n", encoding="utf-8")
    return path


def _append(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines))


def _counts(log: KernelLog) -> tuple[float, float]:
    values, _ = log.read()
    return values["kernel_errors"], values["kernel_warnings"]


@pytest.mark.parametrize(("kind", "line"), _cases())
def test_lines_mean_what_they_say(kind: str, line: str) -> None:
    record = parse_record(line)
    assert record is not None
    counted = classify(record.text) if record.facility == 0 else ""
    assert counted == ("" if kind == "none" else kind)


def test_every_pattern_has_a_line_that_it_knows() -> None:
    texts = [record.text for _, line in _cases() if (record := parse_record(line)) is not None]
    unseen = [
        pattern.regex
        for pattern in (*ERRORS, *WARNINGS)
        if not any(re.match(pattern.regex, text) for text in texts)
    ]
    assert unseen == []


def test_only_what_comes_after_the_opening_counts(log_file: Path) -> None:
    log = KernelLog(str(log_file))
    assert _counts(log) == (0, 0)
    _append(log_file, ERROR, WARNING, WARNING, "usb 1-1: new high-speed USB device")
    assert _counts(log) == (1, 2)
    assert _counts(log) == (1, 2)
    log.close()


def test_the_newest_line_that_counted_is_shown(log_file: Path) -> None:
    log = KernelLog(str(log_file))
    assert log.read()[1] == {}
    _append(log_file, f"3,10,5,-;{ERROR}", f"[   12.123456] {WARNING}", "6,11,7,-;all is well")
    assert log.read()[1] == {"kernel_line": WARNING}
    log.close()


def test_a_line_that_comes_in_two_pieces_is_one_line(log_file: Path) -> None:
    log = KernelLog(str(log_file))
    for piece in (ERROR[:12], ERROR[12:], "\n"):
        with log_file.open("a", encoding="utf-8") as file:
            file.write(piece)
        counts = _counts(log)
    assert counts == (1, 0)
    log.close()


def test_records_that_the_ring_lost_are_counted_as_lost(log_file: Path) -> None:
    log = KernelLog(str(log_file))
    _append(log_file, "6,100,1,-;one", "6,101,2,-;two", " SUBSYSTEM=pci", f"3,140,3,-;{ERROR}")
    values, facts = log.read()
    assert values["kernel_errors"] == 1
    assert facts["kernel_lines_lost"] == "38"
    log.close()


def test_only_the_kernel_itself_is_believed(log_file: Path) -> None:
    log = KernelLog(str(log_file))
    _append(log_file, f"11,100,1,-;{ERROR}", f"30,101,1,-;{ERROR}")
    assert _counts(log) == (0, 0)
    log.close()


def test_a_log_that_cannot_be_read_is_unknown_until_it_can(tmp_path: Path) -> None:
    log = KernelLog(str(tmp_path / "kmsg"))
    assert log.read() == ({}, {})
    (tmp_path / "kmsg").write_text("", encoding="utf-8")
    assert _counts(log) == (0, 0)
    log.close()


def test_a_pipe_can_stand_in_for_the_log(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    log = KernelLog(str(path))
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(writer, (ERROR + "\n").encode() * 600)
    assert _counts(log)[0] == 600
    os.close(writer)
    assert _counts(log)[0] == 600
    log.close()


def test_one_sample_reads_only_so_much(log_file: Path) -> None:
    log = KernelLog(str(log_file))
    line = ERROR.ljust(8191, ".")
    _append(log_file, *[line] * (READS_PER_SAMPLE + 5))
    assert _counts(log)[0] == READS_PER_SAMPLE
    assert _counts(log)[0] == READS_PER_SAMPLE + 5
    log.close()


def test_what_is_shown_of_a_line_is_printable_and_short(log_file: Path) -> None:
    log = KernelLog(str(log_file))
    with log_file.open("ab") as file:
        file.write(b"EXT4-fs error (device \x1b[31m\xff\x00" + b"x" * 5000 + b"\n")
    line = log.read()[1]["kernel_line"]
    assert line.isprintable()
    assert len(line) <= 200
    log.close()


def test_the_log_of_this_machine_is_followed_where_it_can_be_read() -> None:
    try:
        os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))
        readable = True
    except OSError:
        readable = False
    log = KernelLog("/dev/kmsg")
    values, _ = log.read()
    log.close()
    assert set(values) == ({"kernel_errors", "kernel_warnings"} if readable else set())


@given(st.text())
def test_no_line_breaks_the_reader(text: str) -> None:
    record = parse_record(text)
    assert record is None or classify(record.text) in ("error", "warning", "")


@given(
    st.integers(0, 191),
    st.integers(0, 2**63),
    st.text(st.characters(exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")),
)
def test_a_record_comes_back_as_the_kernel_wrote_it(priority: int, sequence: int, text: str) -> None:
    assert parse_record(f"{priority},{sequence},5140900,-;{text}") == Record(priority >> 3, sequence, text)


@given(st.text(st.characters(codec="ascii"), min_size=1, max_size=15), st.integers(1, 4194304))
def test_no_process_can_make_a_node_look_broken_by_its_name(name: str, pid: int) -> None:
    for line in (
        f"{name}[{pid}]: segfault at 0 ip 0000000000401136 sp 00007ffd0 error 6 in a.out[401000+1000]",
        f"{name}: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL), nodemask=(null)",
        f"traps: {name}[{pid}] general protection fault ip:401136 sp:7ffd0 error:0 in a.out[401000+1000]",
        f"Out of memory: Killed process {pid} ({name}) total-vm:903312kB",
        f"process '{name}' started with executable stack",
    ):
        assert classify(line) == ""

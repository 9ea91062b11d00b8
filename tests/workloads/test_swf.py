"""Workload logs: any SWF file is read, and what is no job is said with its line."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hetslurm.errors import WorkloadError
from hetslurm.runs import Ending
from hetslurm.workloads.swf import FIELDS, SwfLog, parse_job
from hetslurm.workloads.swf_runs import ending_of, runs_of

JOB = "7 100 20 300 4 -1 -1 8 3600 -1 1 12 3 5 1 2 -1 -1"
TEXT = f"; Version: 2.2\n;Computer: IBM SP2\n;\n\n{JOB}\n"


def log_of(tmp_path: Path, text: str, name: str = "a.swf") -> SwfLog:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return SwfLog(path)


@pytest.mark.parametrize("name", ["a.swf", "a.swf.gz"])
def test_plain_and_gzipped_logs_give_the_same_jobs(tmp_path: Path, name: str) -> None:
    log = log_of(tmp_path, TEXT, name)
    (job,) = log
    assert (job.job, job.submit_s, job.wait_s, job.run_s, job.procs) == (7, 100.0, 20.0, 300.0, 4)
    assert (job.cpu_s, job.procs_requested, job.time_requested_s, job.status) == (None, 8, 3600.0, 1)
    assert (job.user, job.group, job.executable, job.queue, job.partition) == (12, 3, 5, 1, 2)
    assert (job.previous_job, job.think_s) == (None, None)
    assert log.header == {"Version": "2.2", "Computer": "IBM SP2"}


def test_a_log_can_be_read_again(tmp_path: Path) -> None:
    log = log_of(tmp_path, TEXT + "broken\n")
    assert list(log) == list(log)
    assert log.skipped == 1


def test_broken_lines_are_skipped_counted_and_named(tmp_path: Path) -> None:
    lines = [
        JOB,
        "1 2 3",
        JOB.replace("300", "abc"),
        JOB.replace(" 100 ", " -1 "),
        JOB.replace("20", "inf"),
        JOB,
    ]
    log = log_of(tmp_path, "\n".join(lines))
    assert len(list(log)) == 2
    assert log.skipped == 4
    assert log.problems == [
        "line 2: 3 fields where SWF has 18",
        "line 3: field 4 is 'abc', not a number",
        "line 4: field 2, the submit time, is not known",
        "line 5: field 3 is 'inf', not a number",
    ]


def test_many_broken_lines_do_not_fill_the_memory(tmp_path: Path) -> None:
    log = log_of(tmp_path, JOB + "\nx" * 1000)
    assert len(list(log)) == 1
    assert (log.skipped, len(log.problems)) == (1000, 20)


def test_a_file_without_a_job_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"no SWF log: line 1: 2 fields where SWF has 18"):
        list(log_of(tmp_path, "# readme\n"))
    with pytest.raises(WorkloadError, match="holds no line of a job"):
        list(log_of(tmp_path, "; Version: 2\n"))


def test_a_gzip_that_ends_early_says_where(tmp_path: Path) -> None:
    log = log_of(tmp_path, "".join(f"{n} {JOB}\n" for n in range(5000)), "a.swf.gz")
    log.path.write_bytes(log.path.read_bytes()[:-200])
    with pytest.raises(WorkloadError, match=r"broken gzip after line \d+"):
        list(log)


def test_progress_is_that_in_the_file_on_disk(tmp_path: Path) -> None:
    log = log_of(tmp_path, TEXT, "a.swf.gz")
    list(log)
    assert log.bytes_read == log.path.stat().st_size


@given(st.text(max_size=200))
def test_any_line_is_a_job_or_a_value_error(line: str) -> None:
    with suppress(ValueError):
        assert parse_job(line).submit_s >= 0


@given(st.lists(st.integers(-1, 10**9), min_size=FIELDS, max_size=FIELDS + 3))
def test_numbers_come_back(values: list[int]) -> None:
    values[1] = abs(values[1])
    job = parse_job(" ".join(map(str, values)))
    assert job.run_s == (values[3] if values[3] >= 0 else None)
    assert job.time_requested_s == (values[8] if values[8] >= 0 else None)
    assert job.user == (values[11] if values[11] >= 0 else None)


@pytest.mark.parametrize(
    ("status", "run_s", "ending"),
    [
        (1, 300, Ending.COMPLETED),
        (-1, 300, Ending.COMPLETED),
        (1, 3600, Ending.COMPLETED),
        (0, 300, Ending.FAILED),
        (5, 300, Ending.CANCELLED),
        (0, 3500, Ending.TIMEOUT),
        (5, 3600, Ending.TIMEOUT),
    ],
)
def test_a_failure_at_the_requested_time_is_a_timeout(status: int, run_s: int, ending: Ending) -> None:
    job = parse_job(JOB.replace(" 1 12 ", f" {status} 12 ").replace(" 300 ", f" {run_s} "))
    assert ending_of(job) is ending


def test_jobs_become_runs() -> None:
    (run,) = runs_of(
        [parse_job(JOB), parse_job(JOB.replace(" 300 ", " 0 ")), parse_job(JOB.replace(" 300 ", " -1 "))]
    )
    assert (run.user, run.account, run.kind, run.units, run.limit_s) == ("12", "3", "cpu", 8, 3600.0)
    assert (run.submit_at, run.start_at, run.end_at, run.app) == (100.0, 120.0, 420.0, "")
    (named,) = runs_of([parse_job(JOB)], apps=True)
    assert named.app == "executable 5"

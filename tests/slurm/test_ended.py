"""Runs that are over, as a real Slurm 22.05 tells of them through sacct and through squeue (golden/)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hetslurm.runs import Ending
from hetslurm.slurm.ended import ENDINGS, EndedJob, exit_code_of, run_of
from hetslurm.slurm.ended_text import (
    ENDED_COLUMNS,
    SACCT_FORMAT,
    SEPARATOR,
    ended_of_row,
    parse_ended,
    utc_time,
)
from hetslurm.slurm.job_text import Columns

GOLDEN = Path(__file__).parent / "golden"
RECORD = (
    '{"hetslurm":1,"state":"placed","target":"gpu:a100:2","kind":"gpu","type":"a100","alt":0,"pool":"gpu",'
)
RECORD += '"partition":"gpu","het":"target=gpu:a100:2,time=0:20:00;app=a"}'


def in_database() -> dict[int, EndedJob]:
    return {job.job_id: job for job in parse_ended((GOLDEN / "ended_sacct.txt").read_text())}


def in_controller() -> dict[int, EndedJob]:
    rows = Columns(ENDED_COLUMNS).rows((GOLDEN / "ended_squeue.bin").read_bytes())
    return {job.job_id: job for fields, _ in rows if (job := ended_of_row(fields))}


def test_both_tell_the_same_of_every_run() -> None:
    database, controller = in_database(), in_controller()
    assert database.keys() == controller.keys()
    for job_id, job in database.items():
        # slurmctld has the signal of a job that it stopped, slurmdbd only the script's code.
        other = controller[job_id]
        same = replace(
            other,
            exit_code=job.exit_code if job.state == "TIMEOUT" else other.exit_code,
            admin_comment=job.admin_comment if job_id == 14 else other.admin_comment,
            limit_min=job.limit_min if job_id == 14 else other.limit_min,
        )
        assert same == job


def test_states_times_and_codes_are_read() -> None:
    jobs = in_database()
    assert {jobs[n].state for n in (1, 6, 10)} == {"COMPLETED", "FAILED", "TIMEOUT"}
    assert (jobs[6].exit_code, jobs[10].run_s, jobs[4].run_s) == (3, 68.0, 60.0)
    assert (jobs[1].submit_at, jobs[1].start_at) == (1795569725.0, 1795569726.0)
    assert (jobs[1].cpus, jobs[1].nodes, jobs[1].limit_min, jobs[1].node_names) == (2, 1, 5, ("gpu1",))


def test_array_tasks_and_components_of_heterogeneous_jobs_are_runs_of_their_own() -> None:
    runs = {n: run for n, job in in_database().items() if (run := run_of(job))}
    assert runs[7].app == runs[15].app == "align"
    assert (runs[11].app, runs[12].app) == ("h1", "h2")


def test_jobs_cancelled_before_they_ran_and_those_without_a_record_are_none() -> None:
    assert 13 not in in_database()
    assert 13 not in in_controller()
    assert in_controller()[14].admin_comment == "an admin's\ntwo lines|"
    assert run_of(in_controller()[14]) is None
    assert run_of(in_database()[14]) is None


def test_a_run_has_its_target_its_work_and_its_limits() -> None:
    run = run_of(in_database()[10], speed=0.5)
    assert run is not None
    assert (run.app, run.work, run.kind, run.target, run.pool) == ("align", 1000.0, "cpu", "cpu", "cpu")
    assert (run.declared_s, run.limit_s, run.ending, run.speed) == (600.0, 60.0, Ending.TIMEOUT, 0.5)


def line(**fields: str) -> str:
    values = {
        "JobIDRaw": "5",
        "Submit": "100",
        "Start": "110",
        "ElapsedRaw": "90",
        "State": "CANCELLED by 1000",
        "ExitCode": "0:9",
        "User": "ann",
        "NNodes": "2",
        "NCPUS": "8",
        "TimelimitRaw": "UNLIMITED",
        "NodeList": "gpu[1-2]",
        "AdminComment": RECORD,
    }
    return SEPARATOR.join((values | fields).get(name, "") for name in SACCT_FORMAT.split(",")) + "\n"


def test_suspended_time_is_not_run_time_and_a_signal_is_a_code() -> None:
    (job,) = parse_ended(line(Start="110", ElapsedRaw="40"))
    assert (job.run_s, job.state, job.exit_code, job.limit_min) == (40.0, "CANCELLED", 137, None)
    assert job.node_names == ("gpu1", "gpu2")


@pytest.mark.parametrize(
    ("raw", "tres", "joules"),
    [
        ("", "", None),
        ("0", "energy=0", None),
        ("", "cpu=4,energy=3600,mem=1G", 3600.0),
        ("7200", "energy=3600", 7200.0),
        ("18446744073709551614", "energy=18446744073709551614", None),
    ],
)
def test_energy_is_there_only_where_slurm_measured_some(raw: str, tres: str, joules: float | None) -> None:
    (job,) = parse_ended(line(ConsumedEnergyRaw=raw, AllocTRES=tres))
    assert job.energy_j == joules


@pytest.mark.parametrize(
    ("tres", "units"),
    [
        ("cpu=8", 4),
        ("gres/gpu=6,gres/gpu:a100=5", 6),
        ("gres/gpu:a100=3,gres/gpu:v100=1", 4),
        ("gres/fpga=9", 4),
    ],
)
def test_devices_are_what_slurm_accounts_for_else_what_the_target_asks_of_each_node(
    tres: str, units: int
) -> None:
    (job,) = parse_ended(line(AllocTRES=tres))
    run = run_of(job)
    assert run is not None
    assert run.units == units


def test_lines_that_are_no_record_are_passed_over() -> None:
    text = "two lines|\n" + line(AdminComment='{"note":"x"}\nSubmit|1') + "\n99\n" + line(JobIDRaw="6")
    text += line(JobIDRaw="7", Start="Unknown") + line(JobIDRaw="8", NodeList="None assigned")
    assert [job.job_id for job in parse_ended(text)] == [5, 6]


@pytest.mark.parametrize(
    "comment", ["", "{}", RECORD.replace(":1,", ":9,"), RECORD.replace("placed", "held")[:60]]
)
def test_what_is_not_ours_makes_no_run(comment: str) -> None:
    (job,) = parse_ended(line(AdminComment=comment))
    assert run_of(job) is None


def test_a_record_whose_request_cannot_be_read_still_tells_where_it_ran() -> None:
    broken = json.dumps(json.loads(RECORD) | {"het": "target=", "alt": 7})
    (job,) = parse_ended(line(AdminComment=broken))
    run = run_of(job)
    assert run is not None
    assert (run.kind, run.app, run.declared_s, run.units) == ("gpu", "", 0.0, 1)


@pytest.mark.parametrize(
    ("text", "code"), [("0:0", 0), ("3:0", 3), ("0:15", 143), ("768", 3), ("15", 143), ("", 0), ("x:y", 0)]
)
def test_exit_codes_come_as_a_pair_or_as_a_wait_status(text: str, code: int) -> None:
    assert exit_code_of(text) == code


def test_only_a_completed_run_is_called_completed() -> None:
    assert [state for state, ending in ENDINGS.items() if ending is Ending.COMPLETED] == ["COMPLETED"]


def test_sacct_is_asked_in_utc() -> None:
    assert utc_time(1795569725.9) == "2026-11-25T01:22:05"

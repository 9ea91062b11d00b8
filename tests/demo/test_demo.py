"""The demo keeps its promises, and would say so if it did not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from hetslurm.demo.scenario import ROUNDS, Judge, Outcome, is_refused, is_untouched, lands_on
from hetslurm.demo.sick_node import AWAY, BACK
from hetslurm.demo.table import event_row
from hetslurm.slurm.record import Record, parse_record

RECORD = parse_record(
    '{"hetslurm":1,"state":"placed","gen":1,"target":"gpu:a100:1","kind":"gpu","pool":"gpu"}'
)


def test_every_job_of_the_demo_does_as_promised() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hetslurm", "demo", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    jobs, events = [row for row in rows if row["script"]], [row for row in rows if not row["script"]]
    assert len(jobs) == sum(map(len, (*ROUNDS, AWAY, BACK))) + 3
    assert [row["shows"].split(":")[0] for row in events] == [
        "placements avoid gpu1", "gpu1 is drained", "gpu1 is given back", "placements use gpu1 again",
        "the cpu partition is full", "two jobs leave for the cloud",
        "the third is told that the budget is used up", "hetslurm burst plan",
        "the job gets its checkpoint signal", "the job is requeued before its instance goes",
        "it goes on where it had saved", "scales to zero", "nothing runs any more",
        "every job paid what its instances cost; the rest came back",
        "the ledger is sound; reserved and spent stayed below the caps",
        "hetslurm explain", "hetslurm budget show", "hetslurm budget verify",
    ]  # fmt: skip
    assert [row["broken_promise"] for row in rows] == [None] * len(rows)
    placed = [row for row in rows if row["target"]]
    assert {row["partition"] for row in placed} == {"cpu", "gpu", "fpga", "cloud"}
    assert all(row["run_s"]["estimated"] > 0 and row["run_s"]["actual"] is not None for row in placed)
    money = [row["money"] for row in rows if row["money"]]
    assert len(money) == 3
    for one in money:
        assert 0 < one["spent_micro"] < one["reserved_micro"]
        assert one["reserved_micro"] == one["spent_micro"] + one["released_micro"]


def outcome(record: Record | None, **changes: object) -> Outcome:
    values = {
        "accepted": True,
        "message": "",
        "state": "COMPLETED",
        "partition": "gpu",
        "output": "running on gpu",
    }
    return Outcome(**{**values, "record": record, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("judge", "bad", "words"),
    [
        (lands_on("fpga"), outcome(RECORD), "went to gpu"),
        (lands_on("gpu"), outcome(None), "not placed"),
        (lands_on("gpu"), outcome(RECORD, state="FAILED"), "ended as FAILED"),
        (lands_on("gpu"), outcome(RECORD, output="running on"), "HET_KIND"),
        (is_refused("line 4"), outcome(RECORD), "was accepted"),
        (is_refused("line 4"), outcome(None, accepted=False, message="no"), "without saying line 4"),
        (is_untouched("gpu"), outcome(RECORD, output="no directive: untouched"), "was touched"),
        (is_untouched("gpu"), outcome(None, output="no directive: gpu"), "HET_KIND set"),
    ],
)
def test_a_broken_promise_is_named(judge: Judge, bad: Outcome, words: str) -> None:
    assert words in (judge(bad) or "kept")


@pytest.mark.parametrize(("took_s", "kept"), [(1.9, True), (2.1, False), (None, False)])
def test_an_event_that_is_late_or_never_comes_is_a_broken_promise(took_s: float | None, kept: bool) -> None:
    assert (event_row("it happens", took_s, within_s=2.0)["broken_promise"] is None) == kept

"""What the demo's third part would say if a promise were broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hetslurm.cloudburst.ledger.values import Payer, Reservation, ReservationState, Usage, Wanted
from hetslurm.cloudburst.policy import Cap, Level, Period
from hetslurm.demo.burst_close import Closing, all_paid, money_of, nothing_runs, within_caps
from hetslurm.demo.burst_scene import INTERRUPTED, goes_on, runs_in_the_cloud
from hetslurm.demo.scenario import Outcome
from hetslurm.demo.table import fact_row, render_money
from hetslurm.slurm.record import parse_record

RECORD = parse_record(
    '{"hetslurm":1,"state":"placed","target":"cpu","kind":"cpu","pool":"cloud","partition":"cloud","res":1}'
)
ONCE = "running on cpu, target cpu, pool cloud, on cloud1\nbegins at step 0 of 60\n"
TWICE = f"{ONCE}saved at step 9\n{ONCE.replace('step 0', 'step 9')}done at step 60\n"
GOOD = Outcome(
    accepted=True,
    message="",
    job_id=7,
    partition="cloud",
    state="COMPLETED",
    record=RECORD,
    output=TWICE,
)
WANTED = Wanted(7, 0, Payer("", "ann"), "cloud", ("cloud1",), 36_000_000, 2, 137.0, 100, 200, 60.0, 0.0)
RESERVATION = Reservation(1, WANTED, ReservationState.SETTLED, 200, 30, 60.0, 2, 0.0, 0.0, "")
CAP = Cap(Level.SITE, "", Period.TOTAL, 500)
CLEAN = Closing(
    node_states={"cloud1": "IDLE+CLOUD+POWERED_DOWN"},
    live=(),
    seen=(),
    pids=(),
    reservations=(RESERVATION,),
    costs_micro={1: 30},
    usage=(Usage(CAP, "", 0.0, 0, 30),),
    problems=(),
)


def test_an_interrupted_job_that_went_on_keeps_its_promise() -> None:
    assert INTERRUPTED.judge(GOOD) is None
    assert goes_on(TWICE) is None


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (replace(GOOD, accepted=False, message="no"), "not placed: no"),
        (replace(GOOD, partition="cpu"), "never left cpu"),
        (replace(GOOD, state="TIMEOUT"), "ended as TIMEOUT"),
        (replace(GOOD, output=ONCE), "began 1 times"),
        (replace(GOOD, output=f"{ONCE}{ONCE}"), "did not say saved"),
    ],
)
def test_a_job_that_did_not_burst_well_is_named(bad: Outcome, words: str) -> None:
    assert words in (INTERRUPTED.judge(bad) or "kept")


def test_a_job_that_begins_anew_did_not_go_on() -> None:
    assert "at step 0, not at 9" in (goes_on(f"{ONCE}saved at step 9\n{ONCE}") or "kept")
    assert "saved 0 times" in (goes_on(ONCE) or "kept")
    assert runs_in_the_cloud()(replace(GOOD, output=ONCE)) is None


def test_a_clean_end_keeps_every_promise() -> None:
    assert [check(CLEAN) for check in (nothing_runs, all_paid, within_caps)] == [None, None, None]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (replace(CLEAN, node_states={"cloud1": "IDLE+CLOUD"}), "cloud1 not powered down"),
        (replace(CLEAN, node_states={"cloud1": "IDLE+CLOUD+POWERING_DOWN"}), "cloud1 not powered down"),
        (replace(CLEAN, live=("cloud1 (intent)",)), "the ledger has cloud1"),
        (replace(CLEAN, seen=None), "does not answer"),
        (replace(CLEAN, seen=("cloud1 (running)",)), "the provider has cloud1"),
        (replace(CLEAN, pids=(12, 13)), "processes 12, 13"),
    ],
)
def test_whatever_still_runs_is_named(left: Closing, words: str) -> None:
    assert words in (nothing_runs(left) or "kept")


@pytest.mark.parametrize(
    ("state", "spent", "cost", "words"),
    [
        (ReservationState.COMMITTED, 30, 30, "still hold money"),
        (ReservationState.SETTLED, 30, 31, "did not pay"),
        (ReservationState.SETTLED, 201, 201, "spent more than they had"),
    ],
)
def test_money_that_is_not_right_is_named(state: ReservationState, spent: int, cost: int, words: str) -> None:
    reservation = replace(RESERVATION, state=state, spent_micro=spent)
    assert words in (all_paid(replace(CLEAN, reservations=(reservation,), costs_micro={1: cost})) or "kept")
    assert "nothing was ever reserved" in (all_paid(replace(CLEAN, reservations=())) or "kept")


def test_a_ledger_that_is_not_sound_and_a_cap_that_is_broken_are_named() -> None:
    assert within_caps(replace(CLEAN, problems=("entry 3: hash",))) == "entry 3: hash"
    assert "cap of site is broken" in (
        within_caps(replace(CLEAN, usage=(Usage(CAP, "", 0.0, 471, 30),))) or "kept"
    )


def test_money_of_a_job_adds_up_and_is_shown() -> None:
    money = money_of(CLEAN, 7)
    assert money == {"reserved_micro": 200, "spent_micro": 30, "released_micro": 170}
    assert money_of(CLEAN, 8) is None
    rows = [{**fact_row("a job", None), "job_id": 7, "script": "x.sh", "money": money}, fact_row("b", None)]
    assert render_money(rows, "EUR").row_count == 1

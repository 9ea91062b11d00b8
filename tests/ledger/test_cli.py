"""`hetslurm budget`: what it shows, sets and checks."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from hetslurm.burst.budget_page import BudgetPage
from hetslurm.cli.app import build
from hetslurm.clock import SystemClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.values import Payer
from hetslurm.daemon.log import Log
from hetslurm.errors import BudgetError, BudgetExceeded, LedgerError
from hetslurm.units import MICRO

from .scenes import cap, intend, launched, wanted

runner = CliRunner()
CAPS = [
    cap(10),
    cap(5, "user", "*", "day"),
    cap(4, "account", "phys", "month"),
    cap(1, "account", "*", "month"),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site with a ledger: ann of phys holds 2 and spent 0.1, bob of chem holds 0.5."""
    clock = SystemClock()
    with Book(Book.path_in(tmp_path), clock, CAPS, cluster="t") as book:
        book.reserve(wanted(1, 2.1))
        boot = launched(book, intend(book, "c1"), at=clock.now() - 100)
        book.ended("c1", 1, (boot.launched_at or 0.0) + 100, "gone")
        book.reserve(wanted(2, 0.5, payer=Payer("chem", "bob")))
    path = tmp_path / "hetslurm.toml"
    path.write_text(f'currency = "EUR"\n[controller]\nstate_dir = "{tmp_path}"\n')
    return path


def call(config: Path, *words: str) -> Result:
    return runner.invoke(build("budget"), ["budget", *words, "--config", str(config)], catch_exceptions=False)


def facts(config: Path, *words: str) -> Any:
    done = call(config, *words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_show_has_every_cap_with_what_is_used_and_left(config: Path) -> None:
    shown = facts(config, "show")
    assert shown["currency"] == "EUR"
    rows = {(one["level"], one["name"]): one for one in shown["caps"]}
    assert rows["user", "*"]["used_micro"] == 0
    site = rows["site", ""]
    assert (site["limit"], site["reserved"], site["spent"], site["free"]) == ("10.00", "2.50", "0.10", "7.40")
    assert (site["source"], site["over_micro"], site["file_limit_micro"]) == ("burst.toml", 0, 10 * MICRO)
    assert rows["account", "chem"]["cap_name"] == "*"
    assert rows["user", "bob"]["used_micro"] == 500_000
    assert [one["job_id"] for one in shown["reservations"]] == [1, 2]
    assert shown["overruns"] == []
    assert len(shown["head"]["hash"]) == 64


def test_show_for_a_user_has_only_what_concerns_him(config: Path) -> None:
    shown = facts(config, "show", "--account", "chem", "--user", "bob")
    assert [(one["level"], one["name"]) for one in shown["caps"]] == [
        *(("site", ""), ("account", "chem")),
        ("user", "bob"),
    ]
    assert [one["job_id"] for one in shown["reservations"]] == [2]
    unknown = facts(config, "show", "--user", "eve")
    assert [(one["name"], one["limit"], one["used_micro"]) for one in unknown["caps"]][1:] == [
        ("eve", "5.00", 0)
    ]
    assert unknown["reservations"] == []


def test_show_for_people_says_who_is_over(config: Path) -> None:
    with Book(Book.path_in(config.parent), SystemClock()) as book:
        book.caps = [cap(1)]
    text = call(config, "show").stdout
    assert "OVER by 1.60" in text
    assert "burst.toml" in text
    assert "ann" in text


def test_a_cap_is_set_and_taken_back(config: Path) -> None:
    assert facts(config, "set", "account:phys", "month", "3.50")["limit_micro"] == 3_500_000
    (row,) = [one for one in facts(config, "show")["caps"] if one["name"] == "phys"]
    assert (row["limit"], row["source"], row["file_limit_micro"]) == ("3.50", "set", 4 * MICRO)
    assert "root" in row["by"] or "(" in row["by"]
    said = call(config, "set", "account:phys", "month", "--unset").stdout
    assert said == "the cap of account phys, per month is 4.00 EUR (burst.toml)\n"
    with pytest.raises(LedgerError, match="nothing is set"):
        call(config, "set", "account:phys", "month", "--unset")


def test_a_cap_below_what_is_used_is_refused_with_the_lowest_possible(config: Path) -> None:
    with pytest.raises(BudgetExceeded, match=r"2\.60 at the lowest"):
        call(config, "set", "site", "total", "2.59")
    assert call(config, "set", "site", "total", "2.6").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("planet", "day", "1"), "site, account, user, workload"),
        (("site", "year", "1"), "hour, day, month, total"),
        (("site", "day", "much"), '250.50, found "much"'),
        (("site", "day", "nan"), 'found "nan"'),
        (("site:x", "day", "1"), "the site has no name"),
        (("user", "day", "1"), "needs a name"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_was_expected(
    config: Path, words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(BudgetError, match=said):
        call(config, "set", *words)


@pytest.mark.parametrize("words", [("site", "day"), ("site", "day", "3", "--unset")])
def test_set_wants_an_amount_or_unset(config: Path, words: tuple[str, ...]) -> None:
    assert call(config, "set", *words).exit_code == 2


def test_history_tells_the_life_of_a_job(config: Path) -> None:
    kinds = [one["kind"] for one in facts(config, "history", "--job", "1")["entries"]]
    assert kinds == ["reserve", "commit", "spend"]
    assert [one["user"] for one in facts(config, "history", "--user", "bob")["entries"]] == ["bob"]
    newest = facts(config, "history", "-n", "2")["entries"]
    assert [one["kind"] for one in newest] == ["spend", "reserve"]
    older = facts(config, "history", "-n", "1", "--before", str(newest[0]["seq"]))["entries"]
    assert [one["kind"] for one in older] == ["commit"]
    assert "account *, per month: 1.00 (burst.toml)" in call(config, "history").stdout


def test_verify_prints_a_head_that_later_must_still_be_there(config: Path) -> None:
    head = facts(config, "verify")["head"]
    assert call(config, "verify", "--expect", head).exit_code == 0
    done = call(config, "verify", "--head", "0badc0de", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["sound"] is False
    assert "0badc0de" in json.loads(done.stdout)["problems"][0]


def test_verify_finds_what_was_changed_by_hand(config: Path) -> None:
    with closing(sqlite3.connect(Book.path_in(config.parent))) as db:
        db.execute("UPDATE held SET reserved_micro = 0")
        db.commit()
    done = call(config, "verify")
    assert done.exit_code == 1
    assert "the entries say 2.50" in done.output


def test_an_overrun_shows(config: Path) -> None:
    with Book(Book.path_in(config.parent), SystemClock()) as book:
        launched(book, intend(book, "c2"), at=0.0)
        book.ended("c2", 1, 3600.0, "would not die")
    assert facts(config, "show")["overruns"][0]["spent"] == "3.10"
    assert "OVERRUN of 3.10 EUR" in call(config, "show").output


def test_users_whom_the_ledger_does_not_let_in_read_the_controllers_page(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = facts(config, "show", "--user", "bob")
    log = StringIO()
    with Book(Book.path_in(config.parent), SystemClock()) as book:
        page = BudgetPage(book, Log(out=log), SystemClock())
        for _ in range(2):
            page.look("EUR")
    written = config.parent / "budget.json"
    assert stat.S_IMODE(written.stat().st_mode) == 0o644
    monkeypatch.setattr("hetslurm.cli.budget.is_ours", lambda path: False)
    shown = facts(config, "show", "--user", "bob")
    assert {**shown, "at": ""} == {**right, "at": ""}
    assert f"as of {shown['at']}" in call(config, "show").stdout
    assert log.getvalue() == ""


def test_a_page_that_cannot_be_written_is_said_once(config: Path) -> None:
    log = StringIO()
    with Book(Book.path_in(config.parent), SystemClock()) as book:
        (config.parent / "budget.json").mkdir()
        page = BudgetPage(book, Log(out=log), SystemClock())
        for _ in range(3):
            page.look("EUR")
    assert len(log.getvalue().splitlines()) == 1


def test_without_a_ledger_it_says_who_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "hetslurm.toml"
    path.write_text(f'[controller]\nstate_dir = "{tmp_path}/none"\n')
    for words in (("show",), ("history",), ("verify",), ("set", "site", "day", "3")):
        with pytest.raises(LedgerError, match="there is no ledger"):
            call(path, *words)
    assert not (tmp_path / "none").exists()

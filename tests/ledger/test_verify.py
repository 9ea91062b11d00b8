"""The ledger is checked against itself: what was changed, lost or cut off shows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hetslurm.clock import FixedClock
from hetslurm.cloudburst.ledger.book import Book
from hetslurm.cloudburst.ledger.chain import GENESIS, hash_of
from hetslurm.errors import LedgerError

from .scenes import START, cap, intend, launched, wanted


@pytest.fixture
def used(path: Path, clock: FixedClock) -> Path:
    """A closed ledger in which something happened."""
    with Book(path, clock, [cap(10), cap(5, "user", "*", "day")], cluster="t") as book:
        book.reserve(wanted(1, 2))
        launched(book, intend(book, "c1"))
        book.ended("c1", 1, START + 100, "gone")
        book.release(1, "job over")
        book.reserve(wanted(2, 3))
        intend(book, "c2")
        assert book.verify() == ()
    return path


def tamper(path: Path, *statements: str) -> tuple[str, ...]:
    """Change the file behind the ledger's back, past its triggers; what it says then."""
    with closing(sqlite3.connect(path)) as db:
        for name in ("entries_stay", "entries_are_kept", "entries_follow"):
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
        db.commit()
    with Book.reader(path, FixedClock(START)) as book:
        return book.verify()


@pytest.mark.parametrize(
    "statement", ["UPDATE entries SET spent_micro = 0", "DELETE FROM entries WHERE seq = 3"]
)
def test_entries_cannot_be_changed_or_deleted(used: Path, statement: str) -> None:
    with closing(sqlite3.connect(used)) as db, pytest.raises(sqlite3.IntegrityError, match="never"):
        db.execute(statement)


@pytest.mark.parametrize("seq", [1, 3, 99])
def test_entries_are_only_appended(used: Path, seq: int) -> None:
    with closing(sqlite3.connect(used)) as db, pytest.raises(sqlite3.IntegrityError, match="only appended"):
        db.execute(
            "INSERT OR REPLACE INTO entries SELECT ?, at_us, kind, res_id, account, user, workload,"
            ' reserved_micro, spent_micro, what, "by", hash FROM entries WHERE seq = 3',
            (seq,),
        )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at_us", "at_us + 1"),
        ("kind", "'top-up'"),
        ("res_id", "7"),
        ("account", "'chem'"),
        ("user", "'bob'"),
        ("workload", "''"),
        ("reserved_micro", "reserved_micro - 1"),
        ("spent_micro", "spent_micro + 1"),
        ("what", "what || ' '"),
        ('"by"', "'eve (7)'"),
        ("hash", "lower(hex(randomblob(32)))"),
    ],
)
def test_a_change_of_any_field_of_any_entry_shows(used: Path, column: str, value: str) -> None:
    problems = tamper(used, f"UPDATE entries SET {column} = {value} WHERE seq = 5")
    assert any("entry 5 was changed" in problem or "entry 6 was changed" in problem for problem in problems)


def test_a_lost_entry_in_the_middle_shows(used: Path) -> None:
    assert "entry 4 is missing" in tamper(used, "DELETE FROM entries WHERE seq = 4")


def test_a_lost_tail_shows_in_the_balances(used: Path) -> None:
    assert tamper(used, "DELETE FROM entries WHERE seq > 6")


def test_a_rewritten_end_shows_against_a_head_noted_before(used: Path, clock: FixedClock) -> None:
    copy = used.with_name("copy.sqlite3")
    copy.write_bytes(used.read_bytes())
    copy.chmod(0o600)
    with Book(used, clock) as book:
        book.reserve(wanted(3, 1))
        noted = book.head().hash
        assert book.verify(noted) == ()
    with Book(copy, clock) as book:
        assert book.verify() == ()
        book.reserve(wanted(4, 1))
        (problem,) = book.verify(noted)
        assert f"no entry has the hash {noted}" in problem
        assert book.verify(GENESIS) == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE held SET reserved_micro = reserved_micro - 1 WHERE level = 'site'",
        "UPDATE held SET reserved_micro = 0 WHERE level = 'user'",
        "UPDATE spent SET spent_micro = 0 WHERE period = 'day' AND level = 'user'",
        "DELETE FROM spent",
        "UPDATE caps SET limit_micro = 99999999",
        "DELETE FROM caps",
        "INSERT INTO caps VALUES ('user', 'ann', 'total', 'set', 99999999, 0, 'eve')",
        "UPDATE reservations SET amount_micro = amount_micro + 1 WHERE res_id = 2",
        "UPDATE reservations SET spent_micro = 0 WHERE res_id = 1",
        "UPDATE reservations SET state = 'released' WHERE res_id = 2",
        "UPDATE reservations SET state = 'committed' WHERE res_id = 1",
        "UPDATE reservations SET user = 'bob' WHERE res_id = 2",
        "DELETE FROM reservations WHERE res_id = 1",
        "DELETE FROM nodes",
        "INSERT INTO nodes VALUES ('c9', 2)",
        "DELETE FROM instances WHERE node = 'c2'",
        "UPDATE instances SET cost_micro = 0",
        "UPDATE instances SET res_id = 77 WHERE node = 'c2'",
    ],
)
def test_what_is_kept_beside_the_entries_must_follow_from_them(used: Path, statement: str) -> None:
    assert tamper(used, statement)


def test_a_forged_grant_shows_though_its_hash_is_right(used: Path) -> None:
    with closing(sqlite3.connect(used)) as db:
        before, seq = db.execute("SELECT hash, seq FROM entries ORDER BY seq DESC").fetchone()
    digest = hash_of(
        before,
        seq=seq + 1,
        at_us=round(START * 1e6),
        kind="reserve",
        res_id=3,
        payer=("phys", "ann", ""),
        reserved_micro=9_000_000,
        spent_micro=0,
        what="",
        by="",
    )
    problems = tamper(
        used,
        f"INSERT INTO entries VALUES ({seq + 1}, {round(START * 1e6)}, 'reserve', 3, 'phys', 'ann', '',"
        f" 9000000, 0, '', '', '{digest}')",
    )
    assert any(f"entry {seq + 1} breaks the cap of the site" in problem for problem in problems)


def test_one_encoding_is_one_entry() -> None:
    def digest(account: str, user: str, what: str = "") -> str:
        return hash_of(
            GENESIS,
            seq=1,
            at_us=0,
            kind="reserve",
            res_id=1,
            payer=(account, user, ""),
            reserved_micro=0,
            spent_micro=0,
            what=what,
            by="",
        )

    texts = ["", "a", 'a","b', "\\", "ä", "\u00e4", "\x00", "a\n"]
    seen = {(one, other): digest(one, other) for one in texts for other in texts}
    assert len(set(seen.values())) == len({(one, other) for one, other in seen})
    assert digest("phys", "ann") == "8a9677d5a8c3cdb767673810c30e51f4f24edcfb28039db55d4b100d352883b0"


def test_verify_sees_one_state_while_others_write(used: Path, clock: FixedClock) -> None:
    with Book(used, clock) as writer, Book.reader(used, clock) as reader:
        walked = reader._db.execute("BEGIN")
        before = reader.head()
        writer.reserve(wanted(5, 1))
        assert reader.verify() == ()
        assert reader.head() == before
        walked.execute("ROLLBACK")
        assert reader.head() == writer.head()


def test_a_reader_cannot_write(used: Path) -> None:
    with Book.reader(used) as reader, pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM held")


def test_a_hundred_problems_are_enough(used: Path) -> None:
    with Book(used, FixedClock(START)) as book:
        for job in range(10, 130):
            book.reserve(wanted(job, 0.01))
    problems = tamper(used, "UPDATE entries SET hash = 'x' || hash")
    assert len(problems) == 101
    with pytest.raises(LedgerError, match="no reservation 999"), Book.reader(used) as reader:
        reader.reservation(999)
